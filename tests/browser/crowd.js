// How does a test make a server busy?

import { expect } from "@playwright/test";

/** A request of minutes. */
export const HEAVY = { prompt: "a cat", model: "emoji-c32", n: 10, num_inference_steps: 1000 };

/** Fills the queue until not even a small request is admitted; returns the jobs to be cancelled. */
export async function crowd(server) {
  const jobs = [];
  const bodies = [HEAVY, { ...HEAVY, n: 1 }, { ...HEAVY, n: 1, num_inference_steps: 50 }];
  for (const body of bodies) jobs.push(...(await untilRefused(server, body)));
  return jobs;
}

async function untilRefused(server, body) {
  const jobs = [];
  for (;;) {
    const reply = await fetch(`${server.url}v1/images/jobs`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    if (reply.status === 429) return jobs;
    expect(reply.ok).toBe(true);
    jobs.push((await reply.json()).id);
  }
}

/** Cancels those jobs. */
export async function disperse(server, jobs) {
  for (const job of jobs) await fetch(`${server.url}v1/images/jobs/${job}`, { method: "DELETE" });
}
