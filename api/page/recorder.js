// The recorder in the composer: tap or hold to record, Escape or slide away to cancel, listen, send.

import { h, icon, say, set } from "./dom.js";
import { canRecord, Microphone } from "./microphone.js";
import { player } from "./player.js";
import { minutes, seconds } from "./words.js";

const HOLD_MS = 400;
const AWAY_PX = 90;
const SOON_MS = 10_000;
const TICK_MS = 80;

export class Recorder {
  #microphone = null;
  #timer = 0;
  #pressed = null;
  #asking = false;
  #leave = null;

  /** `keep({blob, duration})` takes a recording; `busy(on)` says whether the composer belongs to the recorder. */
  constructor(keep, busy, trouble) {
    this.keep = keep;
    this.busy = busy;
    this.trouble = trouble;
    this.panel = h("div", { class: "recorder", hidden: true });
    this.status = h("span", { class: "unseen", role: "status" });
    // The same button starts and stops: the finger that holds it must not lose it.
    this.button = h("button", {
      type: "button", class: "round", hidden: !canRecord,
      onclick: (event) => event.detail === 0 && this.#toggle(),
      onpointerdown: (event) => this.#press(event),
      onpointerup: (event) => this.#letGo(event),
      onpointercancel: () => this.#pressed && this.cancel(),
    });
    const escape = (event) => event.key === "Escape" && this.#leave?.();
    this.element = h("div", { class: "recording", onkeydown: escape }, this.panel, this.button, this.status);
    this.#label();
  }

  async start() {
    if (this.#asking || this.#microphone) return;
    if (player.playing) player.pause();
    this.#asking = true;
    try {
      this.#microphone = await Microphone.open();
      this.trouble("");
    } catch {
      this.trouble("The microphone can't be used. Allow it in the browser's settings for this page.");
      return;
    } finally {
      this.#asking = false;
    }
    this.#showRecording();
  }

  cancel() {
    clearInterval(this.#timer);
    this.#microphone?.close();
    this.#microphone = null;
    say(this.status, "Recording discarded");
    this.#hide();
  }

  async stop() {
    clearInterval(this.#timer);
    const microphone = this.#microphone;
    this.#microphone = null;
    if (microphone) this.#review(await microphone.stop());
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
    if (!pressed || performance.now() - pressed.at < HOLD_MS || !this.#microphone) return;
    if (Math.abs(event.clientX - pressed.x) > AWAY_PX) this.cancel();
    else this.stop();
  }

  #label() {
    this.button.replaceChildren(icon(this.#microphone ? "stop" : "mic"));
    set(this.button, "aria-label", this.#microphone ? "Stop recording" : "Record a voice message");
    this.button.classList.toggle("main", Boolean(this.#microphone));
  }

  #showRecording() {
    const level = h("span", { class: "level" });
    const time = h("span", { class: "clock", role: "timer" });
    this.#leave = () => this.cancel();
    this.#show(this.#discard("Cancel recording"), time, h("span", { class: "meter", "aria-hidden": "true" }, level));
    this.button.focus();
    say(this.status, "Recording");
    this.#timer = setInterval(() => this.#tick(level, time), TICK_MS);
  }

  #tick(level, time) {
    const { elapsed, left } = this.#microphone;
    level.style.setProperty("--level", this.#microphone.level.toFixed(3));
    say(time, left < SOON_MS ? `${Math.ceil(left / 1000)} s left` : minutes(elapsed));
    if (left < SOON_MS) say(this.status, "10 seconds left");
    set(this.panel, "data-soon", left < SOON_MS);
    if (left <= 0) this.stop();
  }

  #review({ blob, duration }) {
    const url = URL.createObjectURL(blob);
    const sound = new Audio(url);
    const done = (act) => () => {
      sound.pause();
      URL.revokeObjectURL(url);
      this.#hide();
      act?.();
    };
    this.#leave = done();
    const send = done(() => this.keep({ blob, duration }));
    this.#show(
      this.#discard("Discard recording"),
      listenButton(sound),
      h("span", { class: "length" }, `Recorded ${minutes(duration)}`),
      h("button", { type: "button", class: "round main", "aria-label": "Send recording", onclick: send }, icon("send")),
    );
    this.button.hidden = true;
    say(this.status, `Recorded ${seconds(duration)}`);
    this.panel.lastElementChild.focus();
  }

  #discard(label) {
    return h("button", { type: "button", class: "round", "aria-label": label, onclick: () => this.#leave() }, icon("trash"));
  }

  #show(...content) {
    this.panel.replaceChildren(...content);
    this.panel.hidden = false;
    set(this.panel, "data-soon", false);
    this.#label();
    this.busy(true);
  }

  #hide() {
    this.#leave = null;
    this.panel.hidden = true;
    this.panel.replaceChildren();
    this.button.hidden = false;
    this.#label();
    this.busy(false);
    this.button.focus();
  }
}

function listenButton(sound) {
  const toggle = () => (sound.paused ? sound.play() : sound.pause());
  const button = h("button", { type: "button", class: "round", onclick: toggle });
  const turn = () => {
    button.replaceChildren(icon(sound.paused ? "play" : "pause"));
    set(button, "aria-label", sound.paused ? "Listen to the recording" : "Pause the recording");
  };
  for (const name of ["play", "pause", "ended"]) sound.addEventListener(name, turn);
  turn();
  return button;
}
