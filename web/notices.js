// How are refusals and warnings shown? As words with buttons that do what would help.

import { byId, make, say } from "./dom.js";
import { controlOf, goTo, readForm, set, setMode } from "./form.js";
import { openKeyDialog } from "./key.js";
import { explain, replaceWord, suggestions, warningWords } from "./remedies.js";
import { count } from "./words.js";

/**
 * A refusal. `retry` is what "try again" does; without it, offers only set things right.
 * @param {import("./server.js").Fault} fault
 * @param {{retry?: (options?: {dropPlan?: boolean}) => void, isQuiet?: boolean}} [context]
 */
export function faultNotice(fault, { retry, isQuiet = false } = {}) {
  const { title, text, offers } = explain(fault);
  const control = controlOf(fault.param);
  const all = offers.length === 0 && control ? [{ label: "Go to the field", goTo: control }] : offers;
  const buttons = all.map((offer) => offerButton(offer, retry));
  return make(
    "div",
    { className: "notice bad", role: isQuiet ? "status" : "alert" },
    make("strong", {}, title),
    make("p", {}, text),
    make("div", { className: "offers" }, ...buttons),
  );
}

function offerButton(offer, retry) {
  const button = make("button", { type: "button", onclick: () => take(offer, retry) }, offer.label);
  if (offer.afterMs) countDown(button, offer);
  return button;
}

function take(offer, retry) {
  for (const [id, value] of Object.entries(offer.set ?? {})) set(id, value);
  if (offer.goTo) return goTo(offer.goTo);
  if (offer.key) return openKeyDialog(() => retry?.());
  retry?.({ dropPlan: offer.dropPlan === true });
}

/** Offers to try again when the server said that there will be room, and not before. */
function countDown(button, { label, afterMs }) {
  const end = performance.now() + afterMs;
  button.disabled = true;
  const tick = () => {
    const left = Math.ceil((end - performance.now()) / 1000);
    if (left > 0) {
      button.textContent = `${label} in ${left} s`;
      setTimeout(() => button.isConnected && tick(), 200);
      return;
    }
    button.disabled = false;
    button.textContent = label;
    button.classList.add("accent");
    say("There should be room now.");
  };
  tick();
}

/** What is told beside a success; words that may be misspelled are replaced with one click. */
export function warningNotice(warning) {
  const offers = suggestions(warning).map(({ word, meant }) => {
    const replace = () => set("prompt", replaceWord(readForm().prompt, word, meant));
    return make("button", { type: "button", onclick: replace }, `${word} → ${meant}`);
  });
  return make(
    "div",
    { className: "notice" },
    make("p", {}, warningWords(warning)),
    offers.length > 0 && make("div", { className: "offers" }, ...offers),
  );
}

/** Several warnings, the ones about words apart from those that few need to read. */
export function warningList(warnings) {
  if (warnings.length === 0) return null;
  const important = warnings.filter(({ code }) => code !== "latency_unlearned");
  const others = warnings.filter(({ code }) => code === "latency_unlearned");
  const quiet =
    others.length > 0 &&
    make(
      "details",
      { className: "quiet" },
      make("summary", {}, count(others.length, "remark")),
      ...others.map(warningNotice),
    );
  return make("div", { className: "warnings" }, ...important.map(warningNotice), quiet);
}

/** Takes a budget that a plan needs. */
export function grant({ latency_ms: latency, tflops }) {
  if (latency) set("latency-number", latency);
  if (tflops) set("tflops-number", tflops);
  const mode = readForm().mode;
  if (mode === "auto" || mode === "named") setMode(latency ? "time" : "compute");
  byId("latency").focus();
}
