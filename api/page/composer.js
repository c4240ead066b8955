// Where messages are written and recorded.

import { h, icon, say } from "./dom.js";
import { newKey } from "./keys.js";
import { Recorder } from "./recorder.js";
import { Waiting } from "./waiting.js";

// What is being written, by thread, as long as the page lives: {field, attempt} of the composer that was opened last.
const drafts = new Map();

export class Composer {
  #client;
  #outbox;
  #thread;
  #path;
  #sent;

  /** `sent(message)` is called with what the server made of it, `doing(kind)` while somebody types or records. */
  constructor(client, outbox, thread, { sent, doing }) {
    this.#client = client;
    this.#outbox = outbox;
    this.#thread = thread;
    this.#path = `/v1/threads/${thread}/messages`;
    this.#sent = sent;
    this.field = h("textarea", {
      rows: "1", dir: "auto", maxlength: "10000", "aria-label": "Message", placeholder: "Write a message",
      onkeydown: (event) => this.#key(event),
      oninput: () => this.field.value.trim() && doing("typing"),
    });
    const before = drafts.get(thread);
    this.field.value = before?.field.value ?? "";
    drafts.set(thread, { field: this.field, attempt: before?.attempt ?? null });
    this.trouble = h("p", { class: "trouble", role: "alert" });
    this.send = h("button", { class: "round main", "aria-label": "Send" }, icon("send"));
    const recordings = {
      keep: (id, blob, duration) => outbox.keep(id, thread, blob, duration),
      send: (id) => outbox.send(id),
      discard: (id) => outbox.discard(id),
    };
    this.recorder = new Recorder(recordings, {
      busy: (on) => (this.field.hidden = this.send.hidden = on),
      trouble: (sentence) => say(this.trouble, sentence),
      going: () => doing("recording"),
    });
    this.waiting = new Waiting(outbox, thread, () => (this.field.hidden ? this.recorder.button : this.field).focus());
    const line = h("div", { class: "line" }, this.field, this.recorder.element, this.send);
    const submit = (event) => this.#submit(event);
    this.element = h("form", { class: "composer", onsubmit: submit }, this.waiting.element, this.trouble, line);
    this.showWaiting();
  }

  showWaiting() {
    return this.waiting.show(this.#outbox.idOf(this.recorder.held));
  }

  /** The page leaves the thread. */
  close() {
    this.recorder.close();
    this.waiting.close();
  }

  #key(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!event.repeat) this.element.requestSubmit();
  }

  async #submit(event) {
    event.preventDefault();
    const text = this.field.value.trim();
    if (!text) return;
    const draft = drafts.get(this.#thread);
    // The same text sent again after a failure is the same message.
    if (draft.attempt?.text !== text) draft.attempt = { text, key: newKey() };
    const { key } = draft.attempt;
    try {
      const message = await this.#client.post(this.#path, { text }, { key });
      this.#settle(text);
      say(this.trouble, "");
      this.#sent(message);
    } catch (problem) {
      say(this.trouble, `Not sent: ${problem.message}`);
    }
  }

  /** The thread may have been left and opened again meanwhile. */
  #settle(text) {
    const draft = drafts.get(this.#thread);
    if (draft.attempt?.text === text) draft.attempt = null;
    if (draft.field.value.trim() === text) draft.field.value = "";
  }
}
