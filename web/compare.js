// What does more budget, or another model, make of the same prompt and seed? Drawn side by side, one after another.

import { byId, make, say } from "./dom.js";
import { drawPictures, pause, randomSeed } from "./drawing.js";
import { readForm } from "./form.js";
import { budgetsToCompare } from "./frontier.js";
import { faultNotice } from "./notices.js";
import { explain } from "./remedies.js";
import { bodyOf } from "./request.js";
import { Fault } from "./server.js";
import { count, planParts, score, span, work } from "./words.js";

const MOST_CELLS = 40;
/** How often a picture is asked for while the server is busy with others. */
const MOST_TRIES = 5;
/** @type {AbortController | null} */
let running = null;

export const isComparing = () => running !== null;
export const cancelCompare = () => running?.abort(new DOMException("cancelled", "AbortError"));

export function openCompare() {
  byId("compare").addEventListener("submit", (event) => {
    event.preventDefault();
    compare();
  });
  byId("compare-cancel").addEventListener("click", cancelCompare);
  byId("compare-unit").addEventListener("change", () => suggestBudgets(true));
}

/** Offers the models of a list; none chosen means any. */
export function offerModels(ids) {
  byId("compare-models").replaceChildren(
    make("legend", { className: "unseen" }, "Models"),
    ...ids.map((id) =>
      make("label", {}, make("input", { type: "checkbox", name: "compare-model", value: id }), make("span", {}, id)),
    ),
  );
}

/** Fills in budgets along the frontier, unless the person wrote some. */
export function suggestBudgets(anew = false) {
  const field = byId("compare-budgets");
  const unit = byId("compare-unit").value;
  if (field.value === "" || anew) field.value = budgetsToCompare(unit === "tflops" ? "tflops" : "latency").join(", ");
}

const budgets = () =>
  byId("compare-budgets")
    .value.split(/[,;\s]+/)
    .map(Number)
    .filter((budget) => budget > 0);
const models = () => [...document.querySelectorAll('input[name="compare-model"]:checked')].map(({ value }) => value);

async function compare() {
  cancelCompare();
  const ask = readForm();
  const problem = problemOf(ask);
  byId("compare-notice").replaceChildren(
    ...(problem ? [make("div", { className: "notice bad", role: "alert" }, make("p", {}, problem))] : []),
  );
  if (problem) return;
  const mine = new AbortController();
  running = mine;
  showButtons();
  const grid = makeGrid(ask);
  byId("compare-grid").replaceChildren(grid.table);
  say("Comparing.");
  for (const cell of grid.cells) {
    if (mine.signal.aborted) cell.place.replaceChildren(make("p", { className: "soft" }, "not drawn"));
    else await fill(cell, mine.signal);
  }
  say(mine.signal.aborted ? "The comparison was stopped." : "The comparison is finished.");
  if (running === mine) {
    running = null;
    showButtons();
  }
}

function problemOf({ prompt }) {
  const n = budgets().length * Math.max(models().length, 1);
  if (prompt === "") return "Write a prompt first; every picture is drawn for the same one.";
  if (budgets().length === 0) return "Write some budgets, numbers with commas between them.";
  if (n > MOST_CELLS) return `These are ${n} pictures; compare at most ${MOST_CELLS} at once.`;
  return null;
}

function showButtons() {
  byId("compare-cancel").hidden = !isComparing();
  byId("compare-run").disabled = isComparing();
}

/** A row for each model, a column for each budget. */
function makeGrid(ask) {
  const unit = byId("compare-unit").value;
  const seed = ask.pins.seed === "" ? randomSeed() : ask.pins.seed;
  const rows = models().length > 0 ? models() : [null];
  const told = (budget) => (unit === "tflops" ? work(budget) : span(budget));
  const cells = [];
  const cellOf = (model, budget) => {
    const place = make("td", {}, make("div", { className: "picture blank" }));
    cells.push({ place, body: bodyFor(ask, { model, unit, budget, seed }) });
    return place;
  };
  const head = make(
    "tr",
    {},
    make("td", { className: "corner" }),
    ...budgets().map((budget) => make("th", { scope: "col" }, told(budget))),
  );
  const body = rows.map((model) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, model ?? make("span", { className: "unseen" }, "any model")),
      ...budgets().map((budget) => cellOf(model, budget)),
    ),
  );
  const caption = make("caption", {}, `“${ask.prompt}”, seed ${seed}`);
  return {
    table: make("table", { className: "grid" }, caption, make("thead", {}, head), make("tbody", {}, ...body)),
    cells,
  };
}

function bodyFor(ask, { model, unit, budget, seed }) {
  const isTflops = unit === "tflops";
  return bodyOf({
    ...ask,
    mode: isTflops ? "compute" : "time",
    latencyMs: isTflops ? null : budget,
    tflops: isTflops ? budget : null,
    pins: { ...ask.pins, model: model ?? ask.pins.model, seed, n: null },
  });
}

async function fill({ place, body }, signal) {
  place.setAttribute("aria-busy", "true");
  try {
    place.replaceChildren(...drawn(await patiently({ place, body }, signal), body));
  } catch (fault) {
    if (signal.aborted) place.replaceChildren(make("p", { className: "soft" }, "not drawn"));
    else if (fault instanceof Fault) refuse(place, fault);
    else throw fault;
  }
  place.removeAttribute("aria-busy");
}

/** Draws; a server that is busy is asked again when it said that there will be room. */
async function patiently({ place, body }, signal) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await drawPictures(body, {}, signal);
    } catch (fault) {
      if (!(fault instanceof Fault && fault.code === "overloaded") || tries === MOST_TRIES) throw fault;
      const wait = fault.error.retry_after_ms ?? 1000;
      const told = make("p", { className: "soft" }, `The server is busy; asked again in ${span(wait)}`);
      place.replaceChildren(make("div", { className: "none" }, told));
      await pause(wait, signal);
    }
  }
}

/** What one budget cannot have does not end the comparison; what would refuse every one does. */
function refuse(place, fault) {
  place.replaceChildren(
    make(
      "div",
      { className: "none" },
      make("strong", {}, explain(fault).title),
      make("p", { className: "soft" }, least(fault.error)),
    ),
  );
  if (!["invalid_api_key", "unreachable"].includes(fault.code)) return;
  byId("compare-notice").replaceChildren(faultNotice(fault, { retry: () => compare() }));
  cancelCompare();
}

function least({ minimum_feasible: enough, message }) {
  const words = [enough?.latency_ms && span(enough.latency_ms), enough?.tflops && work(enough.tflops)].filter(Boolean);
  return words.length > 0 ? `at least ${words.join(" and ")}` : message;
}

function drawn({ images: [image], plan, actual }, body) {
  const parts = [
    make(
      "div",
      { className: "picture" },
      make("img", { src: image.url, alt: `${body.prompt}, drawn by ${plan.model}`, width: 128, height: 128 }),
    ),
    make("strong", {}, plan.model),
    make("p", { className: "soft" }, planParts(plan).join(", ")),
    make("p", {}, `${score(image.score)} · ${span(actual.latency_ms)}`),
    image.degraded && make("p", { className: "soft" }, `shortened to ${count(image.stepsRun, "step")} to be in time`),
    image.late && make("p", { className: "bad" }, "late"),
  ];
  return parts.filter(Boolean);
}
