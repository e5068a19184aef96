// What was drawn before? Kept small in this browser: what pictures were made of; the pictures themselves until a reload.

import { byId, make, say } from "./dom.js";
import { downloadLink } from "./result.js";
import { replayOf } from "./request.js";
import { planLine, score, span } from "./words.js";

const KEPT = "goldilocks.history";
const MOST = 24;

/**
 * @typedef {{id: string, body: any, plan: any, planToken: string, seed: number, score: any, ms: number}} Entry
 * @type {Entry[]}
 */
let entries = [];
/** Pictures of this visit, by entry. */
const pictures = new Map();
let again = (_body) => {};

/** Shows what is kept; `rerun` draws a request. */
export function openHistory(rerun) {
  again = rerun;
  entries = read();
  byId("history-clear").addEventListener("click", clear);
  show();
}

/** What others or older versions of the page left there must not break it. */
function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEPT) ?? "[]");
    return kept.filter((entry) => entry.id && entry.body?.prompt && entry.plan && entry.planToken);
  } catch {
    return [];
  }
}

/** Adds what was just drawn. */
export function remember(reply, body) {
  const [first] = reply.images;
  const entry = {
    id: `${reply.created_at}-${first.seed}-${entries.length}`,
    body: { prompt: body.prompt, negative_prompt: body.negative_prompt, n: body.n, output_format: body.output_format },
    plan: reply.plan,
    planToken: reply.plan_token,
    seed: first.seed,
    score: first.score,
    ms: reply.actual.latency_ms,
  };
  pictures.set(entry.id, reply.images);
  const all = [entry, ...entries];
  entries = all.slice(0, MOST);
  for (const { id } of all.slice(MOST)) pictures.delete(id);
  keep();
  show();
}

function keep() {
  try {
    localStorage.setItem(KEPT, JSON.stringify(entries));
  } catch {
    // A full or forbidden store costs the list after a reload, nothing else.
  }
}

function clear() {
  entries = [];
  pictures.clear();
  localStorage.removeItem(KEPT);
  show();
  say("History cleared.");
}

function show() {
  byId("history-empty").hidden = entries.length > 0;
  byId("history-clear").hidden = entries.length === 0;
  byId("history").replaceChildren(...entries.map(card));
}

function card(entry) {
  const images = pictures.get(entry.id);
  const shown = images
    ? make("img", { src: images[0].url, alt: "", width: 128, height: 128 })
    : make("span", { className: "gone" }, "drawn before the reload");
  const replay = make(
    "button",
    {
      type: "button",
      title: "The same plan and seed: the same picture",
      onclick: () => again(replayOf(entry.body, entry)),
    },
    "Run again",
  );
  replay.setAttribute("aria-label", `Run again: ${entry.body.prompt}`);
  const download = images && downloadLink(images[0]);
  download?.setAttribute("aria-label", `Download: ${entry.body.prompt}`);
  return make(
    "li",
    { className: "past" },
    make("div", { className: "thumb" }, shown),
    make(
      "div",
      { className: "about" },
      make("p", { className: "what" }, entry.body.prompt),
      make(
        "p",
        { className: "soft" },
        `${planLine(entry.plan)} · seed ${entry.seed} · ${span(entry.ms)} · score ${score(entry.score)}`,
      ),
      make("div", { className: "offers" }, replay, download),
    ),
  );
}
