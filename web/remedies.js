// What does a refusal mean to a person, and what can be done about it? Pure: words and offers, no elements.

import { span } from "./words.js";

/**
 * @typedef {{label: string, set?: Record<string, string | number>, goTo?: string, key?: true, retry?: true, afterMs?: number, dropPlan?: true}} Offer
 * @param {import("./server.js").Fault} fault
 * @returns {{title: string, text: string, offers: Offer[]}}
 */
export function explain(fault) {
  const known = BY_CODE[fault.code];
  const told = known ? known(fault) : {};
  return {
    title: told.title ?? "The server refused this",
    text: told.text ?? sentence(fault.message),
    offers: told.offers ?? [],
  };
}

/** Codes that pass by themselves: the page waits and asks again. */
export const WAITS = ["loading", "latency_unknown", "shutting_down"];

const BY_CODE = {
  budget_infeasible: (fault) => ({
    title: "No plan fits this budget",
    text: sentence(fault.message),
    offers: minimumOffers(fault.error),
  }),
  min_score_out_of_reach: (fault) => ({
    title: "No plan scores that much",
    text: sentence(fault.message),
    offers: [{ label: "Leave the least score out", set: { "min-score": "", minimize: "" }, retry: true }],
  }),
  overloaded: (fault) => ({
    title: "The server is busy",
    text: "Admitting this request would make somebody late, so it was turned away at once.",
    offers: [{ label: "Try again", retry: true, afterMs: fault.error.retry_after_ms ?? 1000 }],
  }),
  invalid_api_key: (fault) => ({
    title: "This server asks for a key",
    text: sentence(fault.message),
    offers: [{ label: "Enter a key", key: true, retry: true }],
  }),
  unreachable: () => ({
    title: "The server cannot be reached",
    text: "Nothing is lost: what you set is kept, and the page looks for the server every two seconds.",
    offers: [{ label: "Try again", retry: true }],
  }),
  deadline_exceeded: () => ({
    title: "It would have come too late",
    text: "The time budget could not be kept any more, and the settings forbid a lesser or a late picture.",
    offers: [{ label: "Rather late than never", set: { "on-late": "run_late" }, retry: true }],
  }),
  stale_plan_token: () => ({
    title: "The weights have changed since",
    text: "That plan was made for other weights, so what it promised does not hold any more.",
    offers: [{ label: "Draw it with a new plan", dropPlan: true, retry: true }],
  }),
  internal_error: (fault) => ({
    title: "The server made a mistake",
    text: `${sentence(fault.message)}${fault.requestId ? ` Request ${fault.requestId}.` : ""}`,
    offers: [{ label: "Try again", retry: true }],
  }),
  request_timeout: (fault) => ({
    title: "It took too long",
    text: sentence(fault.message),
    offers: [{ label: "Try again", retry: true }],
  }),
};

function minimumOffers({ minimum_feasible: least, limit }) {
  const { tflops } = least ?? {};
  const latency = least?.latency_ms && Math.ceil(least.latency_ms * 10) / 10;
  const time = { "latency-number": latency };
  const compute = { "tflops-number": tflops };
  if (limit === "both") {
    return [
      { label: `Set the budget to ${exact(latency)} and ${tflops} TFLOP`, set: { ...time, ...compute }, retry: true },
    ];
  }
  return [
    latency && { label: `Set the budget to ${exact(latency)}`, set: time, retry: true },
    tflops && { label: `Set the budget to ${tflops} TFLOP`, set: compute, retry: true },
  ].filter(Boolean);
}

/** Not rounded, or it would not do. */
const exact = (ms) => (ms < 1000 ? `${ms} ms` : span(ms));

/** The server writes its messages without a capital and a full stop. */
export function sentence(message) {
  const text = message.charAt(0).toUpperCase() + message.slice(1);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/** A warning as a person reads it: how a program would learn more is of no use here. */
export const warningWords = ({ message }) => sentence(message.split("; GET /")[0]);

/** The words of a warning that may be misspelled, with what may have been meant. */
export function suggestions(warning) {
  const meant = (warning.words ?? []).filter(({ suggestion }) => suggestion);
  return meant.map(({ word, suggestion }) => ({ word, meant: suggestion }));
}

/** The prompt with one word in the place of another, wherever it stands as a word of its own. */
export function replaceWord(prompt, word, meant) {
  const escaped = word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return prompt.replace(new RegExp(`(?<![\\p{L}\\p{N}])${escaped}(?![\\p{L}\\p{N}])`, "giu"), meant);
}
