// Can what was drawn be drawn again, after a reload too?

import { budgetOf, draw, expect, pixels, prompt, requests, result, stage, test } from "./playground.js";

// A server of this file's own: what others asked for changes what plans a server grants.
test.use({ launch: {} });

const entries = (page) => page.locator("#history > li");
const again = (page, text) => page.getByRole("button", { name: `Run again: ${text}` });

test("a picture of the past is drawn again, bit by bit the same, from its plan and seed", async ({ page, open }) => {
  await open();
  await budgetOf(page, "Auto");
  await draw(page, "three pineapples on a beach");
  const image = (text) => stage(page).getByRole("img", { name: text });
  const first = await pixels(image("three pineapples on a beach"));
  await draw(page, "two blue balloons at night");
  await expect(entries(page)).toHaveCount(2);
  await expect(entries(page).first()).toContainText("two blue balloons at night");
  expect(await pixels(image("two blue balloons at night"))).not.toBe(first);

  const sent = requests(page, "/v1/images/generations");
  await again(page, "three pineapples on a beach").click();
  await expect(entries(page)).toHaveCount(3);
  await expect(result(page)).toBeVisible();
  expect(await pixels(image("three pineapples on a beach"))).toBe(first);
  expect(sent[0].plan_token).toMatch(/^A/);
  expect([sent[0].budget, sent[0].quality]).toEqual([undefined, undefined]);

  await page.reload();
  await expect(entries(page)).toHaveCount(3);
  await expect(entries(page).first()).toContainText("drawn before the reload");
  await again(page, "three pineapples on a beach").last().click();
  await expect(result(page)).toBeVisible();
  expect(await pixels(image("three pineapples on a beach"))).toBe(first);
});

test("a picture of the past can be had as a file", async ({ page, open }) => {
  await open();
  await draw(page, "a tiny panda in the snow");
  const link = page.getByRole("link", { name: "Download: a tiny panda in the snow" });
  const [download] = await Promise.all([page.waitForEvent("download"), link.click()]);
  expect(download.suggestedFilename()).toMatch(/^goldilocks-\d+\.png$/);
});

test("what was set survives a reload, and the history can be cleared", async ({ page, open }) => {
  await open();
  await budgetOf(page, "Compute");
  await page.getByRole("spinbutton", { name: "Compute" }).fill("0.0051");
  await page.getByText("Advanced", { exact: true }).click();
  await page.getByRole("combobox", { name: "Sampler", exact: true }).selectOption("ddim");
  await draw(page, "a red heart on grass");
  await expect(entries(page)).toHaveCount(1);
  await page.reload();
  await expect(prompt(page)).toHaveValue("a red heart on grass");
  await expect(page.getByRole("radio", { name: "Compute" })).toBeChecked();
  await expect(page.getByRole("spinbutton", { name: "Compute" })).toHaveValue("0.0051");
  await expect(page.getByRole("combobox", { name: "Sampler", exact: true })).toHaveValue("ddim");
  await page.getByRole("button", { name: "Clear" }).click();
  await expect(entries(page)).toHaveCount(0);
  await page.reload();
  await expect(prompt(page)).toHaveValue("a red heart on grass");
  await expect(entries(page)).toHaveCount(0);
});

test("what something else left in the store does no harm", async ({ page, server }) => {
  await page.addInitScript(() => localStorage.setItem("goldilocks.history", '[{"id":1},null,7'));
  await page.goto(server.url);
  await expect(page.locator("#buys")).toContainText("This buys");
  await expect(entries(page)).toHaveCount(0);
});
