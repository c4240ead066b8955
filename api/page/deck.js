// Two sounds: the one that plays, and one that has the recording ready that will probably be next.

export class Deck {
  #sound = new Audio();
  #spare = new Audio();
  #ready = null;
  rate = 1;

  /** `reactions`: listeners by event name, for the sound that plays. */
  constructor(reactions) {
    for (const sound of [this.#sound, this.#spare]) {
      sound.preload = "auto";
      for (const [name, react] of Object.entries(reactions)) {
        sound.addEventListener(name, () => sound === this.#sound && react());
      }
    }
  }

  get sound() {
    return this.#sound;
  }

  prepare(url) {
    if (this.#ready === url) return;
    this.#ready = url;
    this.#spare.src = url;
  }

  load(url) {
    if (this.#ready === url && !this.#spare.error) this.#swap();
    else this.#sound.src = url;
    this.#sound.defaultPlaybackRate = this.#sound.playbackRate = this.rate;
  }

  unload() {
    empty(this.#sound);
  }

  /** Some browsers let only such sounds start by themselves later that were touched by a click once. */
  bless() {
    if (this.#ready === null) this.#spare.load();
  }

  #swap() {
    [this.#sound, this.#spare] = [this.#spare, this.#sound];
    this.#ready = null;
    empty(this.#spare);
  }
}

function empty(sound) {
  sound.removeAttribute("src");
  sound.load();
}
