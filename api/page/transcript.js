// What a voice message says, its words following the sound.

import { h, say, set } from "./dom.js";

const UNSURE = 0.5;
const RETRY_MS = 5_000;

export class Transcript {
  #words = [];
  #shown = null;
  #loading = null;
  #current = -1;
  #cursor = -1;

  /** `load()` gives the transcript's JSON with segments; `jump(ms)` plays from there. */
  constructor(load, jump) {
    this.load = load;
    this.jump = jump;
    this.chosen = h("span", { class: "unseen", role: "status" });
    this.text = h("p", {
      class: "text", dir: "auto", tabindex: "0", role: "group",
      "aria-label": "Transcript. Arrow keys choose a word, Enter plays from it.",
      onclick: (event) => this.#click(event),
      onkeydown: (event) => this.#key(event),
      onpointermove: () => this.prepare(),
      onfocus: () => this.prepare(),
      onblur: () => this.#choose(-1),
    });
  }

  /** Plain text first: word times are fetched when somebody listens, points or steps in. */
  show(transcript) {
    const identity = `${transcript.id} ${transcript.corrected} ${transcript.text}`;
    if (this.#shown === identity) return;
    this.#shown = identity;
    this.#loading = null;
    this.#words = [];
    this.#current = this.#cursor = -1;
    set(this.text, "lang", transcript.language ?? "");
    say(this.text, transcript.text);
  }

  async prepare() {
    if (this.text.textContent) await (this.#loading ??= this.#load());
  }

  /** Marks the word that sounds at `ms`; none for null. */
  follow(ms) {
    const index = ms === null ? -1 : this.#at(ms);
    if (index === this.#current) return;
    this.#mark(this.#current, "now", false);
    this.#mark(index, "now", true);
    this.#current = index;
  }

  async #load() {
    const identity = this.#shown;
    try {
      const full = await this.load();
      if (this.#shown === identity) this.#spread(full.text, full.segments.flatMap((segment) => segment.words));
    } catch {
      // Asked for on every frame that sounds: not again at once.
      setTimeout(() => this.#shown === identity && (this.#loading = null), RETRY_MS);
    }
  }

  #spread(text, words) {
    if (!words.length) return;
    const spans = words.map(wordSpan);
    // What stands between two words is kept as it is: some languages write no spaces.
    let end = 0;
    const pieces = words.flatMap((word, index) => {
      const found = text.indexOf(word.text.trim(), end);
      const gap = found < 0 ? " " : text.slice(end, found);
      end = found < 0 ? end : found + word.text.trim().length;
      return [gap, spans[index]];
    });
    this.text.replaceChildren(...pieces, text.slice(end));
    this.#words = words.map((word, index) => ({ start: word.start_ms, span: spans[index] }));
  }

  #at(ms) {
    let low = 0;
    let high = this.#words.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#words[middle].start <= ms) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  async #click({ clientX, clientY }) {
    // Marking text to copy it is no wish to jump.
    if (!getSelection().isCollapsed) return;
    // A finger comes without notice, before there are words to hit.
    await this.prepare();
    const hit = this.text.getRootNode().elementFromPoint(clientX, clientY);
    const word = this.#words.find(({ span }) => span === hit);
    if (word) this.jump(word.start);
  }

  #key(event) {
    const words = this.#words;
    if (!words.length || event.altKey || event.ctrlKey || event.metaKey) return;
    const rightToLeft = getComputedStyle(this.text).direction === "rtl";
    const forward = rightToLeft ? "ArrowLeft" : "ArrowRight";
    const backward = rightToLeft ? "ArrowRight" : "ArrowLeft";
    const from = this.#cursor < 0 ? Math.max(this.#current, -1) : this.#cursor;
    if (event.key === forward) this.#choose(Math.min(from + 1, words.length - 1));
    else if (event.key === backward) this.#choose(Math.max(from - 1, 0));
    else if (event.key === "Home") this.#choose(0);
    else if (event.key === "End") this.#choose(words.length - 1);
    else if (event.key === "Enter" && from >= 0) this.jump(words[from].start);
    else return;
    event.preventDefault();
  }

  #choose(index) {
    this.#mark(this.#cursor, "chosen", false);
    this.#mark(index, "chosen", true);
    this.#cursor = index;
    say(this.chosen, this.#words[index]?.span.textContent ?? "");
  }

  #mark(index, mark, on) {
    this.#words[index]?.span.classList.toggle(mark, on);
  }
}

function wordSpan({ text, probability }) {
  const unsure = probability < UNSURE;
  const title = unsure && `Not sure of this word (${Math.round(probability * 100)} %)`;
  return h("span", { class: unsure ? "word unsure" : "word", title }, text.trim());
}
