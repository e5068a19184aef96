// Which key does the page send? Asked for in a dialog, kept in this tab's session and nowhere else.

import { byId, say } from "./dom.js";
import { key, setKey } from "./server.js";

/** What to do once a key was given: the server refused something for want of one. */
let afterwards = () => {};

/** Asks for a key; `then` is done when one was given. */
export function openKeyDialog(then = () => {}) {
  afterwards = then;
  byId("key").value = key() ?? "";
  byId("key-dialog").showModal();
  byId("key").focus();
}

/** Connects the dialog; `changed` is called with every new key. */
export function watchKey(changed) {
  const dialog = byId("key-dialog");
  byId("key-open").addEventListener("click", () => openKeyDialog());
  byId("key-close").addEventListener("click", () => dialog.close());
  byId("key-forget").addEventListener("click", () => {
    setKey(null);
    dialog.close();
    show();
    changed();
  });
  byId("key-form").addEventListener("submit", () => {
    setKey(byId("key").value.trim());
    show();
    say("The key is in use.");
    changed();
    afterwards();
  });
  show();
}

function show() {
  byId("key-open").textContent = key() ? "API key: set" : "API key";
}
