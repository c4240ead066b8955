// The waveform that is also the slider.

import { h, set, svg } from "./dom.js";
import { minutes, seconds } from "./words.js";

const PITCH = 4;
const HEIGHT = 32;
const STEP_MS = 2_000;
const LEAP_MS = 10_000;
const KEYS = {
  ArrowLeft: -STEP_MS, ArrowDown: -STEP_MS, ArrowRight: STEP_MS, ArrowUp: STEP_MS,
  PageDown: -LEAP_MS, PageUp: LEAP_MS, Home: -Infinity, End: Infinity,
};

// One observer for all bubbles; those out of sight are not rendered, so they report, and are drawn, when they come near.
const sizes = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) target.dispatchEvent(new CustomEvent("width", { detail: contentRect.width }));
});

export class Seekbar {
  #peaks = [];
  #width = 0;
  #duration = 0;
  #position = 0;
  #rest = svg("path");
  #done = svg("path");

  /** `seek(ms)` is called for every move, `toggle()` for Space and Enter. */
  constructor(seek, toggle) {
    this.seek = seek;
    this.toggle = toggle;
    this.element = h(
      "div",
      {
        class: "wave", role: "slider", tabindex: "0", "aria-label": "Position", "aria-valuemin": "0",
        onkeydown: (event) => this.#key(event),
        onpointerdown: (event) => this.#press(event),
        onpointermove: (event) => this.element.hasPointerCapture(event.pointerId) && this.#point(event),
        onwidth: (event) => this.#resize(event.detail),
      },
      svg("svg", { class: "rest", "aria-hidden": "true" }, this.#rest),
      svg("svg", { class: "done", "aria-hidden": "true" }, this.#done),
    );
    sizes.observe(this.element);
  }

  /** `waveform`: base64 of bytes, linear peaks; null before it exists. */
  show(waveform, duration) {
    this.#duration = duration ?? 0;
    this.#peaks = waveform ? Array.from(atob(waveform), (char) => char.charCodeAt(0)) : [];
    set(this.element, "aria-valuemax", this.#duration);
    set(this.element, "aria-disabled", !duration && "true");
    set(this.element, "tabindex", duration ? "0" : "-1");
    this.#draw();
    this.move(this.#position);
  }

  move(ms) {
    this.#position = Math.min(ms, this.#duration);
    const part = this.#duration ? this.#position / this.#duration : 0;
    this.element.style.setProperty("--played", `${(part * 100).toFixed(2)}%`);
    // A slider that speaks on every frame would talk over the sound.
    set(this.element, "aria-valuenow", Math.round(this.#position / 1000) * 1000);
    set(this.element, "aria-valuetext", `${minutes(this.#position)} of ${seconds(this.#duration)}`);
  }

  #resize(width) {
    if (width === this.#width) return;
    this.#width = width;
    this.#draw();
  }

  #draw() {
    const bars = Math.min(100, Math.floor(this.#width / PITCH));
    if (bars < 1) return;
    // As many whole pixels as fit: bars on pixel borders stay sharp on every screen.
    const pitch = this.#width / bars;
    const path = heights(this.#peaks, bars).map((height, index) => {
      const x = Math.floor(index * pitch) + 1;
      return `M${x} ${(HEIGHT - height) / 2}v${height}`;
    });
    for (const each of [this.#rest, this.#done]) each.setAttribute("d", path.join(""));
  }

  #key(event) {
    if (!this.#duration || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === " " || event.key === "Enter") this.toggle();
    else if (event.key in KEYS) this.#go(this.#position + KEYS[event.key]);
    else return;
    event.preventDefault();
  }

  #press(event) {
    if (!this.#duration || event.button !== 0) return;
    this.element.setPointerCapture(event.pointerId);
    this.#point(event);
  }

  #point(event) {
    const box = this.element.getBoundingClientRect();
    this.#go(((event.clientX - box.left) / box.width) * this.#duration);
  }

  #go(ms) {
    const target = Math.round(Math.min(Math.max(0, ms), this.#duration));
    this.seek(target);
    this.move(target);
  }
}

/** Bar heights in pixels: loudness as the ear orders it, the loudest bar full, silence a dot. */
function heights(peaks, bars) {
  const loudest = Math.max(24, ...peaks);
  return Array.from({ length: bars }, (_, bar) => {
    const from = Math.floor((bar * peaks.length) / bars);
    const to = Math.max(from + 1, Math.floor(((bar + 1) * peaks.length) / bars));
    const peak = Math.max(0, ...peaks.slice(from, to));
    return 2 * Math.round(((peak / loudest) ** 0.75 * (HEIGHT - 4)) / 2);
  });
}
