// What would the settings buy now? Asked with every change, told in words and shown on the frontier.

import { byId, make } from "./dom.js";
import { readForm } from "./form.js";
import { followMode, showChosen, showPlot } from "./frontier.js";
import { faultNotice, grant, warningNotice } from "./notices.js";
import { estimateFacts, planTags } from "./planview.js";
import { WAITS } from "./remedies.js";
import { bodyOf } from "./request.js";
import { Fault, json } from "./server.js";
import { planLine, score, span, work } from "./words.js";

const DEBOUNCE_MS = 150;
/** A plan hardly depends on the prompt; without one this stands in. */
const ANY_PROMPT = "a";

let timer = 0;
let asked = new AbortController();

/** Plans anew, soon. */
export function planSoon(control) {
  if (control?.name === "mode") followMode();
  showPlot();
  clearTimeout(timer);
  timer = setTimeout(() => planNow(), DEBOUNCE_MS);
}

export async function planNow() {
  asked.abort();
  asked = new AbortController();
  const { signal } = asked;
  const body = bodyOf(readForm());
  const hasPrompt = body.prompt !== undefined;
  try {
    const reply = await json("v1/plan", { body: { ...body, prompt: body.prompt ?? ANY_PROMPT }, signal });
    if (signal.aborted) return;
    showChosen({ plan: reply.plan, estimate: reply.estimate });
    showPlan(reply);
    showHints(hasPrompt ? reply.warnings : []);
  } catch (fault) {
    if (signal.aborted || !(fault instanceof Fault)) return;
    showChosen(null);
    showFault(fault);
  }
}

function showPlan(reply) {
  byId("buys-said").textContent =
    `Buys ${planLine(reply.plan)}, score ${score(reply.estimate.score)}, p99 ${span(reply.estimate.latency_ms?.p99)}.`;
  byId("buys").replaceChildren(
    make("div", {}, make("p", { className: "lead" }, "This buys"), planTags(reply.plan), estimateFacts(reply.estimate)),
    nextBetter(reply) ?? make("p", { className: "soft note" }, "No plan of this family is predicted to be better."),
    runnersUp(reply),
  );
}

function nextBetter({ estimate, next_better: upgrade }) {
  if (!upgrade) return null;
  const { latency_ms: latency, tflops } = upgrade.needs;
  const needs = [latency && span(latency), tflops && work(tflops)].filter(Boolean).join(" and ");
  const gain = upgrade.estimate.score && estimate.score ? upgrade.estimate.score.mean - estimate.score.mean : 0;
  if (needs === "") return null;
  return make(
    "button",
    { type: "button", className: "plain next", onclick: () => grant(upgrade.needs) },
    `Next better needs ${needs}`,
    make("span", { className: "soft" }, ` ${gain > 0 ? `+${gain.toFixed(3)}: ` : ""}${planLine(upgrade.plan)}`),
  );
}

function runnersUp({ runners_up: others, pins_cost: pins }) {
  if (others.length === 0 && !pins) return "";
  const row = ({ plan, message }) =>
    make("li", {}, make("span", {}, planLine(plan)), make("span", { className: "soft" }, message));
  return make(
    "details",
    { className: "quiet" },
    make("summary", {}, "Why not another plan?"),
    make(
      "ul",
      { className: "runners" },
      ...others.map(row),
      pins && row({ plan: pins.plan, message: `without the fixed fields: ${pins.message}` }),
    ),
  );
}

/** What the server says of the prompt, beside it and before anything is drawn. */
function showHints(warnings) {
  const words = warnings.filter(({ code }) => code === "unknown_words" || code === "prompt_truncated");
  byId("hints").replaceChildren(...words.map(warningNotice));
}

function showFault(fault) {
  const isPassing = WAITS.includes(fault.code) || ["unreachable", "invalid_api_key"].includes(fault.code);
  const passing = () => make("p", { className: "soft note" }, "What this buys is shown as soon as the server answers.");
  byId("buys").replaceChildren(isPassing ? passing() : faultNotice(fault, { isQuiet: true }));
}
