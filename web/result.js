// What came out, beside what was predicted? Plan, time by phase, operations, seed, and what to do next.

import { flash, make } from "./dom.js";
import { warningList } from "./notices.js";
import { facts, planTags } from "./planview.js";
import { key } from "./server.js";
import { curl, python } from "./snippets.js";
import { count, digits, score, span, work } from "./words.js";

const PHASES = ["queue", "text", "denoise", "decode", "encode"];

/**
 * @param {any} reply
 * @param {object} body the request that it answers
 * @param {{again: () => void, keepSeed: (seed: number) => void}} actions
 */
export function resultView(reply, body, actions) {
  return make(
    "div",
    { className: "result" },
    planTags(reply.plan),
    outcome(reply),
    latencyFigure(reply),
    numbers(reply),
    buttons(reply, body, actions),
    warningList(reply.warnings),
  );
}

/** The sentence that matters: was the budget kept? */
function outcome({ actual, budget, images }) {
  const took = span(actual.latency_ms);
  const limit = budget.latency_ms;
  const isLate = images.some(({ late }) => late);
  const isDegraded = images.some(({ degraded }) => degraded);
  const words = limit === null ? `${took}, no limit on time` : `${took} of ${span(limit)}`;
  const tail = [isLate && "late", isDegraded && `shortened to ${count(images[0].stepsRun, "step")} to be in time`]
    .filter(Boolean)
    .join(", ");
  return make(
    "p",
    { className: isLate ? "outcome bad" : "outcome" },
    make("strong", {}, words),
    tail ? `, ${tail}` : limit !== null && !isLate && ", in budget",
  );
}

/** Predicted above, actual below, on one axis. */
function latencyFigure({ estimate, actual, budget }) {
  const predicted = estimate.latency_ms;
  if (!predicted) return "";
  const widest = Math.max(predicted.p99, actual.latency_ms);
  // A limit that is far away would make everything else too small to read.
  const limit = budget.latency_ms !== null && budget.latency_ms < widest * 1.7 ? budget.latency_ms : null;
  const reach = Math.max(widest, limit ?? 0) * 1.06;
  const share = (ms) => `${Math.min((ms / reach) * 100, 100)}%`;
  const sized = (element, style) => Object.assign(element.style, style) && element;
  const bar = (phase) =>
    sized(make("span", { className: `phase ${phase}`, title: `${phase}: ${span(actual.phases_ms[phase])}` }), {
      width: share(actual.phases_ms[phase]),
    });
  const guess = make(
    "div",
    { className: "bar guess" },
    sized(make("span", { className: "p99" }), { width: share(predicted.p99) }),
    sized(make("span", { className: "p50" }), { width: share(predicted.p50) }),
  );
  const line = limit && sized(make("i", { className: "mark" }), { insetInlineStart: share(limit) });
  return make(
    "figure",
    { className: "latency" },
    make(
      "div",
      { className: "bars", ariaHidden: "true" },
      make("span", { className: "soft" }, "predicted"),
      guess,
      make("span", { className: "soft" }, "actual"),
      make("div", { className: "bar" }, ...PHASES.map(bar), line),
    ),
    make("figcaption", {}, phaseTable(predicted, actual)),
  );
}

function phaseTable(predicted, actual) {
  const cell = (phase) =>
    make(
      "div",
      {},
      make("dt", {}, make("i", { className: `phase ${phase}`, ariaHidden: "true" }), phase),
      make("dd", {}, span(actual.phases_ms[phase])),
    );
  return make(
    "dl",
    { className: "phases" },
    make("div", {}, make("dt", {}, "predicted p50"), make("dd", {}, span(predicted.p50))),
    make("div", {}, make("dt", {}, "predicted p99"), make("dd", {}, span(predicted.p99))),
    ...PHASES.map(cell),
  );
}

function numbers({ estimate, actual, images, plan_token: token }) {
  const copy = make(
    "button",
    { type: "button", className: "plain code", title: token, onclick: (event) => copyText(event.currentTarget, token) },
    `${token.slice(0, 14)}…`,
  );
  const seeds = images.map(({ seed }) => seed);
  return facts([
    ["score", score(images[0].score)],
    ["compute", `${digits(actual.tflops, 3)} of ${work(estimate.tflops)}`],
    ["evaluations", String(actual.nfe)],
    [seeds.length > 1 ? "seeds" : "seed", seeds.length > 1 ? `${seeds[0]} to ${seeds.at(-1)}` : String(seeds[0])],
    ["plan token", copy],
  ]);
}

function buttons(reply, body, { again, keepSeed }) {
  const [first] = reply.images;
  // What was drawn, and not something like it: the seed that the server chose belongs to the request.
  const exact = { ...body, seed: first.seed };
  const place = { base: location.origin + location.pathname.replace(/\/$/, ""), hasKey: Boolean(key()) };
  const button = (label, act) =>
    make("button", { type: "button", onclick: (event) => act(event.currentTarget) }, label);
  return make(
    "div",
    { className: "offers" },
    ...reply.images.map((image) =>
      downloadLink(image, reply.images.length > 1 ? `Download ${image.seed}` : "Download"),
    ),
    button("Draw again", again),
    button("Keep the seed", () => keepSeed(first.seed)),
    button("Copy as curl", (self) => copyText(self, curl(exact, place))),
    button("Copy as Python", (self) => copyText(self, python(exact, place))),
  );
}

export function downloadLink({ url, seed, format }, label = "Download") {
  return make("a", { className: "button", href: url, download: `goldilocks-${seed}.${format}` }, label);
}

async function copyText(button, text) {
  try {
    await navigator.clipboard.writeText(text);
    flash(button, "Copied");
  } catch {
    // Pages that did not come over TLS or from this machine may not write the clipboard.
    showText(button, text);
  }
}

function showText(button, text) {
  const area = make("textarea", { className: "copy", readOnly: true, rows: 6, ariaLabel: "Text to copy" });
  area.value = text;
  button.parentElement.append(area);
  area.select();
}
