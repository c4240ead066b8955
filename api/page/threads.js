// The list of threads.

import { h, icon, say, set } from "./dom.js";
import { avatar, nameOf } from "./faces.js";
import { briefly, minutes } from "./words.js";

export class ThreadList {
  #rows = new Map();
  #client;
  #user;
  #signals;
  #all = [];
  #cursor = null;
  #asked = new Map();

  constructor(client, signals) {
    this.#client = client;
    this.#user = client.user;
    this.#signals = signals;
    this.list = h("ul", { class: "threads" });
    this.empty = h("p", { class: "hint", hidden: true }, "No threads yet. Start one with the plus above.");
    const more = () => this.#loadMore().catch((problem) => say(this.trouble, problem.message));
    this.more = h("button", { type: "button", class: "quiet", hidden: true, onclick: more }, "Older threads");
    this.trouble = h("p", { class: "trouble", role: "alert" });
    this.element = h("nav", { "aria-label": "Threads" }, this.list, this.empty, this.more, this.trouble);
  }

  /** A page of the newest threads. Older ones stay that were asked for, or that newer ones have pushed out of it. */
  show({ items, next_cursor: cursor }) {
    const newest = new Set(items.map(({ id }) => id));
    const older = cursor ? this.#all.filter((thread) => !newest.has(thread.id) && activity(thread) <= activity(items.at(-1))) : [];
    if (!older.length) this.#cursor = cursor;
    this.#arrange([...items, ...older]);
  }

  async #loadMore() {
    const page = await this.#client.get(`/v1/threads?limit=100&cursor=${encodeURIComponent(this.#cursor)}`);
    const known = new Set(this.#all.map(({ id }) => id));
    this.#cursor = page.next_cursor;
    this.#arrange([...this.#all, ...page.items.filter(({ id }) => !known.has(id))]);
  }

  #arrange(threads) {
    this.#all = threads;
    this.empty.hidden = threads.length > 0;
    this.more.hidden = !this.#cursor;
    const rows = threads.map((thread) => this.#row(thread));
    const same = rows.length === this.list.children.length && rows.every((row, at) => row === this.list.children[at]);
    // Moving a focused row would take the focus away.
    const focused = document.activeElement;
    if (!same) this.list.replaceChildren(...rows);
    if (!same && this.list.contains(focused)) focused.focus();
  }

  /** Also of a thread that is too old for the list, or wanted before there is one. */
  async nameOf(id) {
    return nameOf(this.#all.find((thread) => thread.id === id) ?? (await this.#ask(id)), this.#user);
  }

  focus(id) {
    this.#rows.get(id)?.link.focus();
  }

  mark(id) {
    for (const [key, { link }] of this.#rows) set(link, "aria-current", key === id && "page");
  }

  /** Somebody types or records there, or has ended. */
  showActivity(id) {
    const row = this.#rows.get(id);
    if (!row) return;
    const doing = this.#signals.sentence(id);
    set(row.preview, "data-doing", doing !== "");
    row.preview.replaceChildren(...(doing ? [doing] : previewOf(row.last, this.#user)));
  }

  /** Once, however many want to know at that moment. */
  async #ask(id) {
    if (!this.#asked.has(id)) this.#asked.set(id, this.#client.get(`/v1/threads/${id}`));
    try {
      return await this.#asked.get(id);
    } finally {
      this.#asked.delete(id);
    }
  }

  #row(thread) {
    const row = this.#rows.get(thread.id) ?? this.#make(thread);
    const { last_message: last, unread_count: unread, unplayed_count: unplayed } = thread;
    say(row.name, nameOf(thread, this.#user));
    say(row.at, briefly(last?.created_at ?? thread.created_at));
    const print = JSON.stringify([last?.id, last?.text, last?.voice?.state, last?.voice?.duration_ms, last?.voice?.transcript?.text]);
    if (row.print !== print) {
      Object.assign(row, { print, last });
      this.showActivity(thread.id);
    }
    const counts = [unread && `${unread} unread`, unplayed && `${unplayed} not heard`].filter(Boolean);
    say(row.counts, counts.length ? `, ${counts.join(", ")}` : "");
    row.unread.hidden = !unread;
    say(row.unread, String(unread));
    row.unplayed.hidden = !unplayed;
    set(row.unplayed, "title", `${unplayed} not heard`);
    set(row.link, "data-unread", unread > 0);
    return row.item;
  }

  #make(thread) {
    const row = {
      name: h("span", { class: "name", dir: "auto" }),
      at: h("span", { class: "at" }),
      preview: h("span", { class: "preview", dir: "auto" }),
      unread: h("span", { class: "badge", "aria-hidden": "true" }),
      unplayed: h("span", { class: "unplayed", "aria-hidden": "true" }, icon("mic")),
      counts: h("span", { class: "unseen" }),
    };
    const lines = h("span", { class: "lines" }, row.name, row.at, row.preview, h("span", { class: "dots" }, row.unplayed, row.unread), row.counts);
    row.link = h("a", { href: `#${thread.id}` }, avatar(nameOf(thread, this.#user)), lines);
    row.item = h("li", {}, row.link);
    this.#rows.set(thread.id, row);
    return row;
  }
}

function activity({ last_message: last, created_at: created }) {
  return Date.parse(last?.created_at ?? created);
}

function previewOf(message, user) {
  if (!message) return ["No messages yet"];
  const mine = message.sender_id === user ? "You: " : "";
  if (message.kind === "text") return [mine + message.text];
  const { state, duration_ms: duration, transcript } = message.voice;
  const said = transcript?.text || (state === "rejected" ? "Rejected recording" : "Voice message");
  return [icon("mic"), `${duration ? `${minutes(duration)} ` : ""}${mine}${said}`];
}
