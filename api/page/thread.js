// One open thread: its messages, and what reading them tells the server.

import { announce } from "./announcer.js";
import { Composer } from "./composer.js";
import { h, icon, say, set } from "./dom.js";
import { avatar, nameOf } from "./faces.js";
import { VoiceMessage } from "./voice-message.js";
import { receipt } from "./states.js";
import { clock, day, people } from "./words.js";

const PAGE = 30;

export class Thread {
  #client;
  #live;
  #rows = new Map();
  #nearTop;
  #cursor = null;
  #loading = null;
  #read = "";

  constructor(client, live, outbox, thread) {
    this.#client = client;
    this.#live = live;
    this.id = thread.id;
    this.heading = h("h2", { dir: "auto", tabindex: "-1" });
    this.members = h("p", { class: "members" });
    this.list = h("ol", { class: "messages", "aria-label": "Messages" });
    this.top = h("p", { class: "hint top" });
    this.scroller = h("div", { class: "scroller" }, h("div", {}, this.top, this.list));
    this.composer = new Composer(client, outbox, thread.id, (message) => this.upsert(message));
    const back = h("a", { class: "back round", href: "#", "aria-label": "Back to all threads" }, icon("back"));
    const head = h("header", { class: "bar" }, back, h("div", {}, this.heading, this.members));
    this.element = h("section", { class: "thread" }, head, this.scroller, this.composer.element);
    this.describe(thread);
    this.list.addEventListener("change", (event) => event.detail?.id && this.upsert(event.detail));
    this.list.addEventListener("deleted", (event) => this.remove(event.detail));
    const seen = ([entry]) => entry.isIntersecting && this.load();
    this.#nearTop = new IntersectionObserver(seen, { root: this.scroller, rootMargin: "600px 0px 0px" });
  }

  describe(thread) {
    say(this.heading, nameOf(thread, this.#client.user));
    const others = thread.participants.filter((id) => id !== this.#client.user);
    say(this.members, thread.title ? `You${others.length ? ` and ${people(others)}` : ""}` : "");
  }

  /** Shows a message, or what changed of it. */
  upsert(message) {
    if (message.thread_id !== this.id) return;
    this.#live.know(message);
    const row = this.#rows.get(message.id);
    if (row) row.update(message);
    else this.#insert(message);
    this.markRead();
  }

  /** One that came while the thread was open. */
  arrive(message) {
    const isNew = !this.#rows.has(message.id);
    this.upsert(message);
    if (!isNew || message.sender_id === this.#client.user) return;
    announce(message.kind === "text" ? `${message.sender_id}: ${message.text}` : `New voice message from ${message.sender_id}.`);
  }

  remove(id) {
    this.#rows.get(id)?.item.remove();
    this.#rows.delete(id);
    this.#group();
  }

  /** Tells that everything here was seen, if somebody is looking. */
  markRead() {
    const newest = this.#newest();
    if (!newest || document.hidden || this.#loading || newest.id === this.#read) return;
    this.#read = newest.id;
    if (newest.sender_id === this.#client.user || newest.receipts.read_by.includes(this.#client.user)) return;
    this.#client.post(`/v1/threads/${this.id}/read`, { message_id: newest.id }).then(
      () => this.#live.nudge(),
      () => (this.#read = ""),
    );
  }

  /** The next page of earlier messages. */
  async load() {
    if (this.#cursor === "") return;
    this.#loading ??= this.#loadPage().finally(() => (this.#loading = null));
    await this.#loading;
    this.#watchTop();
    this.markRead();
  }

  /** Scrolls to a message, however old, and plays it from a moment if one is given. */
  async reveal(id, start) {
    while (!this.#rows.has(id) && this.#cursor !== "") await this.load();
    const row = this.#rows.get(id);
    if (!row) return;
    row.item.scrollIntoView({ block: "center" });
    row.item.tabIndex = -1;
    row.item.focus({ preventScroll: true });
    if (start !== null) row.item.querySelector("voice-message")?.jump(start);
  }

  async #loadPage() {
    const from = this.#cursor ? `&cursor=${encodeURIComponent(this.#cursor)}` : "";
    const page = await this.#client.get(`/v1/threads/${this.id}/messages?limit=${PAGE}${from}`);
    for (const message of page.items) {
      this.#live.know(message);
      this.#insert(message);
    }
    this.#cursor = page.next_cursor ?? "";
    say(this.top, this.#cursor ? "Loading earlier messages…" : this.#rows.size ? "" : "Say something.");
  }

  #insert(message) {
    if (this.#rows.has(message.id)) return this.#rows.get(message.id).update(message);
    const row = message.kind === "voice" ? voiceRow(this.#client) : textRow(this.#client);
    row.update(message);
    this.#rows.set(message.id, row);
    const after = [...this.list.children].findLast((item) => item.dataset.id < message.id);
    row.item.dataset.id = message.id;
    if (after) after.after(row.item);
    else this.list.prepend(row.item);
    this.#group();
  }

  /** Day lines, and who begins to speak. */
  #group() {
    let before = null;
    for (const item of this.list.children) {
      const { message } = this.#rows.get(item.dataset.id);
      const date = day(message.created_at);
      set(item, "data-day", before?.date === date ? null : date);
      set(item, "data-first", before?.sender !== message.sender_id || before?.date !== date);
      before = { date, sender: message.sender_id };
    }
  }

  #newest() {
    return this.#rows.get(this.list.lastElementChild?.dataset.id)?.message;
  }

  /** The observer tells at once where things are, then only changes: after each load it is asked afresh. */
  #watchTop() {
    this.#nearTop.disconnect();
    if (this.#cursor) this.#nearTop.observe(this.top);
  }
}

function voiceRow(client) {
  const bubble = new VoiceMessage();
  bubble.client = client;
  const row = {
    item: h("li", { class: "row" }),
    update(message) {
      row.message = message;
      if (!bubble.isConnected) frame(row.item, message, client, bubble);
      if (bubble.message !== message) bubble.message = message;
    },
  };
  return row;
}

function textRow(client) {
  const text = h("p", { dir: "auto" });
  const told = h("span", { class: "receipt" });
  const at = h("time");
  const sender = h("span", { class: "sender", dir: "auto" });
  const bubble = h("div", { class: "bubble" }, h("header", {}, sender, at), text, told);
  const row = {
    item: h("li", { class: "row" }),
    update(message) {
      row.message = message;
      if (!bubble.isConnected) frame(row.item, message, client, bubble);
      say(sender, message.sender_id === client.user ? "You" : message.sender_id);
      say(at, clock(message.created_at));
      set(at, "datetime", message.created_at);
      say(text, message.text);
      say(told, receipt(message, client.user));
    },
  };
  return row;
}

function frame(item, message, client, bubble) {
  set(item, "data-mine", message.sender_id === client.user);
  item.replaceChildren(avatar(message.sender_id), bubble);
}
