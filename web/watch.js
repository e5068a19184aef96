// Is the server there, is it ready, and how busy is it? One look every two seconds while the page is seen.

import { byId, make, say } from "./dom.js";
import { between, loadOf, parse } from "./metrics.js";
import { Fault, readiness, text } from "./server.js";
import { span } from "./words.js";

const EVERY_MS = 2000;
const WARMING_EVERY_MS = 500;
/** Looks that attainment and batch size are taken over: a minute. */
const LOOKS = 30;

/** @type {"unknown" | "ready" | "warming" | "failed" | "draining" | "unreachable" | "locked"} */
let state = "unknown";
/** Whether it was out of reach since it was last ready; on its way back it warms up first. */
let wasGone = false;
let looks = [];
let timer = 0;
const waiting = new Set();
const listeners = new Set();

export const isReady = () => state === "ready";

/** Calls `listener` with every change of state. */
export function onState(listener) {
  listeners.add(listener);
}

/** Resolves when the server takes work; rejects with the reason of `signal`. */
export function whenReady(signal) {
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    waiting.add(resolve);
    // Whoever waits was just told that it is not ready, whatever was seen before.
    look();
  });
}

/** Looks now, and again and again. */
export async function look() {
  clearTimeout(timer);
  const seen = await see();
  change(seen);
  clearTimeout(timer);
  timer = setTimeout(() => (document.hidden ? idle() : look()), state === "warming" ? WARMING_EVERY_MS : EVERY_MS);
}

/** A page that nobody sees asks for nothing. */
function idle() {
  document.addEventListener("visibilitychange", () => look(), { once: true });
}

async function see() {
  try {
    const load = loadOf(parse(await text("metrics")));
    showLoad(load);
    return load.isReady ? { state: "ready" } : seenOf(await readiness());
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault;
    showLoad(null);
    if (fault.code === "unreachable") return { state: "unreachable" };
    return { state: fault.code === "invalid_api_key" ? "locked" : "failed", reason: fault.message };
  }
}

const seenOf = ({ status, progress, reason }) => ({ state: status, progress, reason });

function change(seen) {
  const before = state;
  state = seen.state;
  showConnection(seen);
  if (state === "ready") {
    for (const resolve of waiting) resolve();
    waiting.clear();
  }
  if (before !== state) for (const listener of listeners) listener(state, before);
}

function showConnection(seen) {
  const place = byId("connection");
  const words = connectionWords(seen);
  wasGone ||= seen.state === "unreachable";
  place.hidden = words === null;
  place.dataset.state = seen.state;
  if (words === null) {
    if (wasGone) say("The server is back.");
    wasGone = false;
    place.replaceChildren();
    return;
  }
  const told = place.firstChild?.textContent;
  if (told !== words) place.replaceChildren(make("span", {}, words), ...(seen.state === "locked" ? [keyButton()] : []));
  showProgress(place, seen.progress);
}

function showProgress(place, progress) {
  place.querySelector("progress")?.remove();
  if (!progress) return;
  const done = progress.models_loaded + progress.models_timed;
  place.append(make("progress", { max: 2 * progress.models, value: done, ariaLabel: "Models loaded and timed" }));
}

const keyButton = () => make("button", { type: "button", onclick: () => byId("key-open").click() }, "Enter a key");

function connectionWords({ state: seen, progress, reason }) {
  switch (seen) {
    case "ready":
      return null;
    case "warming":
      return progress
        ? `The server is warming up: ${progress.models_loaded} of ${progress.models} models loaded, ${progress.models_timed} timed. The page goes on by itself.`
        : "The server is warming up. The page goes on by itself.";
    case "draining":
      return "The server is shutting down. The page waits for it to come back.";
    case "locked":
      return "This server asks for an API key.";
    case "unreachable":
      return "The server cannot be reached. Looking for it every two seconds …";
    default:
      return `The server cannot draw: ${reason ?? "no reason was given"}.`;
  }
}

function showLoad(load) {
  if (load === null) looks = [];
  else looks = [...looks, load].slice(-LOOKS);
  const { attainment, batch } = load ? between(looks[0], load) : {};
  const tell = (id, value) => {
    byId(id).textContent = value ?? "–";
  };
  tell("load-queued", load && span(load.queuedSeconds * 1000));
  tell("load-attained", attainment !== null && attainment !== undefined ? `${Math.round(attainment * 100)}%` : null);
  tell("load-batch", load && `${batch ? batch.toFixed(1) : "0"} of ${load.capacity}`);
  tell("load-flight", load && String(load.inFlight));
}
