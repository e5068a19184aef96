// How does a plan look? Its model and parts as tags, and what is predicted of it as a list.

import { make } from "./dom.js";
import { planParts, score, span, work } from "./words.js";

export function planTags(plan) {
  const parts = planParts(plan).map((part) => make("span", { className: "tag" }, part));
  return make("p", { className: "plan" }, make("strong", {}, plan.model), ...parts);
}

/** Names with values. */
export function facts(entries) {
  const rows = entries
    .filter(Boolean)
    .map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)));
  return make("dl", { className: "facts" }, ...rows);
}

export function estimateFacts(estimate) {
  return facts([
    ["score", score(estimate.score)],
    ["p50", span(estimate.latency_ms?.p50)],
    ["p99", span(estimate.latency_ms?.p99)],
    ["compute", work(estimate.tflops)],
  ]);
}
