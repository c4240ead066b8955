// What else can be done with a voice message, behind one button.

import { h, icon, say, set } from "./dom.js";
import { correctionForm, deletionForm, languageForm, versionList } from "./forms.js";
import { newKey } from "./keys.js";
import { save } from "./save.js";

const SETTLED = ["completed", "no_speech", "failed"];
const POLL_MS = 700;

export class Menu {
  /** `area` is where forms and what they say appear: inside the bubble. */
  constructor(bubble) {
    this.bubble = bubble;
    this.form = h("div");
    this.status = h("p", { class: "said", role: "status" });
    this.area = h("div", { class: "area" }, this.form, this.status);
    const toggled = (event) => this.#toggled(event);
    const leaving = (event) => this.#leaving(event);
    this.list = h("div", { class: "menu", popover: "auto", ontoggle: toggled, onbeforetoggle: leaving });
    this.button = h(
      "button",
      { type: "button", class: "more", "aria-label": "More actions", "aria-expanded": "false", onclick: () => this.open() },
      icon("more"),
    );
  }

  open() {
    if (!this.list.isConnected) this.button.after(this.list);
    this.list.replaceChildren(...this.#items());
    this.list.togglePopover();
    this.#place();
    this.list.querySelector("button")?.focus();
  }

  say(sentence) {
    say(this.status, sentence);
  }

  close() {
    this.form.replaceChildren();
    this.button.focus();
  }

  /** Waits for the new version; what was there stays until it is better. */
  async transcribeAgain(language) {
    const { bubble } = this;
    const path = `/v1/messages/${bubble.key}/transcripts`;
    this.close();
    await this.attempt(async () => {
      this.say("Transcribing again…");
      const made = await bubble.client.post(path, language ? { language } : {}, { key: newKey() });
      const state = await this.#settled(path, made.id);
      bubble.adopt(await bubble.client.get(`/v1/messages/${bubble.key}`));
      this.say(state === "failed" ? "Transcribing again failed; the text before is kept." : "");
    });
  }

  /** Runs one request and tells what went wrong with it. */
  async attempt(act) {
    try {
      await act();
    } catch (problem) {
      this.say(problem.message);
    }
  }

  async #settled(path, id) {
    while (this.bubble.isConnected) {
      const { items } = await this.bubble.client.get(path);
      const state = items.find((version) => version.id === id)?.state;
      if (!state || SETTLED.includes(state)) return state;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    return null;
  }

  #items() {
    const { bubble } = this;
    const { voice } = bubble.message;
    const written = Boolean(voice.transcript?.text);
    const ready = voice.state === "ready";
    return [
      bubble.isUnheard && this.#item("Mark as heard", () => bubble.markHeard()),
      written && this.#item("Copy text", () => this.#copy(voice.transcript.text)),
      bubble.isMine && ready && this.#item("Correct text…", () => this.#open(correctionForm)),
      ready && this.#item("Transcribe again…", () => this.#open(languageForm)),
      ready && this.#item("Versions…", () => this.#open(versionList)),
      bubble.isPlayable && this.#item("Download sound", () => this.#saveSound()),
      written && this.#item("Download text", () => this.#saveText("text", "txt")),
      written && this.#item("Download captions (VTT)", () => this.#saveText("vtt", "vtt")),
      written && this.#item("Download captions (SRT)", () => this.#saveText("srt", "srt")),
      bubble.isMine && this.#item("Delete for everybody…", () => this.#open(deletionForm), "danger"),
    ].filter(Boolean);
  }

  #item(label, act, kind = "") {
    const run = () => {
      this.list.hidePopover();
      this.say("");
      act();
    };
    return h("button", { type: "button", class: kind, onclick: run }, label);
  }

  #open(form) {
    const made = form(this);
    this.form.replaceChildren(made);
    made.querySelector("textarea, select, button").focus({ preventScroll: true });
    this.show();
  }

  /** A form that grew may have come to lie outside of what is seen. */
  show() {
    this.form.scrollIntoView({ block: "nearest" });
  }

  async #copy(text) {
    await this.attempt(async () => {
      if (!navigator.clipboard) throw new Error("Browsers let a page copy only when it comes by https.");
      await navigator.clipboard.writeText(text);
      this.say("Copied.");
    });
  }

  async #saveText(format, extension) {
    const { bubble } = this;
    const path = `/v1/messages/${bubble.key}/transcript?format=${format}`;
    await this.attempt(async () => save(await bubble.client.download(path), `${bubble.key}.${extension}`));
  }

  async #saveSound() {
    const { bubble } = this;
    await this.attempt(async () => {
      await bubble.renew();
      const { url } = bubble.source();
      const response = await fetch(url, { referrerPolicy: "no-referrer" }).catch(() => null);
      // A bucket that lets no page read it still plays: the browser's own player can save it.
      if (!response?.ok) return void open(url, "_blank", "noopener,noreferrer");
      save(await response.blob(), `${bubble.key}.${url.includes(".ogg") ? "ogg" : "m4a"}`);
    });
  }

  #leaving(event) {
    if (event.newState === "closed" && this.list.matches(":focus-within")) this.button.focus();
  }

  #toggled(event) {
    const open = event.newState === "open";
    set(this.button, "aria-expanded", String(open));
    if (!open) this.list.remove();
  }

  #place() {
    const at = this.button.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this.list;
    const below = at.bottom + height + 8 < innerHeight;
    this.list.style.left = `${Math.max(8, Math.min(at.right - width, innerWidth - width - 8))}px`;
    this.list.style.top = `${Math.max(8, below ? at.bottom + 4 : at.top - height - 4)}px`;
  }
}
