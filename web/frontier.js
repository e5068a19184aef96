// Where do budgets lie on the frontier? The curves as the server tells them, their scales, and the plot that follows them.

import { byId, make } from "./dom.js";
import { LIMITS, mode, readForm, set, setMode, setScale } from "./form.js";
import { costOf, frontierTable, plot } from "./plot.js";
import { hasCompute, hasTime, said } from "./request.js";
import { logScale, readable, readableAbove, scaleAround } from "./scale.js";
import { Fault, json } from "./server.js";

const N_COMPARED = 5;
/** Cheaper plans draw nothing that can be recognized. */
const LEAST_WORTH_COMPARING = 0.5;

/** @type {"latency" | "tflops"} */
let axis = "latency";
/** @type {Record<string, any>} */
const frontiers = {};
/** The plan that is shown on it, with what is predicted of it. */
let chosen = null;

/** Shows a plan on the frontier; null for none. */
export function showChosen(plan) {
  chosen = plan;
  showPlot();
}

/** The plot follows the kind of budget, as far as that says which axis. */
export function followMode() {
  if (mode() === "time") setAxis("latency");
  if (mode() === "compute") setAxis("tflops");
}

export function setAxis(wanted) {
  axis = wanted;
  for (const name of Object.keys(LIMITS)) byId(`axis-${name}`).ariaPressed = String(name === axis);
  loadFrontier();
}

/** Asks for both curves: what they are made of is learned with every request. */
export async function loadFrontier() {
  const { pins, terms } = readForm();
  const query = new URLSearchParams(said({ model: pins.model, size: pins.size, objective: terms.objective }));
  await Promise.all(
    Object.keys(LIMITS).map(async (name) => {
      try {
        frontiers[name] = await json(`v1/frontier?axis=${name}&${query}`);
        scaleFrom(name);
      } catch (fault) {
        if (!(fault instanceof Fault)) throw fault;
        delete frontiers[name];
      }
    }),
  );
  showPlot();
}

/** Pictures that the request asks for, as far as that is a number of pictures. */
const nPictures = () => Math.min(Math.max(Math.trunc(Number(readForm().pins.n ?? 1)) || 1, 1), 10);

/** The plot's scales, and how many pictures the sliders' ranges are for. */
const scales = {};
const scaledFor = {};

/** Scales are kept while the curves lie within them: a thumb that moves by itself could not be aimed. */
function scaleFrom(name) {
  const { curve, models } = frontiers[name];
  const costs = [curve, ...models.map((model) => model.curve)]
    .flat()
    .map(({ estimate }) => costOf(estimate, name))
    .filter(Boolean);
  const n = nPictures();
  const fits = scales[name] && costs.every((cost) => cost >= scales[name].low && cost <= scales[name].high);
  if (costs.length === 0 || (fits && scaledFor[name] === n)) return;
  if (!fits) scales[name] = scaleAround(costs);
  scaledFor[name] = n;
  // Enough for the best plan, and still for some plan when the first requests teach the server that it is slower.
  const best = curve.at(-1);
  setScale(name, logScale(scales[name].low, scales[name].high * n), costOf(best.estimate, name) * 1.2);
}

/** Budgets worth comparing: along the frontier, each with a plan of its own, and with some room for time. */
export function budgetsToCompare(name) {
  const { curve } = frontiers[name] ?? { curve: [] };
  const [room, apart] = name === "latency" ? [1.25, 1.25] : [1, 1.06];
  const picked = [];
  for (const { estimate } of curve) {
    const budget = readableAbove(costOf(estimate, name) * room);
    const isWorthIt = (estimate.score?.mean ?? 0) > LEAST_WORTH_COMPARING;
    if (isWorthIt && (picked.length === 0 || budget > picked.at(-1) * apart)) picked.push(budget);
  }
  const step = (picked.length - 1) / (Math.min(picked.length, N_COMPARED) - 1 || 1);
  return [...new Set(Array.from({ length: N_COMPARED }, (_, index) => picked[Math.round(index * step)]))].filter(
    Boolean,
  );
}

export function showPlot() {
  const frontier = frontiers[axis];
  byId("frontier-table").replaceChildren(frontier ? frontierTable(frontier) : "");
  if (!frontier || frontier.curve.length === 0) {
    const why = frontier
      ? "No plan of this family was measured, so there is no frontier."
      : "The frontier is drawn when the server has timed its models.";
    byId("plot").replaceChildren(make("p", { className: "soft note" }, why));
    return;
  }
  const isForOne = nPictures() === 1;
  const place = {
    frontier,
    axis,
    scale: scales[axis],
    limit: limitForOne(),
    chosen: isForOne ? chosen : chosenForOne(frontier),
  };
  plot(byId("plot"), { ...place, note: isForOne ? null : "for one picture", onPick });
}

/** Curves are for one picture. The work of several is shared out exactly, their time is not. */
function limitForOne() {
  const ask = readForm();
  if (axis === "tflops") return hasCompute(ask.mode) && ask.tflops ? ask.tflops / nPictures() : null;
  return hasTime(ask.mode) && nPictures() === 1 ? ask.latencyMs : null;
}

/** Where the chosen plan would be if it drew one picture; null if it is on no curve. */
function chosenForOne(frontier) {
  const wanted = JSON.stringify(chosen?.plan);
  return (
    [frontier, ...frontier.models].flatMap(({ curve }) => curve).find(({ plan }) => JSON.stringify(plan) === wanted) ??
    null
  );
}

function onPick(cost) {
  const isLatency = axis === "latency";
  set(LIMITS[axis], readable(cost * nPictures()));
  const has = isLatency ? hasTime(mode()) : hasCompute(mode());
  if (!has) setMode(isLatency ? "time" : "compute");
}
