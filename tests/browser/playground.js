// What do all tests of the page share? A server for each file, a page that must not complain, and the words for its parts.

import { test as base, expect } from "@playwright/test";
import { extname, join } from "node:path";
import { Server } from "./server.js";

export { expect };

/** Serves the page's files from a folder, under the server's own policy: while they are worked on, nothing is built. */
async function overlay(page, server, folder) {
  const isFile = ({ pathname }) => pathname === "/" || pathname.startsWith("/playground/");
  await page.context().route(
    (url) => url.href.startsWith(server.url) && isFile(url),
    async (route) => {
      const { pathname } = new URL(route.request().url());
      const response = await route.fetch({ url: server.url }).catch(() => null);
      if (!response) return route.abort();
      const name = pathname === "/" ? "index.html" : pathname.replace("/playground/", "");
      const policy = response.headers()["content-security-policy"];
      return route.fulfill({
        path: join(folder, name),
        headers: { "content-security-policy": policy, "content-type": TYPES[extname(name)] },
      });
    },
  );
}

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** `server` is one for all tests of a file; `open` loads the page and waits until it plans. */
export const test = base.extend({
  launch: [{}, { option: true, scope: "worker" }],
  server: [
    async ({ launch }, use) => {
      const server = await Server.launch(launch);
      await use(server);
      await server.remove();
    },
    { scope: "worker" },
  ],

  // What a refusal makes the browser itself print; everything else is a fault of the page.
  expected: [/Failed to load resource/, { option: true }],

  page: async ({ page, server, expected }, use) => {
    const faults = [];
    page.on("pageerror", (error) => faults.push(`${error.message}\n${error.stack}`));
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type()) && !expected.test(message.text())) faults.push(message.text());
    });
    page.on("request", (request) => {
      const { protocol } = new URL(request.url());
      if (protocol !== "blob:" && !request.url().startsWith(server.url))
        faults.push(`asked elsewhere: ${request.url()}`);
    });
    if (process.env.GOLDILOCKS_WEB) await overlay(page, server, process.env.GOLDILOCKS_WEB);
    await use(page);
    expect(faults, "what the page complained about").toEqual([]);
  },

  open: async ({ page, server }, use) => {
    await use(async () => {
      await page.goto(server.url);
      await expect(buys(page)).toContainText("This buys");
      await expect(page.locator(".dot")).toBeVisible();
    });
  },
});

export const buys = (page) => page.locator("#buys");
export const stage = (page) => page.locator("#stage");
export const result = (page) => page.locator("#stage .result");
export const notice = (page) => page.locator("#stage .notice").first();
export const prompt = (page) => page.getByRole("textbox", { name: "Prompt", exact: true });
export const generate = (page) => page.getByRole("button", { name: "Generate" });

/** A fact of a list by its name. */
export const fact = (place, name) =>
  place
    .locator("dl.facts > div")
    .filter({ has: place.page().locator("dt", { hasText: new RegExp(`^${name}$`) }) })
    .locator("dd");

/** Draws a prompt and waits for its result. */
export async function draw(page, text) {
  await prompt(page).fill(text);
  await generate(page).click();
  await expect(result(page)).toBeVisible();
}

/** The pixels of an image as the browser decoded them, in a digest. */
export const pixels = (image) =>
  image.evaluate(async (element) => {
    await element.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [element.naturalWidth, element.naturalHeight];
    const context = canvas.getContext("2d");
    context.drawImage(element, 0, 0);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    const digest = await crypto.subtle.digest("SHA-256", data);
    return `${canvas.width}x${canvas.height} ${[...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  });

/** Requests of the page to a path, their bodies read. */
export function requests(page, path) {
  const seen = [];
  page.on("request", (request) => {
    if (new URL(request.url()).pathname === path) seen.push(request.postDataJSON());
  });
  return seen;
}

/** Chooses a kind of budget. */
export const budgetOf = (page, kind) => page.getByRole("radio", { name: kind, exact: true }).check();
