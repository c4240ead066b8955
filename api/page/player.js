// One sound at a time, whichever bubble it belongs to.
//
// A host is what can be played: `key`, `source()` -> {url, expires} or null, `renew()` -> a promise of a fresh source,
// `duration`, `track`
// {title, artist}, `playNext()`, and is told by `playback()` (anything changed), `heard(ms, toTheEnd)`, `finished()` and `unplayable()`.

import { announceMedia } from "./media-session.js";
import { positions, savedRate, saveRate } from "./memory.js";

const SPEEDS = [1, 1.25, 1.5, 2];
// A URL that is about to expire could do so between the request for its first and for its last byte.
const MARGIN_MS = 10_000;
const BREATH_MS = 200;

class Player {
  #audio = new Audio();
  #host = null;
  #wanted = null;
  #renewing = null;
  #renewed = false;
  #frame = 0;
  /** Whether it should sound, which it may not do yet. */
  playing = false;
  rate = SPEEDS.includes(savedRate()) ? savedRate() : 1;

  constructor() {
    const on = (name, react) => this.#audio.addEventListener(name, react);
    this.#audio.preload = "auto";
    on("loadedmetadata", () => this.#applyWanted());
    on("playing", () => this.#sounds());
    on("timeupdate", () => this.#host?.playback());
    on("pause", () => !this.#audio.ended && !this.#renewing && this.playing && this.pause());
    on("ended", () => this.#ended());
    on("error", () => this.#host && this.#recover());
    addEventListener("pagehide", () => this.#keepPosition());
  }

  has(host) {
    return this.#host === host;
  }

  isPlaying(host) {
    return this.playing && this.#host === host;
  }

  /** Milliseconds; where it stopped last time for a host that is not the current one. */
  position(host) {
    if (this.#host !== host) return positions.get(host.key);
    return this.#wanted ?? Math.round(this.#audio.currentTime * 1000);
  }

  toggle(host) {
    if (this.isPlaying(host)) this.pause();
    else this.play(host);
  }

  play(host, from = this.position(host)) {
    const isNew = this.#adopt(host);
    this.playing = true;
    if (isNew && !this.#isStale()) this.#load();
    // Stopped on the last breath: begin again.
    this.#seek(from < host.duration - BREATH_MS ? from : 0);
    if (isNew && this.#isStale()) this.#renew();
    else this.#start();
    host.playback();
  }

  pause() {
    this.playing = false;
    this.#audio.pause();
    cancelAnimationFrame(this.#frame);
    this.#keepPosition();
    this.#host?.heard(this.position(this.#host), false);
    this.#host?.playback();
  }

  seek(host, ms) {
    if (this.#host === host) this.#seek(ms);
    else positions.set(host.key, ms);
    host.playback();
  }

  /** Stops and forgets a host that leaves the page. */
  release(host) {
    if (this.#host !== host) return;
    if (this.playing) this.pause();
    this.#host = null;
    this.#unload();
  }

  nextRate(host) {
    this.rate = SPEEDS[(SPEEDS.indexOf(this.rate) + 1) % SPEEDS.length];
    saveRate(this.rate);
    this.#applyRate();
    host.playback();
  }

  /** Whether it was not the current host before. */
  #adopt(host) {
    if (this.#host === host) return false;
    const before = this.#host;
    if (before && this.playing) this.pause();
    this.#host = null;
    before?.playback();
    this.#host = host;
    this.#renewed = false;
    this.#unload();
    announceMedia(host, this);
    return true;
  }

  #unload() {
    this.#audio.removeAttribute("src");
    this.#audio.load();
  }

  #load() {
    this.#audio.src = this.#host.source().url;
    this.#applyRate();
  }

  #applyRate() {
    this.#audio.defaultPlaybackRate = this.rate;
    this.#audio.playbackRate = this.rate;
  }

  #isStale() {
    const source = this.#host.source();
    return !source || source.expires - MARGIN_MS < Date.now();
  }

  #start() {
    this.#audio.play().catch((error) => {
      // Sounding without a click is refused on some browsers; the rest arrives as an error event.
      if (error.name === "NotAllowedError") this.pause();
    });
  }

  #seek(ms) {
    this.#wanted = ms;
    if (this.#audio.readyState >= HTMLMediaElement.HAVE_METADATA) this.#applyWanted();
  }

  #applyWanted() {
    if (this.#wanted === null) return;
    this.#audio.currentTime = this.#wanted / 1000;
    this.#wanted = null;
  }

  #recover() {
    if (this.#renewing) return;
    if (this.#renewed) this.#giveUp();
    else this.#renew();
  }

  /** Goes on with a fresh URL where the old one stopped working. */
  async #renew() {
    const host = this.#host;
    this.#wanted = this.position(host);
    this.#renewed = true;
    this.#renewing = host;
    try {
      await host.renew();
    } catch {
      if (this.#host === host) this.#giveUp();
      return;
    } finally {
      if (this.#renewing === host) this.#renewing = null;
    }
    if (this.#host !== host) return;
    this.#load();
    if (this.playing) this.#start();
  }

  #giveUp() {
    this.playing = false;
    this.#renewed = false;
    const host = this.#host;
    this.#keepPosition();
    this.#host = null;
    host.unplayable();
    host.playback();
  }

  #sounds() {
    const host = this.#host;
    this.#renewed = false;
    const follow = () => {
      if (!this.isPlaying(host)) return;
      host.playback();
      this.#frame = requestAnimationFrame(follow);
    };
    cancelAnimationFrame(this.#frame);
    follow();
  }

  #ended() {
    const host = this.#host;
    this.playing = false;
    positions.drop(host.key);
    this.#audio.currentTime = 0;
    host.heard(0, true);
    host.playback();
    host.finished();
  }

  #keepPosition() {
    if (this.#host) positions.set(this.#host.key, this.position(this.#host));
  }
}

export const player = new Player();
