// Are the pictures of a comparison of one prompt and seed, each with its plan?

import { crowd, disperse } from "./crowd.js";
import { budgetOf, expect, pixels, prompt, requests, test } from "./playground.js";

// A server of this file's own, since what others asked for changes what plans a server grants, and soon full.
test.use({ launch: { flags: ["--queue-capacity=4"] } });

const cells = (page) => page.locator("#compare-grid tbody td");
const run = (page) => page.getByRole("button", { name: "Compare", exact: true });

async function inTflops(page, budgets) {
  await page.getByRole("combobox", { name: "in", exact: true }).selectOption("tflops");
  await page.getByLabel("Budgets", { exact: true }).fill(budgets);
}

test("budgets stand side by side, with one seed, and those that buy nothing say so", async ({ page, open }) => {
  await open();
  const sent = requests(page, "/v1/images/generations");
  await prompt(page).fill("three pineapples on a beach");
  await inTflops(page, "0.0001, 0.003, 0.004, 0.012");
  await run(page).click();
  await expect(page.locator("#said")).toHaveText("The comparison is finished.");
  await expect(cells(page)).toHaveCount(4);
  await expect(cells(page).nth(0)).toContainText("No plan fits this budget");
  expect(new Set(sent.map(({ seed }) => seed)).size).toBe(1);
  const scores = [];
  for (const index of [1, 2, 3]) {
    expect(await pixels(cells(page).nth(index).getByRole("img"))).toMatch(/^128x128 /);
    await expect(cells(page).nth(index)).toContainText(/emoji-\S+\d+ steps?, .* · [\d.]+ m?s/);
    scores.push(Number(/(0\.\d+) ±/.exec(await cells(page).nth(index).textContent())[1]));
  }
  expect(scores).toEqual([...scores].sort((a, b) => a - b));
  expect(scores[0]).toBeLessThan(scores[2]);
});

test("models stand one below the other", async ({ page, open }) => {
  await open();
  await prompt(page).fill("two blue balloons at night");
  await inTflops(page, "0.006 0.012");
  await page.getByRole("checkbox", { name: "emoji-c8", exact: true }).check();
  await page.getByRole("checkbox", { name: "emoji-c32", exact: true }).check();
  await run(page).click();
  await expect(page.locator("#said")).toHaveText("The comparison is finished.");
  const rows = page.locator("#compare-grid tbody tr");
  await expect(rows).toHaveCount(2);
  for (const [index, model] of ["emoji-c8", "emoji-c32"].entries()) {
    await expect(rows.nth(index).getByRole("rowheader")).toHaveText(model);
    await expect(
      rows.nth(index).getByRole("img", { name: `two blue balloons at night, drawn by ${model}` }),
    ).toHaveCount(2);
  }
});

test("it can be stopped, and says what is missing", async ({ page, open }) => {
  await open();
  await run(page).click();
  await expect(page.locator("#compare-notice")).toContainText("Write a prompt first");
  await prompt(page).fill("a tiny panda in the snow");
  await page.getByLabel("Budgets", { exact: true }).fill("nothing");
  await run(page).click();
  await expect(page.locator("#compare-notice")).toContainText("Write some budgets");
  await page.getByText("Advanced", { exact: true }).click();
  await page.getByLabel("Steps", { exact: true }).fill("1000");
  await page.getByRole("combobox", { name: "Model", exact: true }).selectOption("emoji-c32");
  await inTflops(page, "10, 11, 12, 13");
  await run(page).click();
  await expect(page.locator("#compare-grid [aria-busy]")).toHaveCount(1);
  await page.getByRole("button", { name: "Stop" }).click();
  await expect(page.locator("#said")).toHaveText("The comparison was stopped.");
  await expect(cells(page).last()).toHaveText("not drawn");
  await expect(run(page)).toBeEnabled();
});

test("a busy server is asked again when it said that there will be room", async ({ page, open, server }) => {
  await page.clock.install();
  await open();
  // A plan for a time budget would be asked again as well, and be told of.
  await budgetOf(page, "Auto");
  await prompt(page).fill("four strawberries in the snow");
  await inTflops(page, "0.006, 0.012");
  const jobs = await crowd(server);
  await run(page).click();
  await expect(cells(page).first()).toContainText(/The server is busy; asked again in [\d.]+ m?s/);
  await disperse(server, jobs);
  // What was cancelled goes at its next step, so that the first try may still be too early.
  await expect(async () => {
    await page.clock.fastForward(60_000);
    await expect(page.locator("#compare-grid img")).toHaveCount(2, { timeout: 2000 });
  }).toPass();
  await expect(run(page)).toBeEnabled();
});
