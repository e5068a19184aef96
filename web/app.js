// How do the parts of the page work together? Started here, in the order in which a person needs them.

import { cancelCompare, isComparing, offerModels, openCompare, suggestBudgets } from "./compare.js";
import { byId, make, say } from "./dom.js";
import { readForm, recall, set, watchForm } from "./form.js";
import { loadFrontier, setAxis, showPlot } from "./frontier.js";
import { openHistory, remember } from "./history.js";
import { watchKey } from "./key.js";
import { planNow, planSoon } from "./live.js";
import { bodyOf } from "./request.js";
import { Fault, json } from "./server.js";
import { cancel, drawOnStage, isDrawing, showNothing } from "./stage.js";
import { look, onState } from "./watch.js";

/** Shown where a family knows every word of them; the last two where a family does not say what it knows. */
const EXAMPLES = [
  "three pineapples on a beach",
  "a big red heart on grass",
  "two blue balloons at night",
  "four strawberries in the snow",
  "a tiny panda on a lawn",
  "a purple rocket in the sky",
];
const GENERAL_EXAMPLES = ["a lighthouse at dusk, oil painting", "a red fox in the snow, photograph"];

/** Fields that change what the frontier is. */
const FRONTIER_FIELDS = ["model", "size", "objective", "n"];

function start() {
  showNothing();
  watchForm((control) => {
    if (FRONTIER_FIELDS.includes(control.id) || control.id === "seed") loadFrontier();
    planSoon(control);
  });
  watchKey(async () => {
    const before = loads;
    await look();
    // A change of state has loaded it all.
    if (loads === before) await loadAll();
  });
  openHistory((body) => drawBody(body));
  openCompare();
  listen();
  onState((state) => {
    if (state === "ready" || state === "warming") loadAll();
  });
  look();
}

function listen() {
  byId("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    generate();
  });
  byId("cancel").addEventListener("click", cancel);
  for (const axis of ["latency", "tflops"]) byId(`axis-${axis}`).addEventListener("click", () => setAxis(axis));
  new ResizeObserver(() => showPlot()).observe(byId("plot"));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !byId("key-dialog").open) {
      event.preventDefault();
      generate();
    }
    if (event.key === "Escape" && !byId("key-dialog").open) {
      if (isDrawing()) cancel();
      else if (isComparing()) cancelCompare();
    }
  });
}

function generate() {
  const body = bodyOf(readForm());
  if (!body.prompt) {
    say("Write a prompt first.");
    byId("prompt").focus();
    return;
  }
  drawBody(body, () => generate());
}

/** Draws a request; `retry` makes it anew from the form, or it is the same once more. */
function drawBody(body, retry = undefined) {
  const { plan_token: _, ...unplanned } = body;
  drawOnStage(body, {
    retry: retry ?? ((options) => drawBody(options?.dropPlan ? unplanned : body)),
    keepSeed: (seed) => {
      set("seed", seed);
      say(`Seed ${seed} is kept.`);
    },
    finished: (reply, asked) => {
      remember(reply, asked);
      loadFrontier().then(planNow);
    },
  });
  showStage();
}

/** On a narrow screen the stage lies below the settings. */
function showStage() {
  const stage = byId("stage");
  if (stage.getBoundingClientRect().top < innerHeight * 0.8) return;
  const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
  stage.scrollIntoView({ behavior: isStill ? "auto" : "smooth", block: "start" });
}

let isLoaded = false;
/** How often it was asked what there is. */
let loads = 0;

/** What the server offers; asked again whenever it may have changed. */
async function loadAll() {
  loads += 1;
  try {
    offer(await json("v1/models"));
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault;
  }
  await loadFrontier();
  suggestBudgets();
  await planNow();
}

function offer({ data, families }) {
  if (isLoaded) return;
  isLoaded = true;
  const [family] = families;
  options("model", [...families.map(({ id }) => id).filter((id) => id !== family.id), ...data.map(({ id }) => id)]);
  options(
    "size",
    families.flatMap(({ sizes }) => sizes),
  );
  options(
    "sampler",
    data.flatMap(({ samplers }) => samplers),
  );
  offerModels(data.filter((model) => model.family === family.id).map(({ id }) => id));
  showExamples(family.vocabulary);
  recall();
}

function options(id, values) {
  byId(id).append(...[...new Set(values)].map((value) => make("option", {}, value)));
}

function showExamples(vocabulary) {
  const isKnown = (prompt) => vocabulary === null || prompt.split(" ").every((word) => vocabulary.includes(word));
  const prompts = vocabulary === null ? GENERAL_EXAMPLES : EXAMPLES.filter(isKnown);
  const chip = (prompt) => make("li", {}, make("button", { type: "button", onclick: () => choose(prompt) }, prompt));
  byId("examples").replaceChildren(...prompts.map(chip));
  if (byId("prompt").value === "" && prompts.length > 0) byId("prompt").placeholder = prompts[0];
}

function choose(prompt) {
  set("prompt", prompt);
  byId("prompt").focus();
}

start();
