// Which server do the tests talk to? The real binary, on a free port, with a state directory of its own.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const REPOSITORY = resolve(import.meta.dirname, "../..");
const BINARY = process.env.GOLDILOCKS_BINARY ?? join(REPOSITORY, "target/release/goldilocks");

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** A running server. `stop` ends it, `start` begins it again on the same port with what it learned. */
export class Server {
  /** @param {{keys?: string[], flags?: string[]}} [options] */
  static async launch({ keys = [], flags = [] } = {}) {
    const server = new Server();
    server.folder = await mkdtemp(join(tmpdir(), "goldilocks-browser-"));
    server.port = await freePort();
    server.url = `http://127.0.0.1:${server.port}/`;
    server.key = keys[0];
    server.flags = [...flags];
    if (keys.length > 0) {
      const file = join(server.folder, "keys");
      await writeFile(file, `${keys.join("\n")}\n`);
      server.flags.push("--api-key-file", file);
    }
    await server.start();
    return server;
  }

  /** Starts, and waits until it takes work, or with `ready: false` only until it answers. */
  async start({ ready = true } = {}) {
    const args = [
      "serve",
      "--listen",
      `127.0.0.1:${this.port}`,
      "--state-dir",
      join(this.folder, "state"),
      ...this.flags,
    ];
    this.said = "";
    this.process = spawn(BINARY, args, { cwd: REPOSITORY, stdio: ["ignore", "ignore", "pipe"] });
    this.process.stderr.on("data", (bytes) => {
      this.said += bytes;
    });
    this.process.on("error", (error) => {
      this.said += error.message;
    });
    // A run that is interrupted leaves no server behind.
    process.once("exit", () => this.process.kill("SIGKILL"));
    this.ended = new Promise((done) => {
      this.process.once("close", done);
    });
    await this.answers(ready ? 200 : 0);
  }

  /** Asks until the server answers, with this status if it is not 0. */
  async answers(status) {
    const headers = this.key ? { authorization: `Bearer ${this.key}` } : {};
    for (;;) {
      if (this.process.exitCode !== null) throw new Error(`the server ended:\n${this.said}`);
      const reply = await fetch(`${this.url}readyz`, { headers }).catch(() => null);
      if (reply && (status === 0 || reply.status === status)) return;
      await new Promise((done) => {
        setTimeout(done, 50);
      });
    }
  }

  async stop() {
    this.process.kill("SIGKILL");
    await this.ended;
  }

  async remove() {
    await this.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** The value of a series that the metrics hold. */
  async metric(series) {
    const headers = this.key ? { authorization: `Bearer ${this.key}` } : {};
    const text = await (await fetch(`${this.url}metrics`, { headers })).text();
    const line = text.split("\n").find((each) => each.startsWith(`${series} `));
    if (!line) throw new Error(`no series ${series}`);
    return Number(line.split(" ").at(-1));
  }
}
