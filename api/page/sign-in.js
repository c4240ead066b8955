// Without a token there is nothing to show but where to get one.

import { h } from "./dom.js";
import { givenToken, keepToken } from "./session.js";

export function signIn(app, reason) {
  const field = h("input", { id: "token", type: "password", required: true, autocomplete: "off", spellcheck: "false" });
  const enter = (event) => {
    event.preventDefault();
    keepToken(field.value.trim());
    location.reload();
  };
  const form = h(
    "form",
    { class: "sign-in", onsubmit: enter },
    h("h1", {}, "Earshot"),
    reason && h("p", { role: "alert" }, reason),
    h("p", {}, "Open the link that Earshot printed when it started, or paste a token."),
    h("label", { for: "token" }, "Token"),
    field,
    h("button", { class: "main" }, "Sign in"),
  );
  // The link opened here: only what follows the # changes then, and nothing is loaded anew.
  addEventListener("hashchange", () => givenToken() && location.reload());
  app.replaceChildren(h("main", { class: "alone" }, form));
  field.focus();
}
