// How does a request become pictures in the page? Streamed, with what is told on the way, and waiting where waiting helps.

import { WAITS } from "./remedies.js";
import { Fault, fileOf, stream } from "./server.js";
import { whenReady } from "./watch.js";

/** At most so long passes between two tries while the server says that it is not ready. */
const SOON_MS = 1000;

/**
 * What is told on the way; each is optional.
 * @typedef {object} Told
 * @property {(plan: any, estimate: any) => void} [plan]
 * @property {(image: number, done: number, total: number) => void} [progress]
 * @property {(image: number, url: string) => void} [partial]
 * @property {(image: number, url: string) => void} [picture]
 * @property {(fault: Fault) => void} [waiting]
 */

/**
 * Draws. Returns the reply with the pictures as `images`, in the order of their seeds.
 * @param {object} body
 * @param {Told} told
 * @param {AbortSignal} signal
 */
export async function drawPictures(body, told, signal) {
  for (;;) {
    try {
      return await once(body, told, signal);
    } catch (fault) {
      if (!(fault instanceof Fault && WAITS.includes(fault.code))) throw fault;
      told.waiting?.(fault);
      await pause(Math.min(fault.error.retry_after_ms ?? SOON_MS, SOON_MS), signal);
      await whenReady(signal);
    }
  }
}

async function once(body, told, signal) {
  const options = { include_plan: true, include_progress: true };
  const request = { ...body, partial_images: told.partial ? 3 : 0, stream_options: options };
  const images = [];
  let reply = null;
  for await (const event of stream(request, signal)) {
    const image = event.image_index ?? 0;
    if (event.event === "plan") told.plan?.(event.plan, event.estimate);
    if (event.event === "progress") told.progress?.(image, event.steps_done, event.steps_total);
    if (event.event === "partial_image") told.partial?.(image, urlOf(event));
    if (event.event === "completed") {
      images[image] = pictureOf(event);
      told.picture?.(image, images[image].url);
      // The last one tells everything about the request.
      if (event.plan_token) reply = event;
    }
  }
  if (!reply) throw new Fault({ code: "unreachable", message: "the connection broke before the picture was finished" });
  return { ...reply, b64_json: undefined, images };
}

const urlOf = (event) => URL.createObjectURL(fileOf(event.b64_json, event.output_format));

const pictureOf = (event) => ({
  url: urlOf(event),
  format: event.output_format,
  seed: event.seed,
  score: event.score,
  stepsRun: event.steps_run,
  degraded: event.degraded,
  late: event.late,
});

/** Waits; rejects with the reason of `signal`. */
export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    setTimeout(resolve, ms);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/** A seed for several requests that have to share one. */
export const randomSeed = () => crypto.getRandomValues(new Uint32Array(1))[0];
