// Where messages are written and recorded.

import { h, icon, say } from "./dom.js";
import { Recorder } from "./recorder.js";
import { minutes } from "./words.js";

export class Composer {
  #client;
  #outbox;
  #thread;
  #path;
  #sent;
  #attempt = null;

  /** `sent(message)` is called with what the server made of it. */
  constructor(client, outbox, thread, sent) {
    this.#client = client;
    this.#outbox = outbox;
    this.#thread = thread;
    this.#path = `/v1/threads/${thread}/messages`;
    this.#sent = sent;
    this.field = h("textarea", {
      rows: "1", dir: "auto", maxlength: "10000", "aria-label": "Message", placeholder: "Write a message",
      onkeydown: (event) => this.#key(event),
    });
    this.trouble = h("p", { class: "trouble", role: "alert" });
    this.send = h("button", { class: "round main", "aria-label": "Send" }, icon("send"));
    this.waiting = h("ul", { class: "waiting", "aria-label": "Not sent yet" });
    this.recorder = new Recorder(
      ({ blob, duration }) => outbox.add(thread, blob, duration),
      (on) => (this.field.hidden = this.send.hidden = on),
      (sentence) => say(this.trouble, sentence),
    );
    const line = h("div", { class: "line" }, this.field, this.recorder.element, this.send);
    const submit = (event) => this.#submit(event);
    this.element = h("form", { class: "composer", onsubmit: submit }, this.waiting, this.trouble, line);
    this.showWaiting();
  }

  /** What the outbox holds for this thread. */
  async showWaiting() {
    const items = await this.#outbox.items(this.#thread);
    this.waiting.replaceChildren(...items.map((item) => this.#waitingItem(item)));
  }

  #waitingItem(item) {
    const act = (label, run) => h("button", { type: "button", class: "quiet", onclick: run }, label);
    const sending = this.#outbox.isSending(item);
    const state = sending ? "Sending…" : (item.problem ?? "Waiting");
    const name = `Voice message, ${minutes(item.duration)}`;
    const buttons = [act("Send", () => this.#outbox.flush()), act("Discard", () => this.#outbox.discard(item))];
    return h("li", {}, icon("mic"), h("span", {}, `${name}: ${state}`), sending ? [] : buttons);
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
