// Where text messages are written.

import { h, icon, say } from "./dom.js";

export class Composer {
  #client;
  #path;
  #sent;
  #attempt = null;

  /** `sent(message)` is called with what the server made of it. */
  constructor(client, thread, sent) {
    this.#client = client;
    this.#path = `/v1/threads/${thread}/messages`;
    this.#sent = sent;
    this.field = h("textarea", {
      rows: "1", dir: "auto", maxlength: "10000", "aria-label": "Message", placeholder: "Write a message",
      onkeydown: (event) => this.#key(event),
    });
    this.trouble = h("p", { class: "trouble", role: "alert" });
    this.buttons = h("button", { class: "round main", "aria-label": "Send" }, icon("send"));
    const line = h("div", { class: "line" }, this.field, this.buttons);
    this.element = h("form", { class: "composer", onsubmit: (event) => this.#submit(event) }, this.trouble, line);
  }

  #key(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.element.requestSubmit();
  }

  async #submit(event) {
    event.preventDefault();
    const text = this.field.value.trim();
    if (!text) return;
    // The same text sent again after a failure is the same message.
    if (this.#attempt?.text !== text) this.#attempt = { text, key: crypto.randomUUID() };
    const { key } = this.#attempt;
    try {
      const message = await this.#client.post(this.#path, { text }, { key });
      this.#attempt = null;
      if (this.field.value.trim() === text) this.field.value = "";
      say(this.trouble, "");
      this.#sent(message);
    } catch (problem) {
      say(this.trouble, `Not sent: ${problem.message}`);
    }
  }
}
