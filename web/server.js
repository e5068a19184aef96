// How does the page talk to the server? Requests with the key if there is one, and every refusal as a `Fault`.

import { readEvents } from "./sse.js";

const KEY = "goldilocks.key";

/** The key of this tab, or null. */
export const key = () => sessionStorage.getItem(KEY);

export function setKey(value) {
  if (value) sessionStorage.setItem(KEY, value);
  else sessionStorage.removeItem(KEY);
}

/** Why there is no answer. `code` is the server's, or `unreachable` where nobody answered. */
export class Fault extends Error {
  /** @param {{message: string, code: string, [field: string]: unknown}} error */
  constructor(error, status = 0, requestId = null) {
    super(error.message);
    this.code = error.code;
    this.status = status;
    this.error = error;
    this.requestId = requestId;
  }

  get param() {
    return /** @type {string | null} */ (this.error.param ?? null);
  }
}

const unreachable = () => new Fault({ code: "unreachable", message: "the server cannot be reached" });

/** Sends a request; whatever is no success is thrown as a `Fault`, an abort as what it is. */
async function send(path, { body = undefined, signal = undefined } = {}) {
  const headers = new Headers();
  if (key()) headers.set("authorization", `Bearer ${key()}`);
  if (body) headers.set("content-type", "application/json");
  const method = body ? "POST" : "GET";
  let response;
  try {
    response = await fetch(path, { method, headers, body: body && JSON.stringify(body), signal, cache: "no-store" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw unreachable();
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

async function refusal(response) {
  const reply = await response.json().catch(() => ({}));
  const error = reply.error ?? { code: "unknown", message: `the server answered ${response.status}`, ...reply };
  return new Fault(error, response.status, response.headers.get("x-request-id"));
}

export const json = async (path, options) => (await send(path, options)).json();
export const text = async (path, options) => (await send(path, options)).text();

/** How far the server is, whether it takes work or not. */
export async function readiness() {
  try {
    return await json("readyz");
  } catch (fault) {
    if (fault instanceof Fault && fault.error.status) return fault.error;
    throw fault;
  }
}

/** Draws, event by event. An error within the stream is thrown as if it had come first. */
export async function* stream(body, signal) {
  const response = await send("v1/images/generations", { body: { ...body, stream: true }, signal });
  try {
    for await (const { event, data } of readEvents(response.body)) {
      const told = JSON.parse(data);
      if (event === "error") throw new Fault(told.error, response.status, response.headers.get("x-request-id"));
      yield { event: event.replace("image_generation.", ""), ...told };
    }
  } catch (error) {
    // A connection that broke in the middle shows as a TypeError of the reader.
    throw error instanceof TypeError && !signal?.aborted ? unreachable() : error;
  }
}

const TYPES = { png: "image/png", jpeg: "image/jpeg", webp: "image/webp" };

/** A picture of a reply as a file. */
export function fileOf(base64, format) {
  const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  return new Blob([bytes], { type: TYPES[format] ?? TYPES.png });
}
