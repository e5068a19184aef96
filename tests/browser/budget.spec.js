// Is it shown, with every change, what the budget would buy?

import { budgetOf, buys, draw, expect, fact, generate, notice, prompt, requests, result, test } from "./playground.js";

// A server of this file's own: what others asked for changes what plans a server grants.
test.use({ launch: {} });

const PLANS = "/v1/plan";
const number = (page, name) => page.getByRole("spinbutton", { name, exact: true });
const slider = (page, name) => page.getByRole("slider", { name: `${name} budget` });
const score = async (page) => Number.parseFloat(await fact(buys(page), "score").textContent());
const dot = (page) => page.locator(".dot").getAttribute("transform");

test("dragging the slider moves the number, the plan and the dot", async ({ page, open }) => {
  await open();
  const sent = requests(page, PLANS);
  await slider(page, "Time").focus();
  await page.keyboard.press("End");
  await expect.poll(() => score(page)).toBeGreaterThan(0.8);
  const [most, high] = [await number(page, "Time").inputValue(), await score(page)];
  const place = await dot(page);

  const box = await slider(page, "Time").boundingBox();
  await page.mouse.move(box.x + box.width - 11, box.y + box.height / 2);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.2, box.y + box.height / 2, { steps: 12 });
  await page.mouse.up();
  expect(Number(await number(page, "Time").inputValue())).toBeLessThan(Number(most));
  await expect.poll(() => score(page)).toBeLessThan(high);
  expect(await dot(page)).not.toBe(place);
  // Not every position on the way was asked about.
  expect(sent.length).toBeLessThan(10);
  expect(sent.at(-1).budget.latency_ms).toBe(Number(await number(page, "Time").inputValue()));
});

test("arrows move the slider and what it says", async ({ page, open }) => {
  await open();
  const before = Number(await number(page, "Time").inputValue());
  await slider(page, "Time").focus();
  for (let press = 0; press < 20; press += 1) await page.keyboard.press("ArrowRight");
  const after = Number(await number(page, "Time").inputValue());
  expect(after).toBeGreaterThan(before);
  await expect(slider(page, "Time")).toHaveAttribute("aria-valuetext", `${after} milliseconds`);
});

test("each kind of budget is sent as what it is", async ({ page, open }) => {
  await open();
  const last = requests(page, PLANS);
  const asked = async (kind) => {
    const before = last.length;
    await budgetOf(page, kind);
    await expect.poll(() => last.length).toBeGreaterThan(before);
    return last.at(-1);
  };
  const auto = await asked("Auto");
  expect([auto.budget, auto.quality]).toEqual([undefined, undefined]);
  expect(Object.keys((await asked("Compute")).budget)).toEqual(["tflops"]);
  await expect(page.getByRole("button", { name: "compute", exact: true })).toHaveAttribute("aria-pressed", "true");
  expect(Object.keys((await asked("Both")).budget)).toEqual(["latency_ms", "tflops"]);
  expect(Object.keys((await asked("Time")).budget)).toEqual(["latency_ms"]);
  const named = await asked("Named");
  expect([named.budget, named.quality]).toEqual([undefined, "medium"]);
  await page.getByLabel("Quality").selectOption("max");
  await expect.poll(() => last.at(-1).quality).toBe("max");
});

test("the plan within a compute budget keeps it, and more compute never scores less", async ({ page, open }) => {
  await open();
  await budgetOf(page, "Compute");
  let before = 0;
  for (const tflops of ["0.003", "0.0034", "0.004", "0.006", "0.012"]) {
    await number(page, "Compute").fill(tflops);
    await expect
      .poll(async () => Number.parseFloat(await fact(buys(page), "compute").textContent()))
      .toBeLessThanOrEqual(Number(tflops));
    await expect.poll(() => score(page)).toBeGreaterThan(before);
    before = await score(page);
  }
});

test("a click on the frontier sets the budget there", async ({ page, open }) => {
  await open();
  await budgetOf(page, "Auto");
  await page.locator(".stop").last().click({ force: true });
  await expect(page.getByRole("radio", { name: "Time" })).toBeChecked();
  await expect(slider(page, "Time")).toBeVisible();
});

test("the next better plan is one click away", async ({ page, open }) => {
  await open();
  await budgetOf(page, "Compute");
  await number(page, "Compute").fill("0.003");
  const next = page.getByRole("button", { name: /^Next better needs/ });
  await expect(next).toBeVisible();
  const before = await score(page);
  await next.click();
  await expect.poll(() => score(page)).toBeGreaterThan(before);
});

test("a budget that nothing fits is told with what would do, and set to it", async ({ page, open }) => {
  await open();
  await budgetOf(page, "Compute");
  await number(page, "Compute").fill("0.0001");
  await expect(buys(page)).toContainText("No plan fits this budget");
  await prompt(page).fill("a big red heart on a white background");
  await generate(page).click();
  await expect(notice(page)).toContainText("even on an idle server");
  await notice(page)
    .getByRole("button", { name: /^Set the budget to 0\.\d+ TFLOP$/ })
    .click();
  await expect(result(page)).toBeVisible();
  expect(Number(await number(page, "Compute").inputValue())).toBeGreaterThan(0.002);
});

test("a word that is not known is replaced with one click, before and after drawing", async ({ page, open }) => {
  await open();
  await prompt(page).fill("three pinapples on a beach");
  const hint = page.locator("#hints").getByRole("button", { name: "pinapples → pineapples" });
  await hint.click();
  await expect(prompt(page)).toHaveValue("three pineapples on a beach");
  await expect(page.locator("#hints")).toBeEmpty();
  await draw(page, "three Strawbery on grass");
  await result(page)
    .getByRole("button", { name: /→ strawberr/ })
    .click();
  await expect(prompt(page)).toHaveValue(/^three strawberr(y|ies) on grass$/);
});

test("a fault in a field leads to the field", async ({ page, open }) => {
  await open();
  await page.getByText("Advanced", { exact: true }).click();
  await page.getByLabel("Seed", { exact: true }).fill("seven");
  await prompt(page).fill("a red heart on grass");
  await generate(page).click();
  await expect(notice(page)).toContainText("Seed must be an integer");
  await notice(page).getByRole("button", { name: "Go to the field" }).click();
  await expect(page.getByLabel("Seed", { exact: true })).toBeFocused();
});
