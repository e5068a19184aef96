// What is seen while a picture is drawn, and when it is there? One drawing at a time, from the first step to the numbers.

import { byId, make, say } from "./dom.js";
import { drawPictures } from "./drawing.js";
import { faultNotice } from "./notices.js";
import { planTags } from "./planview.js";
import { resultView } from "./result.js";
import { Fault } from "./server.js";
import { count, planLine, span } from "./words.js";

/** @type {AbortController | null} */
let running = null;

export const isDrawing = () => running !== null;

/** Stops what is being drawn; the server stops at its next step. */
export function cancel() {
  running?.abort(new DOMException("cancelled", "AbortError"));
}

/** What is shown before anything was drawn. */
export function showNothing() {
  byId("stage").replaceChildren(
    make(
      "div",
      { className: "empty" },
      make("div", { className: "bowls", ariaHidden: "true" }, make("i"), make("i"), make("i")),
      make("p", {}, "Not too little, not too much."),
      make("p", { className: "soft" }, "Say what to draw and what it may cost; the best plan within that draws it."),
    ),
  );
}

/**
 * Draws, and shows it. Resolves when it is over, however it ended.
 * @param {object} body
 * @param {{retry: (options?: object) => void, finished: (reply: any, body: object) => void, keepSeed: (seed: number) => void}} actions
 */
export async function drawOnStage(body, actions) {
  cancel();
  const mine = new AbortController();
  running = mine;
  const view = progressView(body);
  byId("stage").replaceChildren(view.element);
  byId("stage").setAttribute("aria-busy", "true");
  showButtons();
  say("Drawing.");
  try {
    const reply = await drawPictures(body, view.told, mine.signal);
    if (running === mine) finish(view, reply, body, actions);
  } catch (fault) {
    if (running === mine) view.end(ending(fault, mine.signal, actions));
  } finally {
    if (running === mine) {
      running = null;
      byId("stage").setAttribute("aria-busy", "false");
      showButtons();
    }
  }
}

function showButtons() {
  byId("cancel").hidden = !isDrawing();
  byId("generate").textContent = isDrawing() ? "Generate anew" : "Generate";
}

function finish(view, reply, body, actions) {
  say(`Finished in ${span(reply.actual.latency_ms)}: ${planLine(reply.plan)}.`);
  view.end(resultView(reply, body, { again: () => actions.retry(), keepSeed: actions.keepSeed }));
  actions.finished(reply, body);
}

function ending(fault, signal, { retry }) {
  if (signal.aborted) {
    say("Cancelled.");
    return make("div", { className: "notice" }, make("p", {}, "Cancelled. The server stopped before its next step."));
  }
  if (!(fault instanceof Fault)) throw fault;
  return faultNotice(fault, { retry });
}

/** The pictures with what is told of them until they are finished. */
function progressView(body) {
  const n = Number(body.n ?? 1) || 1;
  const frames = Array.from({ length: Math.min(Math.max(n, 1), 10) }, (_, index) => frame(body.prompt, index));
  const bar = make("progress", { ariaLabel: "Steps" });
  const words = make("span", { className: "soft" }, "waiting for the device");
  const plan = make("div");
  const below = make("div", { className: "below" }, plan, make("div", { className: "steps" }, bar, words));
  const element = make(
    "div",
    { className: "drawing" },
    make("div", { className: picturesClass(n) }, ...frames.map(({ figure }) => figure)),
    below,
  );
  const told = {
    plan: (chosen) => plan.replaceChildren(planTags(chosen)),
    progress: (image, done, total) => {
      bar.max = total * frames.length;
      bar.value = image * total + done;
      words.textContent = `${n > 1 ? `picture ${image + 1}, ` : ""}step ${done} of ${total}`;
    },
    partial: (image, url) => frames[image]?.show(url, "partial"),
    picture: (image, url) => frames[image]?.show(url, "finished"),
    waiting: (fault) => {
      words.textContent = waitingWords(fault);
    },
  };
  const end = (what) => {
    for (const { figure } of frames) figure.classList.remove("blank");
    if (!frames.some(({ image }) => image.src)) element.querySelector(".pictures").remove();
    below.replaceChildren(what);
  };
  return { element, told, end };
}

const picturesClass = (n) => (n === 1 ? "pictures" : n <= 4 ? "pictures many few" : "pictures many");

function waitingWords({ code, error }) {
  if (!error.loading)
    return code === "shutting_down"
      ? "the server is restarting; this goes on by itself"
      : "the models are being timed; this goes on by itself";
  return `the server is warming up, ${error.loading.models_loaded} of ${count(error.loading.models, "model")} loaded; this goes on by itself`;
}

function frame(prompt, index) {
  const image = make("img", { alt: "", width: 128, height: 128, hidden: true });
  const figure = make("figure", { className: "picture blank" }, image);
  const show = (url, state) => {
    // A picture on its way is seen here alone; a finished one goes on into the history.
    if (figure.dataset.state === "partial") URL.revokeObjectURL(image.src);
    image.src = url;
    image.hidden = false;
    image.alt = state === "finished" ? prompt : `Picture ${index + 1}, on its way`;
    figure.dataset.state = state;
    figure.classList.remove("blank");
  };
  return { figure, image, show };
}
