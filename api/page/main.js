// The page: sign in, list threads, open one.

import { announce } from "./announcer.js";
import { Client } from "./client.js";
import { h, icon, say, set } from "./dom.js";
import { Live } from "./live.js";
import { Outbox } from "./outbox.js";
import { askForThread } from "./new-thread.js";
import { plays } from "./plays.js";
import { currentToken, forgetToken, givenToken } from "./session.js";
import { signIn } from "./sign-in.js";
import { Search } from "./search.js";
import { Signals } from "./signals.js";
import { Thread } from "./thread.js";
import { ThreadList } from "./threads.js";

const app = document.getElementById("app");

class Page {
  #client;
  #live;
  #list;
  #outbox;
  #signals;
  #thread = null;
  #goal = null;
  #unopened = false;

  constructor(token) {
    this.#client = new Client("", token);
    this.#live = new Live(this.#client);
    this.#outbox = new Outbox(this.#client);
    this.#signals = new Signals(this.#client);
    this.#list = new ThreadList(this.#client, this.#signals);
    this.offline = h("header", { class: "offline", hidden: true });
    this.pane = h("main", { id: "thread" }, hint());
    this.#build();
    this.#listen();
    this.#outbox.flush();
    this.#route();
  }

  #build() {
    const start = () => askForThread(this.#client, (thread) => (location.hash = thread.id));
    const add = h("button", { type: "button", class: "round", "aria-label": "New thread", onclick: start }, icon("plus"));
    const head = h("header", { class: "bar" }, h("h1", {}, "Earshot"), h("span", { class: "me" }, this.#client.user ?? ""), add);
    const search = new Search(
      this.#client,
      (message, start) => this.#goTo(message, start),
      (on) => (this.#list.element.hidden = on),
      (thread) => this.#list.nameOf(thread),
    );
    const side = h("aside", { "aria-label": "Threads" }, head, search.element, this.#list.element);
    app.replaceChildren(this.offline, side, this.pane);
  }

  #listen() {
    const on = (name, react) => this.#live.addEventListener(name, (event) => react(event.detail));
    on("threads", (page) => this.#showThreads(page));
    on("message", (message) => this.#thread?.arrive(message));
    on("gone", (id) => this.#thread?.remove(id));
    on("signal", (signal) => this.#signals.hear(signal));
    on("online", (online) => this.#showLine(online));
    on("online", (online) => online && plays.retell(this.#client));
    this.#outbox.addEventListener("change", () => this.#thread?.composer.showWaiting());
    this.#outbox.addEventListener("sent", (event) => this.#sent(event.detail));
    this.#signals.addEventListener("change", (event) => this.#showActivity(event.detail));
    this.#client.addEventListener("signedout", () => this.#leave(), { once: true });
    addEventListener("hashchange", () => this.#route());
    document.addEventListener("visibilitychange", () => this.#seen());
  }

  #seen() {
    this.#thread?.showDays();
    this.#thread?.markRead();
  }

  #sent(message) {
    this.#thread?.upsert(message);
    announce("Voice message sent.");
  }

  #showLine(online) {
    const sentence = online ? "" : "Offline. Trying again…";
    const isNews = this.offline.textContent !== sentence;
    say(this.offline, sentence);
    this.offline.hidden = online;
    if (online && this.#unopened) this.#route();
    if (isNews) announce(sentence || "Online again.", () => this.offline.textContent === sentence);
  }

  #showActivity(thread) {
    this.#list.showActivity(thread);
    if (this.#thread?.id === thread) this.#thread.showActivity();
  }

  #showThreads(page) {
    const threads = page.items;
    this.#list.show(page);
    this.#list.mark(this.#thread?.id);
    this.#thread?.showDays();
    const open = threads.find(({ id }) => id === this.#thread?.id);
    if (open) this.#thread.describe(open);
    const unread = threads.reduce((sum, thread) => sum + thread.unread_count, 0);
    const name = open && this.#thread.heading.textContent;
    document.title = [unread && `(${unread})`, name && `${name} ·`, "Earshot"].filter(Boolean).join(" ");
  }

  async #route() {
    if (givenToken()) return location.reload();
    const id = location.hash.slice(1);
    const before = this.#thread?.id;
    this.#thread?.close();
    this.#thread = null;
    this.#unopened = false;
    this.#list.mark(id);
    set(app, "data-open", id !== "");
    if (!id) this.#close(before);
    else await this.#open(id);
  }

  /** Opens a message's thread where it was said. */
  #goTo({ id, thread_id: thread }, start) {
    this.#goal = { id, thread, start };
    if (this.#thread?.id === thread) this.#reach();
    else location.hash = thread;
  }

  #reach() {
    const goal = this.#goal;
    if (!goal || goal.thread !== this.#thread?.id) return;
    this.#goal = null;
    this.#thread.reveal(goal.id, goal.start);
  }

  /** Back where the thread was opened. */
  #close(before) {
    this.pane.replaceChildren(hint());
    this.#list.focus(before);
    this.#live.open(null);
  }

  async #open(id) {
    try {
      const found = await this.#client.get(`/v1/threads/${encodeURIComponent(id)}`);
      if (location.hash.slice(1) !== id) return;
      const parts = { client: this.#client, live: this.#live, outbox: this.#outbox, signals: this.#signals };
      const thread = (this.#thread = new Thread(parts, found));
      this.#live.open(id);
      this.pane.replaceChildren(thread.element);
      await thread.load();
      if (this.#thread !== thread) return;
      // Somebody may write already.
      if (!thread.element.contains(document.activeElement)) thread.heading.focus({ preventScroll: true });
      this.#reach();
    } catch (problem) {
      if (location.hash.slice(1) === id) this.#giveUp(problem);
    }
  }

  /** What passes is tried again by itself when the server answers. */
  #giveUp({ message, status }) {
    this.#thread?.close();
    this.#thread = null;
    this.#live.open(null);
    this.#unopened = status === 0 || status >= 500;
    const again = this.#unopened && h("button", { type: "button", class: "quiet", onclick: () => this.#route() }, "Try again");
    const back = h("a", { class: "back quiet", href: "#" }, "All threads");
    const acts = h("p", { class: "acts" }, again, back);
    this.pane.replaceChildren(h("section", { class: "plain" }, h("h1", {}, "This thread can't be opened"), h("p", {}, message), acts));
  }

  #leave() {
    this.#thread?.close();
    this.#live.stop();
    this.#outbox.stop();
    forgetToken();
    signIn(app, "You were signed out. Sign in again.");
  }
}

function hint() {
  return h("p", { class: "plain" }, "Choose a thread to listen and read.");
}

const token = currentToken();
if (token) new Page(token);
else signIn(app, "");
