// Does a prompt become a picture, and is everything told that the server says about it?

import { execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import {
  budgetOf,
  draw,
  expect,
  fact,
  generate,
  notice,
  pixels,
  prompt,
  requests,
  result,
  stage,
  test,
} from "./playground.js";

// A server of this file's own: what others asked for changes what plans a server grants.
test.use({ launch: {} });

const DRAWINGS = "/v1/images/generations";

/** Steps that take long enough to be seen, and far longer than any test when there are ten pictures of them. */
async function slowly(page, { steps, n = 1 }) {
  await page.getByText("Advanced", { exact: true }).click();
  await page.getByRole("combobox", { name: "Model", exact: true }).selectOption("emoji-c32");
  await page.getByLabel("Steps", { exact: true }).fill(String(steps));
  await page.getByLabel("Pictures", { exact: true }).fill(String(n));
  await budgetOf(page, "Auto");
}

test("a prompt is drawn, step by step, with partial pictures and numbers", async ({ page, open }) => {
  await open();
  const sent = requests(page, DRAWINGS);
  await slowly(page, { steps: 100 });
  // What passes by is written down, not looked for in time.
  await page.evaluate(() => {
    window.seen = { states: new Set(), steps: new Set() };
    new MutationObserver(() => {
      for (const figure of document.querySelectorAll("#stage .picture")) window.seen.states.add(figure.dataset.state);
      window.seen.steps.add(document.querySelector("#stage .steps span")?.textContent);
    }).observe(document.querySelector("#stage"), {
      subtree: true,
      childList: true,
      attributes: true,
      characterData: true,
    });
  });
  await draw(page, "three pineapples on a beach");
  const seen = await page.evaluate(() => ({ states: [...window.seen.states], steps: [...window.seen.steps] }));
  expect(seen.states).toEqual(expect.arrayContaining(["partial", "finished"]));
  expect(seen.steps.filter((words) => /^step \d+ of 100$/.test(words)).length).toBeGreaterThan(3);

  expect(sent).toHaveLength(1);
  expect(sent[0]).toMatchObject({
    prompt: "three pineapples on a beach",
    model: "emoji-c32",
    num_inference_steps: 100,
    stream: true,
    partial_images: 3,
    stream_options: { include_plan: true, include_progress: true },
  });
  const image = stage(page).getByRole("img", { name: "three pineapples on a beach" });
  expect(await pixels(image)).toMatch(/^128x128 /);
  await expect(result(page).locator(".plan")).toContainText("emoji-c32100 steps");
  await expect(result(page).locator(".phases")).toContainText(
    /predicted p50[\d.]+ (ms|s)predicted p99[\d.]+ (ms|s)queue.*text.*denoise.*decode.*encode/,
  );
  await expect(fact(result(page), "compute")).toHaveText(/^0\.\d+ of 0\.\d+ TFLOP$/);
  await expect(fact(result(page), "seed")).toHaveText(/^\d+$/);
  await expect(fact(result(page), "plan token")).toHaveText(/^A\S+…$/);
  await expect(page.locator("#said")).toContainText("Finished in");
});

test("Ctrl and Enter draw, Escape stops, and the server stops too", async ({ page, open, server }) => {
  await open();
  await slowly(page, { steps: 1000, n: 10 });
  await prompt(page).fill("two blue balloons at night");
  const before = await server.metric('goldilocks_jobs_total{outcome="cancelled"}');
  await page.keyboard.press("Control+Enter");
  await expect(stage(page)).toContainText("step");
  await expect(page.getByRole("button", { name: "Cancel" })).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(notice(page)).toContainText("Cancelled");
  await expect(page.getByRole("button", { name: "Cancel" })).toBeHidden();
  await expect.poll(() => server.metric('goldilocks_jobs_total{outcome="cancelled"}')).toBe(before + 1);
  await expect.poll(() => server.metric('goldilocks_queued_jobs{state="running"}')).toBe(0);
});

test("the button cancels, and what comes next is drawn as if nothing had been", async ({ page, open }) => {
  await open();
  await slowly(page, { steps: 1000, n: 10 });
  await prompt(page).fill("two blue balloons at night");
  await generate(page).click();
  await expect(stage(page)).toContainText("step");
  await page.getByRole("button", { name: "Cancel" }).click();
  await expect(notice(page)).toContainText("Cancelled");
  await page.getByRole("button", { name: "Set all of these back" }).click();
  await draw(page, "a tiny panda in the snow");
  await expect(result(page).locator(".outcome")).toContainText(/ms|s/);
});

test("everything that is pinned is sent and kept", async ({ page, open }) => {
  await open();
  const sent = requests(page, DRAWINGS);
  await page.getByText("Advanced", { exact: true }).click();
  for (const [label, value] of [
    ["Seed", "41"],
    ["Pictures", "2"],
    ["Negative prompt", "grass"],
    ["Steps", "6"],
    ["Guidance", "3"],
    ["Least score", "0.1"],
  ]) {
    await page.getByLabel(label, { exact: true }).fill(value);
  }
  for (const [label, value] of [
    ["Model", "emoji-c16"],
    ["Sampler", "ddim"],
    ["Objective", "alignment"],
    ["When late", "run_late"],
    ["File format", "webp"],
  ]) {
    await page.getByRole("combobox", { name: label, exact: true }).selectOption(value);
  }
  await budgetOf(page, "Auto");
  await draw(page, "a red heart on grass");
  expect(sent[0]).toMatchObject({
    seed: 41,
    n: 2,
    negative_prompt: "grass",
    num_inference_steps: 6,
    guidance_scale: 3,
    model: "emoji-c16",
    sampler: "ddim",
    output_format: "webp",
    quality: "auto",
    budget: { min_score: 0.1, objective: "alignment", on_late: "run_late" },
  });
  await expect(result(page).locator(".plan")).toHaveText("emoji-c166 stepsDDIMguidance 3");
  await expect(fact(result(page), "seeds")).toHaveText("41 to 42");
  const images = stage(page).getByRole("img", { name: "a red heart on grass" });
  await expect(images).toHaveCount(2);
  expect(await pixels(images.first())).not.toBe(await pixels(images.last()));
});

test("the picture can be had as a file, from curl and from Python", async ({ page, open, server }) => {
  await open();
  await draw(page, "a red heart on a white background; it's big");
  // The seed that the server chose belongs to the request.
  await result(page).getByRole("button", { name: "Copy as curl" }).click();
  const chosen = await fact(result(page), "seed").textContent();
  await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toContain(`"seed":${chosen}`);
  // With its plan token a request is never planned anew, so that both files are one.
  await page.getByRole("button", { name: /^Run again/ }).click();
  await expect(page.locator("#history > li")).toHaveCount(2);
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    result(page).getByRole("link", { name: "Download" }).click(),
  ]);
  const seed = await fact(result(page), "seed").textContent();
  expect(download.suggestedFilename()).toBe(`goldilocks-${seed}.png`);
  const file = await readFile(await download.path());

  await result(page).getByRole("button", { name: "Copy as curl" }).click();
  await expect(result(page).getByRole("button", { name: "Copied" })).toBeVisible();
  const curl = await page.evaluate(() => navigator.clipboard.readText());
  expect(curl).toContain(`curl ${server.url}v1/images/generations`);
  const reply = JSON.parse(execFileSync("sh", ["-c", curl], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
  expect(Buffer.from(reply.data[0].b64_json, "base64").equals(file)).toBe(true);
  expect(file.subarray(1, 4).toString()).toBe("PNG");

  await result(page).getByRole("button", { name: "Copy as Python" }).click();
  await expect(result(page).getByRole("button", { name: "Copied" }).last()).toBeVisible();
  await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toContain("from openai import OpenAI");
  const python = await page.evaluate(() => navigator.clipboard.readText());
  expect(python).toContain(`base_url="${server.url}v1"`);
  expect(python).toContain(`"seed": ${seed}`);
  execFileSync("python3", ["-c", "import ast, sys; ast.parse(sys.stdin.read())"], { input: python });
});

test("the seed can be kept, and then the picture is the same", async ({ page, open }) => {
  await open();
  await page.getByText("Advanced", { exact: true }).click();
  await page.getByRole("combobox", { name: "Model", exact: true }).selectOption("emoji-c16-lcm");
  await page.getByLabel("Steps", { exact: true }).fill("2");
  await budgetOf(page, "Auto");
  await draw(page, "four strawberries on grass");
  const image = stage(page).getByRole("img", { name: "four strawberries on grass" });
  const [first, plan] = [await pixels(image), await result(page).locator(".plan").textContent()];
  const seed = await fact(result(page), "seed").textContent();
  await result(page).getByRole("button", { name: "Keep the seed" }).click();
  await expect(page.getByLabel("Seed", { exact: true })).toHaveValue(seed);
  await result(page).getByRole("button", { name: "Draw again" }).click();
  await expect(page.locator("#history > li")).toHaveCount(2);
  await expect(fact(result(page), "seed")).toHaveText(seed);
  await expect(result(page).locator(".plan")).toHaveText(plan);
  expect(await pixels(image)).toBe(first);
});

test("the load strip says what the metrics say", async ({ page, open, server }) => {
  await open();
  const capacity = await server.metric("goldilocks_batch_capacity_rows");
  await expect(page.locator("#load-batch")).toHaveText(new RegExp(`^[\\d.]+ of ${capacity}$`));
  await expect(page.locator("#load-queued")).toHaveText(/^[\d.]+ m?s$/);
  await expect(page.locator("#load-flight")).toHaveText(/^\d+$/);
  await draw(page, "a purple rocket in the sky");
  await expect(page.locator("#load-attained")).toHaveText(/^\d+%$/);
});
