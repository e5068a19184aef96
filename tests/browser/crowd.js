// How does a test make a server busy?

import { expect } from "@playwright/test";

/** A request of minutes. */
export const HEAVY = { prompt: "a cat", model: "emoji-c32", n: 10, num_inference_steps: 1000 };

/** Jobs that the server of such a test takes. */
const CAPACITY = 4;

/** How such a server is started. */
export const SOON_FULL = { flags: [`--queue-capacity=${CAPACITY}`] };

/** Fills the queue, so that nothing is admitted however small it is; returns the jobs to be cancelled. */
export async function crowd(server) {
  const jobs = [];
  const send = async (body) => {
    const reply = await fetch(`${server.url}v1/images/jobs`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    if (reply.status === 429) return;
    expect(reply.ok).toBe(true);
    jobs.push((await reply.json()).id);
  };
  // One that is at work for seconds, and one that waits for it.
  await send({ ...HEAVY, n: 5 });
  await send(HEAVY);
  // A queue that is not full has room for small ones sooner or later, as the first one goes on.
  await expect(async () => {
    await send({ ...HEAVY, n: 1, num_inference_steps: 50 });
    expect(jobs.length).toBe(CAPACITY);
  }).toPass({ intervals: [50] });
  return jobs;
}

/** Cancels those jobs. */
export async function disperse(server, jobs) {
  for (const job of jobs) await fetch(`${server.url}v1/images/jobs/${job}`, { method: "DELETE" });
}
