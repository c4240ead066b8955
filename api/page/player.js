// One sound at a time, whichever bubble it belongs to.
//
// A host is what can be played: `key`, `source()` -> {url, expires} or null, `renew()` -> a promise of a fresh source,
// `duration`, `track` {title, artist}, `next()` -> the host to play after it or null, and is told by `playback()` (anything changed),
// `heard(ms, toTheEnd)` and `unplayable()`.

import { Deck } from "./deck.js";
import { Floor } from "./floor.js";
import { announceMedia, tellPosition } from "./media-session.js";
import { positions, savedRate, saveRate } from "./memory.js";

const SPEEDS = [1, 1.25, 1.5, 2];
// A URL that is about to expire could do so between the request for its first and for its last byte.
const MARGIN_MS = 10_000;
const BREATH_MS = 500;
const RENEWED_MS = 10_000;

class Player {
  #deck;
  #host = null;
  #wanted = null;
  #guessed = null;
  #renewing = null;
  #renewed = -Infinity;
  #frame = 0;
  #shown = new Set();
  #floor = new Floor(() => this.playing && this.pause());
  /** Whether it should sound, which it may not do yet. */
  playing = false;
  rate = SPEEDS.includes(savedRate()) ? savedRate() : 1;

  constructor() {
    this.#deck = new Deck({
      loadedmetadata: () => this.#applyWanted(),
      playing: () => this.#sounds(),
      timeupdate: () => this.#host?.playback(),
      pause: () => !this.#sound.ended && !this.#renewing && this.playing && this.pause(),
      ended: () => this.#ended(),
      error: () => this.#host && this.#recover(),
    });
    this.#deck.rate = this.rate;
    addEventListener("pagehide", () => this.#leave());
    document.addEventListener("visibilitychange", () => document.hidden && this.#keepPosition());
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
    return this.#wanted ?? Math.round(this.#sound.currentTime * 1000);
  }

  /** Has the sound ready: somebody is about to play it. */
  prepare(host) {
    if (this.#host !== host && !isStale(host) && !navigator.connection?.saveData) this.#deck.prepare(host.source().url);
  }

  toggle(host) {
    if (this.isPlaying(host)) this.pause();
    else this.play(host);
  }

  /** From where it was stopped when no moment is given. */
  play(host, from = null) {
    const start = from ?? this.position(host);
    const isNew = this.#adopt(host);
    this.#floor.take();
    this.playing = true;
    if (isNew && !isStale(host)) this.#load();
    // Stopped on the last breath: begin again.
    this.#seek(start < host.duration - BREATH_MS ? start : 0);
    this.#guessed = from === null && isNew ? start : null;
    if (isNew && isStale(host)) this.#renew();
    else this.#start();
    host.playback();
  }

  pause() {
    this.playing = false;
    this.#sound.pause();
    cancelAnimationFrame(this.#frame);
    this.#keepPosition();
    this.#host?.heard(this.position(this.#host), false);
    this.#host?.playback();
  }

  seek(host, ms) {
    this.#guessed = null;
    positions.set(host.key, ms);
    if (this.#host === host) this.#seek(ms);
    host.playback();
  }

  /** The person stopped elsewhere, on another device. */
  moved(host, ms) {
    // What has only just begun to sound where it was believed to have been stopped may still go there.
    const justBegun = this.#guessed !== null && this.position(host) - this.#guessed < 1_000;
    if (this.#host === host && (!this.playing || justBegun)) this.#seek(ms);
    host.playback();
  }

  /** Lets another sound of this page be heard, until a message plays. */
  lend(sound) {
    if (this.playing) this.pause();
    this.#floor.take(sound);
  }

  /** A host that comes onto the page: it shows the speed, too. */
  welcome(host) {
    this.#shown.add(host);
  }

  /** Stops and forgets a host that leaves the page. */
  release(host) {
    this.#shown.delete(host);
    if (this.#host !== host) return;
    if (this.playing) this.pause();
    this.#host = null;
    this.#deck.unload();
  }

  nextRate() {
    this.rate = SPEEDS[(SPEEDS.indexOf(this.rate) + 1) % SPEEDS.length];
    saveRate(this.rate);
    this.#deck.rate = this.#sound.defaultPlaybackRate = this.#sound.playbackRate = this.rate;
    for (const host of this.#shown) host.playback();
  }

  get #sound() {
    return this.#deck.sound;
  }

  /** Whether it was not the current host before. */
  #adopt(host) {
    if (this.#host === host) return false;
    const before = this.#host;
    if (before && this.playing) this.pause();
    this.#host = null;
    before?.playback();
    this.#host = host;
    this.#renewed = -Infinity;
    this.#deck.unload();
    announceMedia(host, this);
    return true;
  }

  #load() {
    this.#deck.load(this.#host.source().url);
    this.#applyWanted();
  }

  #start() {
    this.#deck.bless();
    this.#sound.play().catch((error) => {
      // Sounding without a click is refused on some browsers; the rest arrives as an error event.
      if (error.name === "NotAllowedError") this.pause();
    });
  }

  #seek(ms) {
    this.#wanted = ms;
    this.#applyWanted();
  }

  #applyWanted() {
    if (this.#wanted === null || this.#sound.readyState < HTMLMediaElement.HAVE_METADATA) return;
    const seconds = this.#wanted / 1000;
    // Where it is already: a seek would cost the start a moment.
    if (this.#sound.currentTime !== seconds) this.#sound.currentTime = seconds;
    this.#wanted = null;
    tellPosition(this.#host, this.rate, seconds * 1000);
  }

  #recover() {
    if (this.#renewing) return;
    // What fails again with a fresh URL fails for another reason.
    if (performance.now() - this.#renewed < RENEWED_MS) this.#giveUp();
    else this.#renew();
  }

  /** Goes on with a fresh URL where the old one stopped working. */
  async #renew() {
    const host = this.#host;
    this.#wanted = this.position(host);
    this.#renewed = performance.now();
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
    if (!host.source()) return this.#giveUp();
    this.#load();
    if (this.playing) this.#start();
  }

  #giveUp() {
    this.playing = false;
    this.#renewed = -Infinity;
    const host = this.#host;
    this.#keepPosition();
    this.#host = null;
    host.unplayable();
    host.playback();
  }

  #sounds() {
    const host = this.#host;
    const next = host.next();
    if (next) this.prepare(next);
    tellPosition(host, this.rate, this.position(host));
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
    positions.set(host.key, 0);
    this.#sound.currentTime = 0;
    host.heard(0, true);
    host.playback();
    this.playNext(host);
  }

  playNext(host) {
    const next = host.next();
    if (!next) return;
    next.scrollIntoView({ block: "nearest" });
    this.play(next, 0);
  }

  #keepPosition() {
    if (this.#host) positions.set(this.#host.key, this.position(this.#host));
  }

  /** Another device may go on from here. */
  #leave() {
    this.#keepPosition();
    if (this.playing) this.#host.heard(this.position(this.#host), false);
  }
}

/** Whether its URL has expired, or is about to. */
function isStale(host) {
  const source = host.source();
  return !source || source.expires - MARGIN_MS < Date.now();
}

export const player = new Player();
