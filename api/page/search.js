// The search over all threads.

import { h, icon, say } from "./dom.js";
import { briefly, minutes } from "./words.js";

const PAUSE_MS = 200;
// The server marks what it found with two characters that nobody types.
const MARKED = /\ue000(.*?)\ue001/su;

export class Search {
  #client;
  #timer = 0;
  #asked = "";

  /** `open(message, startMs)` for a hit that is chosen; `busy(on)` while hits stand where the threads are; `nameOf(thread)`
   * is a promise. */
  constructor(client, open, busy, nameOf) {
    this.#client = client;
    this.open = open;
    this.busy = busy;
    this.nameOf = nameOf;
    this.field = h("input", {
      type: "search", "aria-label": "Search messages", placeholder: "Search", maxlength: "200", autocomplete: "off",
      oninput: () => this.#later(),
      onkeydown: (event) => event.key === "Escape" && this.#clear(),
    });
    this.status = h("p", { class: "hint", role: "status" });
    this.list = h("ul", { class: "threads hits", "aria-label": "Found messages" });
    this.element = h("search", {}, this.field, this.status, this.list);
    this.#show([]);
  }

  #later() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#find(this.field.value.trim()), PAUSE_MS);
  }

  #clear() {
    this.field.value = "";
    this.#find("");
  }

  async #find(words) {
    this.#asked = words;
    this.busy(words !== "");
    if (!words) return this.#show([]);
    try {
      const { items } = await this.#client.get(`/v1/search?limit=30&q=${encodeURIComponent(words)}`);
      if (this.#asked === words) this.#show(items, items.length ? "" : "Nothing found");
    } catch (problem) {
      if (this.#asked === words) this.#show([], problem.code === "invalid_request" ? "Nothing found" : problem.message);
    }
  }

  #show(hits, sentence = "") {
    say(this.status, sentence);
    this.list.hidden = !hits.length;
    this.list.replaceChildren(...hits.map((hit) => this.#hit(hit)));
  }

  #hit({ message, snippet, start_ms: start }) {
    const choose = (event) => {
      event.preventDefault();
      this.open(message, start);
    };
    const moment = start === null ? [] : [icon("mic"), `${minutes(start)} `];
    const sender = message.sender_id === this.#client.user ? "You" : message.sender_id;
    const where = h("span", { class: "where" });
    this.#showPlace(message.thread_id, sender, where);
    const lines = h(
      "span",
      { class: "lines" },
      h("span", { class: "name" }, h("bdi", {}, sender), where),
      h("span", { class: "at" }, briefly(message.created_at)),
      h("span", { class: "preview", dir: "auto" }, moment, marked(snippet)),
    );
    return h("li", {}, h("a", { href: `#${message.thread_id}`, onclick: choose }, lines));
  }

  async #showPlace(thread, sender, where) {
    const place = await this.nameOf(thread).catch(() => sender);
    if (place !== sender) where.append(" in ", h("bdi", {}, place));
  }
}

function marked(snippet) {
  return snippet.split(MARKED).map((part, index) => (index % 2 ? h("mark", {}, part) : part));
}
