// The dialog that starts a thread.

import { ask, peopleField } from "./dialog.js";
import { h } from "./dom.js";
import { newKey } from "./keys.js";

/** Calls `made(thread)`. */
export function askForThread(client, made) {
  const people = peopleField("With");
  const title = h("input", { id: "title", maxlength: "200", autocomplete: "off" });
  const key = newKey();
  const submit = async () => {
    made(await client.post("/v1/threads", { participants: people.ids(), title: title.value.trim() || null }, { key }));
    dialog.close();
  };
  const content = [...people.lines, h("label", { for: "title" }, "Title (optional)"), title];
  const dialog = ask("New thread", content, { submit, label: "Start" });
}
