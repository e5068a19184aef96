// Does the page work where the server asks for a key?

import { budgetOf, draw, expect, result, test } from "./playground.js";

test.use({ launch: { keys: ["right-key", "other-key"] } });

test("the page is open, asks for the key, and goes on with the right one", async ({ page, server, context }) => {
  await page.goto(server.url);
  const banner = page.locator("#connection");
  await expect(banner).toContainText("This server asks for an API key.");
  // No limit in time: a server that was timed while a browser began beside it may refuse a tight one.
  await budgetOf(page, "Auto");
  await page.getByRole("textbox", { name: "Prompt", exact: true }).fill("three pineapples on a beach");
  await page.getByRole("button", { name: "Generate" }).click();
  await expect(page.locator("#stage .notice")).toContainText("This server asks for a key");

  await banner.getByRole("button", { name: "Enter a key" }).click();
  const key = page.getByLabel("Key", { exact: true });
  await expect(key).toBeFocused();
  await expect(key).toHaveAttribute("type", "password");
  await key.fill("wrong-key");
  await page.getByRole("button", { name: "Use this key" }).click();
  await page.locator("#stage .notice").getByRole("button", { name: "Enter a key" }).click();
  await key.fill("right-key");
  await key.press("Enter");
  // What was refused for want of a key is done now.
  await expect(result(page)).toBeVisible();
  await expect(banner).toBeHidden();
  await expect(page.locator("#buys")).toContainText("This buys");
  await expect(page.locator("#load-queued")).toHaveText(/ms|s/);

  await page.reload();
  await draw(page, "a tiny panda in the snow");
  await result(page).getByRole("button", { name: "Copy as curl" }).click();
  await expect
    .poll(() => page.evaluate(() => navigator.clipboard.readText()))
    .toContain("authorization: Bearer $GOLDILOCKS_KEY");

  // Another tab has to ask again: the key is in nobody's long memory.
  const stored = await page.evaluate(() => JSON.stringify(localStorage));
  expect(stored).not.toContain("right-key");
  const other = await context.newPage();
  await other.goto(server.url);
  await expect(other.locator("#connection")).toContainText("This server asks for an API key.");
});

test("a key can be forgotten", async ({ page, server }) => {
  const asked = [];
  page.on("request", (request) => asked.push(new URL(request.url()).pathname));
  await page.goto(server.url);
  const open = page.getByRole("navigation").getByRole("button", { name: "API key" });
  await open.click();
  await page.getByLabel("Key", { exact: true }).fill("other-key");
  await page.getByRole("button", { name: "Use this key" }).click();
  await expect(page.locator("#buys")).toContainText("This buys");
  expect(asked.filter((path) => path === "/v1/models")).toHaveLength(1);
  await page.getByRole("button", { name: "API key: set" }).click();
  await page.getByRole("button", { name: "Forget it" }).click();
  await expect(page.locator("#connection")).toContainText("This server asks for an API key.");
  expect(await page.evaluate(() => sessionStorage.getItem("goldilocks.key"))).toBeNull();
});
