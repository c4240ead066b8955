// <voice-message>: one voice message to play and read. It stands alone: give it a `message`, and a `client` for all that needs
// the server: words that follow the sound, receipts, corrections, fresh URLs.
//
//   const bubble = document.createElement("voice-message");
//   bubble.client = new Client("https://voice.example.com", token);
//   bubble.message = await bubble.client.get("/v1/messages/msg_…");
//
// It dispatches `change` (detail: the message) when what it shows has become newer than what it was given, and
// `deleted`. Both bubble.

import { NOBODY } from "./client.js";
import { Menu } from "./menu.js";
import { h, icon, say, set } from "./dom.js";
import { playable } from "./formats.js";
import { positions } from "./memory.js";
import { player } from "./player.js";
import { plays } from "./plays.js";
import { Seekbar } from "./seekbar.js";
import { Transcript } from "./transcript.js";
import { sheet } from "./voice-style.js";
import { notes, receipt, textState, voiceState } from "./states.js";
import { clock, minutes, seconds } from "./words.js";

export { Client } from "./client.js";

const NEARLY_ALL_MS = 1_000;
// Where somebody stopped on another device may be asked again after this long.
const PLACE_MS = 30_000;

export class VoiceMessage extends HTMLElement {
  #client = NOBODY;
  #message = null;
  #parts = null;
  #asked = -Infinity;

  get client() {
    return this.#client;
  }

  set client(client) {
    this.#client = client;
    if (this.#message) this.#show();
  }

  get message() {
    return this.#message;
  }

  set message(message) {
    this.#message = message;
    if (!this.#parts) this.#build();
    this.#show();
  }

  /** What was set before the browser knew the element lies in the way of its properties. */
  connectedCallback() {
    for (const name of ["client", "message"].filter((each) => Object.hasOwn(this, each))) {
      const { [name]: value } = this;
      delete this[name];
      this[name] = value;
    }
    player.welcome(this);
  }

  disconnectedCallback() {
    player.release(this);
  }

  // What the player asks of a host.

  get key() {
    return this.#message.id;
  }

  get duration() {
    return this.#message.voice.duration_ms ?? 0;
  }

  get track() {
    return { title: `Voice message, ${minutes(this.duration)}`, artist: this.#message.sender_id };
  }

  source() {
    const rendition = playable(this.#message.voice.renditions);
    return rendition && { url: new URL(rendition.url, location.href).href, expires: Date.parse(rendition.expires_at) };
  }

  async renew() {
    this.adopt(await this.client.get(`/v1/messages/${this.key}`));
  }

  playback() {
    if (!this.#parts) return;
    const { play, bar, time, speed, text } = this.#parts;
    const on = player.isPlaying(this);
    const position = player.position(this);
    if (this.hasAttribute("data-playing") !== on) play.replaceChildren(icon(on ? "pause" : "play"));
    const about = [this.#message.sender_id, this.duration && seconds(this.duration), !on && this.isUnheard && "not heard"];
    set(play, "aria-label", `${on ? "Pause" : "Play"} voice message from ${about.filter(Boolean).join(", ")}`);
    set(this, "data-playing", on);
    bar.move(position);
    say(time, this.duration ? minutes(on || position > 0 ? position : this.duration) : "");
    say(speed, `${player.rate}×`);
    set(speed, "aria-label", `Speed: ${player.rate} times`);
    text.follow(player.has(this) && (on || position > 0) ? position : null);
    if (on) text.prepare();
  }

  heard(position, toTheEnd) {
    if (this.isMine || !this.client.user) return;
    const completed = toTheEnd || position > this.duration - NEARLY_ALL_MS;
    this.markHeard(position, completed);
  }

  /** What has turned out to be let go says so already. */
  unplayable() {
    if (this.isPlayable) this.#complain("This can't be played right now. Try again in a moment.");
  }

  /** The next message in the document that this person has not heard. */
  next() {
    const all = [...this.getRootNode().querySelectorAll("voice-message")];
    return all.slice(all.indexOf(this) + 1).find((bubble) => bubble.isUnheard) ?? null;
  }

  // What the page and the menu ask.

  get isMine() {
    return this.#message.sender_id === this.client.user;
  }

  /** A recording that is ready need not be there for ever. */
  get isPlayable() {
    return this.#message.voice.state === "ready" && this.source() !== null;
  }

  get isUnheard() {
    const { user } = this.client;
    const isHeard = this.#message.receipts.played_by.includes(user) || plays.isHeard(user, this.key);
    return this.isPlayable && user !== null && !this.isMine && !isHeard;
  }

  adopt(message) {
    this.message = message;
    this.dispatchEvent(new CustomEvent("change", { detail: message, bubbles: true }));
  }

  async markHeard(position = 0, completed = true) {
    const user = this.client.user;
    if (completed && this.isUnheard) {
      const receipts = { ...this.#message.receipts, played_by: [...this.#message.receipts.played_by, user] };
      this.adopt({ ...this.#message, receipts });
    }
    await plays.tell(this.client, this.key, position, completed);
  }

  jump(ms) {
    if (this.isPlayable) player.play(this, ms);
  }

  /** A hand or the focus is near the button: what it needs is fetched before it is pressed. */
  #prepare() {
    if (!this.isPlayable) return;
    player.prepare(this);
    this.#askPlace();
  }

  /** Goes on where this person stopped on another device. */
  async #askPlace() {
    if (this.isMine || !this.client.user || performance.now() - this.#asked < PLACE_MS) return;
    this.#asked = performance.now();
    const place = await this.client.get(`/v1/messages/${this.key}/played`).catch(() => null);
    if (place?.updated_at && positions.learn(this.key, place.position_ms, Date.parse(place.updated_at))) {
      player.moved(this, place.position_ms);
    }
  }

  #complain(sentence) {
    say(this.#parts.trouble, sentence);
  }

  #build() {
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet];
    const toggle = () => {
      if (!this.isPlayable) return;
      this.#complain("");
      this.#prepare();
      player.toggle(this);
    };
    const bar = new Seekbar((ms) => player.seek(this, ms), toggle);
    const text = new Transcript(
      () => this.client.get(`/v1/messages/${this.key}/transcript?format=json`),
      (ms) => this.jump(ms),
    );
    const parts = {
      sender: h("span", { class: "sender", dir: "auto" }),
      at: h("time"),
      play: h("button", { type: "button", class: "play", onclick: toggle }, icon("play")),
      bar,
      time: h("span", { class: "clock" }),
      speed: h("button", { type: "button", class: "speed", onclick: () => player.nextRate() }),
      trouble: h("p", { class: "trouble", role: "status" }),
      text,
      state: h("div", { class: "state" }),
      notes: h("span", { class: "notes" }),
      receipt: h("span", { class: "receipt" }),
      menu: new Menu(this),
    };
    this.#parts = parts;
    const head = h("header", {}, parts.sender, h("span", { class: "fresh", role: "img", "aria-label": "Not heard" }), parts.at, parts.menu.button);
    // Not `pointerenter`: scrolling moves bubbles under a pointer that rests.
    const near = { onpointermove: () => this.#prepare(), onpointerdown: () => this.#prepare(), onfocusin: () => this.#prepare() };
    parts.controls = h("div", { class: "controls", ...near }, parts.play, bar.element, parts.time, parts.speed);
    const foot = h("footer", {}, parts.notes, parts.receipt);
    parts.article = h("article", { lang: "en" }, head, parts.controls, parts.state, text.text, text.chosen, parts.trouble, parts.menu.area, foot);
    root.append(parts.article);
  }

  #show() {
    const { parts, message } = { parts: this.#parts, message: this.#message };
    const { voice } = message;
    const ready = voice.state === "ready";
    set(parts.article, "aria-label", `Voice message from ${message.sender_id}, ${clock(message.created_at)}`);
    set(this, "data-mine", this.isMine);
    set(this, "data-state", voice.state);
    set(this, "data-unheard", this.isUnheard);
    say(parts.sender, this.isMine ? "You" : message.sender_id);
    say(parts.at, clock(message.created_at));
    set(parts.at, "datetime", message.created_at);
    parts.play.disabled = !this.isPlayable;
    if (ready && !this.isPlayable) this.#complain("The recording is no longer kept.");
    parts.menu.button.hidden = !this.client.user || (!ready && !this.isMine);
    parts.controls.hidden = voice.state === "rejected" || voice.state === "failed";
    parts.bar.show(voice.waveform, ready ? voice.duration_ms : null);
    this.#showText(voice);
    say(parts.receipt, receipt(message, this.client.user));
    this.playback();
  }

  #showText({ state, error, transcript }) {
    const { text, notes: line, state: place, menu } = this.#parts;
    const written = transcript?.state === "completed" || Boolean(transcript?.corrected);
    text.text.hidden = !written;
    if (written) text.show(transcript);
    const shown = written ? null : state === "ready" ? textState(transcript) : voiceState(state, error, this.isMine);
    place.replaceChildren(...(shown ? [this.#stateLine(shown, menu)] : []));
    line.replaceChildren(...(written ? notes(transcript) : []));
  }

  #stateLine({ sentence, tone, retry }, menu) {
    const again = retry && this.client.user && h("button", { type: "button", class: "quiet", onclick: () => menu.transcribeAgain() }, "Try again");
    return h("p", { class: tone }, tone === "bad" && icon("alert"), h("span", {}, sentence), again);
  }
}

customElements.define("voice-message", VoiceMessage);
