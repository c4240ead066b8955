// Who may sound: one at a time, in this page and in the others of this browser.

export class Floor {
  #sound = null;
  #tabs = "BroadcastChannel" in window ? new BroadcastChannel("earshot.sound") : null;

  /** `silence()` is called when another page begins to sound. */
  constructor(silence) {
    this.#tabs?.addEventListener("message", () => {
      this.#sound?.pause();
      silence();
    });
  }

  /** Silences what sounded before: `sound`, an element that is none of the player's, has it now. */
  take(sound = null) {
    this.#sound?.pause();
    this.#sound = sound;
    this.#tabs?.postMessage("mine");
  }
}
