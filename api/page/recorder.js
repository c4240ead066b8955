// The recorder in the composer: tap or hold to record, Escape or slide away to cancel, listen, send. What is recorded is
// kept from its first second on: a closed tab finds it again among what is not sent yet.

import { h, icon, say, set } from "./dom.js";
import { newKey } from "./keys.js";
import { listenButton } from "./listen.js";
import { canRecord, Microphone } from "./microphone.js";
import { player } from "./player.js";
import { minutes, seconds } from "./words.js";

const HOLD_MS = 400;
const AWAY_PX = 90;
const SOON_MS = 10_000;
const TICK_MS = 80;
const SHORTEST_MS = 500;

export class Recorder {
  #drafts;
  #told;
  #microphone = null;
  #timer = 0;
  #pressed = null;
  #asking = false;
  #unwanted = false;
  #closed = false;
  #leave = null;
  #kept = Promise.resolve();
  #given = null;
  #listen = null;

  /** The id of what it has in hand, null for nothing. */
  held = null;

  /** `drafts` are {keep(id, blob, duration), send(id), discard(id)}; `told` is {busy(on), trouble(sentence), going()}: whether
   * the composer belongs to the recorder, what went wrong, and that it still records. */
  constructor(drafts, told) {
    this.#drafts = drafts;
    this.#told = told;
    this.panel = h("div", { class: "recorder", hidden: true });
    this.status = h("span", { class: "unseen", role: "status" });
    // The same button starts and stops: the finger that holds it must not lose it.
    this.button = h("button", {
      type: "button", class: "round", hidden: !canRecord,
      onclick: (event) => event.detail === 0 && this.#toggle(),
      onpointerdown: (event) => this.#press(event),
      onpointerup: (event) => this.#letGo(event),
      onpointercancel: () => this.#pressed && this.cancel(),
      oncontextmenu: (event) => this.#pressed && event.preventDefault(),
    });
    const escape = (event) => event.key === "Escape" && this.#leave?.();
    this.element = h("div", { class: "recording", onkeydown: escape }, this.panel, this.button, this.status);
    this.#label();
  }

  async start() {
    if (this.#asking || this.#microphone) return;
    if (player.playing) player.pause();
    this.#asking = true;
    this.#unwanted = false;
    const id = newKey();
    const grown = (blob) => this.held === id && this.#keep(blob, this.#microphone?.elapsed ?? 0);
    try {
      this.#microphone = await Microphone.open({ grown, full: () => this.held === id && this.stop() });
      this.#told.trouble("");
    } catch {
      this.#told.trouble("The microphone can't be used. Allow it in the browser's settings for this page.");
      return;
    } finally {
      this.#asking = false;
    }
    this.held = id;
    if (this.#closed || this.#unwanted) this.cancel();
    else this.#showRecording();
  }

  /** While the browser still asks for the microphone: as soon as it has answered. */
  cancel() {
    if (this.#asking) {
      this.#unwanted = true;
      return;
    }
    clearInterval(this.#timer);
    this.#microphone?.close();
    this.#microphone = null;
    this.#discard("Recording discarded");
  }

  async stop() {
    const recording = await this.#stop();
    if (!recording) return;
    if (recording.duration < SHORTEST_MS) this.#discard("Too short to hear anything");
    else if (!this.#closed) this.#review(recording);
  }

  /** The page leaves: what was recorded is kept. */
  close() {
    this.#closed = true;
    this.#listen?.close();
    this.#stop();
  }

  async #stop() {
    clearInterval(this.#timer);
    const { held } = this;
    const microphone = this.#microphone;
    this.#microphone = null;
    const recording = await microphone?.stop();
    // Thrown away while the encoder was finishing?
    if (!recording || this.held !== held) return null;
    this.#keep(recording.blob, recording.duration);
    return recording;
  }

  #keep(blob, duration) {
    const id = (this.#given = this.held);
    this.#next(() => this.#drafts.keep(id, blob, duration));
  }

  #discard(sentence) {
    const id = this.held;
    this.held = null;
    // Of its first second nothing is kept yet.
    if (id !== null && this.#given === id) this.#next(() => this.#drafts.discard(id));
    say(this.status, sentence);
    this.#hide();
  }

  #send() {
    const id = this.held;
    this.held = null;
    // What is recorded next must not wait until this has been sent.
    this.#next(() => void this.#drafts.send(id).catch(() => this.#failed()));
    this.#hide();
  }

  /** One after the other: the latest must be the last. One that fails keeps none of the others back. */
  #next(act) {
    this.#kept = this.#kept.then(act).catch(() => this.#failed());
  }

  #failed() {
    this.#told.trouble("This browser's storage failed. What it has of the recording is listed as not sent yet.");
  }

  #toggle() {
    if (this.#microphone) this.stop();
    else this.start();
  }

  #press(event) {
    if (event.button !== 0) return;
    this.button.setPointerCapture(event.pointerId);
    this.#pressed = { at: performance.now(), x: event.clientX };
    this.#toggle();
  }

  #letGo(event) {
    const pressed = this.#pressed;
    this.#pressed = null;
    if (!pressed || !(this.#microphone || this.#asking)) return;
    if (Math.abs(event.clientX - pressed.x) > AWAY_PX) this.cancel();
    else if (this.#microphone && this.#isHeld(pressed)) this.stop();
  }

  #isHeld(pressed) {
    return Boolean(pressed) && performance.now() - pressed.at >= HOLD_MS;
  }

  #label() {
    this.button.replaceChildren(icon(this.#microphone ? "stop" : "mic"));
    set(this.button, "aria-label", this.#microphone ? "Stop recording" : "Record a voice message");
    this.button.classList.toggle("main", Boolean(this.#microphone));
  }

  #showRecording() {
    const level = h("span", { class: "level" });
    const time = h("span", { class: "clock", role: "timer" });
    const hint = h("span", { class: "hint" }, "Slide away to cancel");
    this.#leave = () => this.cancel();
    this.#show(this.#trash("Cancel recording"), time, h("span", { class: "meter", "aria-hidden": "true" }, level), hint);
    this.button.focus();
    this.#timer = setInterval(() => this.#tick(level, time), TICK_MS);
  }

  #tick(level, time) {
    const { elapsed, left } = this.#microphone;
    level.style.setProperty("--level", this.#microphone.level.toFixed(3));
    say(time, left < SOON_MS ? `${Math.ceil(left / 1000)} s left` : minutes(elapsed));
    if (left < SOON_MS) say(this.status, "10 seconds left");
    set(this.panel, "data-soon", left < SOON_MS);
    set(this.panel, "data-held", this.#isHeld(this.#pressed));
    this.#told.going();
    if (left <= 0) this.stop();
  }

  #review({ blob, duration }) {
    const listen = (this.#listen = listenButton(blob));
    const done = (act) => () => {
      listen.close();
      act();
    };
    this.#leave = done(() => this.#discard("Recording discarded"));
    const send = done(() => this.#send());
    this.#show(
      this.#trash("Discard recording"),
      listen.element,
      h("span", { class: "length" }, `Recorded ${minutes(duration)}`),
      h("button", { type: "button", class: "round main", "aria-label": "Send recording", onclick: send }, icon("send")),
    );
    this.button.hidden = true;
    say(this.status, `Recorded ${seconds(duration)}`);
    this.panel.lastElementChild.focus();
  }

  #trash(label) {
    return h("button", { type: "button", class: "round", "aria-label": label, onclick: () => this.#leave() }, icon("trash"));
  }

  #show(...content) {
    this.panel.replaceChildren(...content);
    this.panel.hidden = false;
    for (const mark of ["data-soon", "data-held"]) set(this.panel, mark, false);
    this.#label();
    this.#told.busy(true);
  }

  #hide() {
    this.#leave = null;
    this.panel.hidden = true;
    this.panel.replaceChildren();
    this.button.hidden = !canRecord;
    this.#label();
    this.#told.busy(false);
    this.button.focus();
  }
}
