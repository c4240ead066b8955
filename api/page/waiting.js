// The recordings of a thread that the server has not got yet, and how far each is.

import { h, say } from "./dom.js";
import { listenButton } from "./listen.js";
import { minutes } from "./words.js";

export class Waiting {
  #outbox;
  #thread;
  #rows = new Map();
  #turn = 0;
  #empty;

  /** `empty()` takes the focus when nothing is left here that could have it. */
  constructor(outbox, thread, empty) {
    this.#outbox = outbox;
    this.#thread = thread;
    this.#empty = empty;
    this.element = h("ul", { class: "waiting", "aria-label": "Not sent yet", hidden: true });
  }

  /** Shows all but `hidden`: the one that the recorder has in hand. */
  async show(hidden) {
    const turn = (this.#turn += 1);
    const items = (await this.#outbox.items(this.#thread)).filter(({ id }) => id !== hidden);
    if (turn !== this.#turn) return;
    const gone = new Set(this.#rows.keys());
    for (const item of items) {
      gone.delete(item.id);
      const row = this.#rows.get(item.id) ?? this.#make(item);
      row.show(item);
    }
    for (const id of gone) this.#remove(id);
    this.element.hidden = this.#rows.size === 0;
  }

  close() {
    for (const id of [...this.#rows.keys()]) this.#remove(id);
  }

  #make(item) {
    const text = h("span");
    const bar = h("progress", { max: item.blob.size, "aria-label": "Sent" });
    const send = button("Send now", () => this.#outbox.send(item.id));
    const listen = listenButton(item.blob);
    const discard = button("Discard", () => this.#outbox.discard(item.id));
    const element = h("li", { tabindex: "-1" }, listen.element, h("div", {}, text, bar), h("span", { class: "acts" }, send, discard));
    const show = ({ duration, draft, sent, problem }) => {
      const state = draft ? "recorded, not sent" : sent === null ? (problem ?? "waiting") : "sending…";
      say(text, `Voice message, ${minutes(duration)}: ${state}`);
      bar.hidden = sent === null;
      bar.value = sent ?? 0;
      if (sent !== null && send === document.activeElement) element.focus();
      send.hidden = sent !== null;
    };
    this.element.append(element);
    const row = { element, show, close: listen.close };
    this.#rows.set(item.id, row);
    return row;
  }

  #remove(id) {
    const { element, close } = this.#rows.get(id);
    close();
    if (element.contains(document.activeElement)) this.#leave(element);
    element.remove();
    this.#rows.delete(id);
  }

  #leave(element) {
    const next = element.nextElementSibling ?? element.previousElementSibling;
    if (next) next.focus();
    else this.#empty();
  }
}

function button(label, run) {
  return h("button", { type: "button", class: "quiet", onclick: run }, label);
}
