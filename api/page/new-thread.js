// The dialog that starts a thread.

import { h, say } from "./dom.js";

/** Resolves by calling `made(thread)`. */
export function askForThread(client, made) {
  const people = h("input", { id: "people", required: true, autocomplete: "off", spellcheck: "false", "aria-describedby": "people-hint" });
  const title = h("input", { id: "title", maxlength: "200", autocomplete: "off" });
  const trouble = h("p", { class: "trouble", role: "alert" });
  const key = crypto.randomUUID();
  const start = async (event) => {
    event.preventDefault();
    const participants = people.value.split(",").map((id) => id.trim()).filter(Boolean);
    try {
      made(await client.post("/v1/threads", { participants, title: title.value.trim() || null }, { key }));
      dialog.close();
    } catch (problem) {
      say(trouble, problem.message);
    }
  };
  const dialog = h(
    "dialog",
    { "aria-labelledby": "new-thread", onclose: () => dialog.remove() },
    h(
      "form",
      { onsubmit: start },
      h("h2", { id: "new-thread" }, "New thread"),
      h("label", { for: "people" }, "With"),
      people,
      h("p", { class: "hint", id: "people-hint" }, "User ids, separated by commas"),
      h("label", { for: "title" }, "Title (optional)"),
      title,
      trouble,
      h("div", { class: "buttons" }, h("button", { class: "main" }, "Start"), h("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Cancel")),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
}
