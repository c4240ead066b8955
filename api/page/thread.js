// One open thread: its messages, and what reading them tells the server.

import { announce } from "./announcer.js";
import { Composer } from "./composer.js";
import { h, icon, say } from "./dom.js";
import { nameOf } from "./faces.js";
import { showPeople } from "./people.js";
import { follow, makeRow, sortable } from "./rows.js";
import { dateOf, people } from "./words.js";

const PAGE = 50;
// So few at a time that scrolling never waits for them.
const AT_ONCE = 5;

export class Thread {
  #client;
  #live;
  #signals;
  #thread;
  #rows = new Map();
  #nearTop;
  #cursor = null;
  #loading = null;
  #closed = false;
  #read = "";
  #today = dateOf(Date.now());

  constructor({ client, live, outbox, signals }, thread) {
    this.#client = client;
    this.#live = live;
    this.#signals = signals;
    this.id = thread.id;
    this.heading = h("h1", { dir: "auto", tabindex: "-1" });
    this.members = h("p", { class: "members" });
    this.list = h("ol", { class: "messages", "aria-label": "Messages" });
    this.top = h("p", { class: "hint top" });
    this.scroller = h("div", { class: "scroller" }, h("div", {}, this.top, this.list));
    this.activity = h("p", { class: "activity", hidden: true });
    this.composer = new Composer(client, outbox, thread.id, {
      sent: (message) => this.upsert(message),
      doing: (kind) => this.#thread.participants.length > 1 && signals.tell(this.id, kind),
    });
    this.composer.element.prepend(this.activity);
    this.element = h("section", { class: "thread" }, this.#head(), this.scroller, this.composer.element);
    this.describe(thread);
    this.showActivity();
    this.list.addEventListener("change", (event) => event.detail?.id && this.upsert(event.detail));
    this.list.addEventListener("deleted", ({ detail: id }) => {
      live.deleted(id);
      this.remove(id);
    });
    const seen = ([entry]) => entry.isIntersecting && this.load();
    this.#nearTop = new IntersectionObserver(seen, { root: this.scroller, rootMargin: "1200px 0px 0px" });
  }

  describe(thread) {
    this.#thread = thread;
    say(this.heading, nameOf(thread, this.#client.user));
    const others = thread.participants.filter((id) => id !== this.#client.user);
    say(this.members, thread.title ? `You${others.length ? ` and ${people(others)}` : ""}` : "");
  }

  /** Who types or records; told once, not as long as it lasts. */
  showActivity() {
    const sentence = this.#signals.sentence(this.id);
    const isNew = this.activity.hidden && sentence;
    this.activity.hidden = !sentence;
    say(this.activity, sentence);
    if (isNew) announce(sentence, () => this.activity.isConnected && !this.activity.hidden);
  }

  /** Shows a message, or what changed of it. */
  upsert(message) {
    // Opened again meanwhile it is another one's to show, which would not be told of what is known.
    if (this.#closed || message.thread_id !== this.id || this.#isBeforeAll(message)) return;
    this.#live.know(message);
    this.#insert(message);
    this.markRead();
  }

  /** One that came while the thread was open. */
  arrive(message) {
    if (message.thread_id !== this.id) return;
    const wasThere = this.#rows.has(message.id) || this.#loading;
    this.upsert(message);
    const isNew = !wasThere && this.list.lastElementChild?.dataset.id === message.id;
    if (!isNew || message.sender_id === this.#client.user) return;
    this.#signals.ended(this.id, message.sender_id);
    announce(message.kind === "text" ? `${message.sender_id}: ${message.text}` : `New voice message from ${message.sender_id}.`);
  }

  remove(id) {
    const item = this.#rows.get(id)?.item;
    if (!item) return;
    const { nextElementSibling: after, previousElementSibling: before } = item;
    this.#rows.delete(id);
    if (item.contains(document.activeElement)) this.#focus(after ?? before);
    item.remove();
    if (after) this.#follow(after);
  }

  /** Calls the days what they are called today. */
  showDays() {
    const today = dateOf(Date.now());
    if (today === this.#today) return;
    this.#today = today;
    for (const item of this.list.children) this.#follow(item);
  }

  /** Tells that everything here was seen, if somebody is looking. */
  markRead() {
    const newest = this.#rowOf(this.list.lastElementChild)?.message;
    if (!newest || document.hidden || this.#loading || newest.id === this.#read) return;
    this.#read = newest.id;
    if (this.#isRead()) return;
    this.#client.post(`/v1/threads/${this.id}/read`, { message_id: newest.id }).then(
      () => this.#live.nudge(),
      () => (this.#read = ""),
    );
  }

  /** The next page of earlier messages; whether there was one. */
  async load() {
    if (this.#cursor === "") return false;
    this.#loading ??= this.#loadPage().finally(() => (this.#loading = null));
    try {
      await this.#loading;
    } catch (problem) {
      if (!this.#rows.size) throw problem;
      this.#offerAgain(problem);
      return false;
    }
    this.#watchTop();
    this.markRead();
    return true;
  }

  /** Scrolls to a message, however old, and plays it from a moment if one is given. */
  async reveal(id, start) {
    while (!this.#closed && !this.#rows.has(id) && (await this.load()));
    const row = this.#rows.get(id);
    if (!row) return;
    row.item.scrollIntoView({ block: "center" });
    this.#focus(row.item);
    if (start !== null) row.item.querySelector("voice-message")?.jump(start);
  }

  close() {
    this.#closed = true;
    this.composer.close();
    this.#nearTop.disconnect();
  }

  /** On a row as a whole, or on the heading when there is none. */
  #focus(item) {
    if (item) item.tabIndex = -1;
    (item ?? this.heading).focus({ preventScroll: true });
  }

  /** What others said last is; one's own answer below it says nothing about that. */
  #isRead() {
    const user = this.#client.user;
    let item = this.list.lastElementChild;
    while (item && this.#rowOf(item).message.sender_id === user) item = item.previousElementSibling;
    return !item || this.#rowOf(item).message.receipts.read_by.includes(user);
  }

  #head() {
    const back = h("a", { class: "back round", href: "#", "aria-label": "Back to all threads" }, icon("back"));
    const acts = { changed: () => this.#live.nudge(), alone: (act) => this.#alone(act) };
    const act = () => showPeople(this.#client, this.#thread, acts);
    const who = h("button", { type: "button", class: "round end", "aria-label": "People", onclick: act }, icon("people"));
    return h("header", { class: "bar" }, back, h("div", {}, this.heading, this.members), who);
  }

  /** Who has left may ask nothing more of the thread: what is being asked is waited for. */
  async #alone(act) {
    await this.#loading?.catch(() => {});
    return this.#live.unwatched(act);
  }

  async #loadPage() {
    const from = this.#cursor ? `&cursor=${encodeURIComponent(this.#cursor)}` : "";
    const page = await this.#client.get(`/v1/threads/${this.id}/messages?limit=${PAGE}${from}`);
    for (const [index, message] of page.items.entries()) {
      if (index && index % AT_ONCE === 0) await breath();
      // Whoever looks at another thread by now is told of that one's messages only.
      if (this.#closed) return;
      this.#live.know(message);
      this.#insert(message, { isOlder: true });
    }
    this.#cursor = page.next_cursor ?? "";
    this.#showTop();
  }

  #offerAgain({ message }) {
    const again = () => {
      this.#showTop();
      this.load();
    };
    this.top.replaceChildren(`${message} `, h("button", { type: "button", class: "quiet", onclick: again }, "Try again"));
  }

  #showTop() {
    say(this.top, this.#cursor ? "Loading earlier messages…" : this.#rows.size ? "" : "Say something.");
  }

  /** One of a page that is still to come: put in now, it would stand above a hole. */
  #isBeforeAll(message) {
    const first = this.list.firstElementChild;
    return Boolean(this.#cursor && first && !this.#rows.has(message.id) && sortable(message.created_at) < first.dataset.at);
  }

  #insert(message, { isOlder = false } = {}) {
    const there = this.#rows.get(message.id);
    if (there) return there.update(message);
    const row = makeRow(this.#client, message);
    this.#rows.set(message.id, row);
    const after = this.#firstAfter(row.item.dataset.at, isOlder);
    this.list.insertBefore(row.item, after);
    this.#follow(row.item);
    if (after) this.#follow(after);
    // That earlier ones could not be loaded stays true whatever comes.
    if (this.#cursor === "") this.#showTop();
  }

  /**
   * By when they arrived, which is the server's order; ids are older where a recording took long to store. Pages come
   * newest first. Nearly all messages go to one of the ends.
   */
  #firstAfter(at, isOlder) {
    const { firstElementChild: first, lastElementChild: last } = this.list;
    const isAfter = (item) => item.dataset.at > at || (isOlder && item.dataset.at === at);
    if (!first || !isAfter(last)) return null;
    return isAfter(first) ? first : [...this.list.children].find(isAfter);
  }

  #follow(item) {
    follow(this.#rowOf(item), this.#rowOf(item.previousElementSibling));
  }

  #rowOf(item) {
    return item && this.#rows.get(item.dataset.id);
  }

  /** The observer tells at once where things are, then only changes: after each load it is asked afresh. */
  #watchTop() {
    this.#nearTop.disconnect();
    if (this.#cursor) this.#nearTop.observe(this.top);
  }
}

function breath() {
  return globalThis.scheduler?.yield?.() ?? new Promise((resolve) => setTimeout(resolve));
}
