// A question in the way of the page.

import { h, say } from "./dom.js";

/** Opens a dialog with a form; `submit()` runs when it is sent, and what it rejects with is told. Returns {close, attempt}. */
export function ask(heading, content, { submit, label, done = "Cancel" }) {
  const trouble = h("p", { class: "trouble", role: "alert" });
  const attempt = (act) => act().then(() => say(trouble, ""), (problem) => say(trouble, problem.message));
  const send = (event) => {
    event.preventDefault();
    attempt(submit);
  };
  const close = () => dialog.close();
  const buttons = h(
    "div",
    { class: "buttons" },
    h("button", { class: "main" }, label),
    h("button", { type: "button", class: "quiet", onclick: close }, done),
  );
  const form = h("form", { onsubmit: send }, h("h2", { id: "question" }, heading), content, trouble, buttons);
  const dialog = h("dialog", { "aria-labelledby": "question", onclose: () => dialog.remove() }, form);
  document.body.append(dialog);
  dialog.showModal();
  return { close, attempt };
}

export function peopleField(label) {
  const field = h("input", { id: "people", required: true, autocomplete: "off", spellcheck: "false", "aria-describedby": "people-hint" });
  const lines = [
    h("label", { for: "people" }, label),
    field,
    h("p", { class: "hint", id: "people-hint" }, "User ids, separated by commas"),
  ];
  const ids = () => field.value.split(",").map((id) => id.trim()).filter(Boolean);
  return { field, lines, ids };
}
