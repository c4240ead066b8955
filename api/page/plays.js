// What was heard and the server could not be told, until it can: {position_ms, completed, at} by user and message.

import { isPassing } from "./client.js";
import { parsed, read, write } from "./memory.js";

const KEY = "earshot.plays";
// More than this the server does not take.
const LONGEST_AGO_MS = 365 * 86_400_000;

class Plays {
  #untold = new Map();
  #telling = false;

  constructor() {
    this.#load();
    addEventListener("storage", ({ key }) => key === KEY && this.#load());
  }

  /** Whether this person has heard it to its end, and only this browser knows. */
  isHeard(user, id) {
    return Boolean(this.#untold.get(`${user} ${id}`)?.completed);
  }

  /** What was heard once stays heard, wherever somebody stopped the next time. `at` is when that was. */
  async tell(client, id, position, completed, at = Date.now()) {
    const play = { position_ms: Math.round(position), completed: completed || this.isHeard(client.user, id), at };
    const key = `${client.user} ${id}`;
    const before = this.#untold.get(key);
    try {
      await client.post(`/v1/messages/${id}/played`, told(play), { keepalive: true });
      this.#forget(key, before);
    } catch (problem) {
      if (isPassing(problem)) this.#keep(key, play);
      else this.#forget(key, before);
    }
  }

  /** Once more, one after the other. */
  async retell(client) {
    if (this.#telling) return;
    this.#telling = true;
    for (const [key, { position_ms: position, completed, at }] of [...this.#untold]) {
      const id = key.split(" ").at(-1);
      if (key === `${client.user} ${id}`) await this.tell(client, id, position, completed, at);
    }
    this.#telling = false;
  }

  #keep(key, play) {
    this.#untold.set(key, play);
    this.#save();
  }

  /** Not what has been added meanwhile. */
  #forget(key, play) {
    if (this.#untold.get(key) === play && this.#untold.delete(key)) this.#save();
  }

  #save() {
    write(KEY, this.#untold.size ? JSON.stringify([...this.#untold]) : null);
  }

  #load() {
    this.#untold = new Map(parsed(read(KEY)));
  }
}

/** By how long ago it was: the server's clock need not be this one's. */
function told({ at, ...play }) {
  return { ...play, age_ms: Math.min(Math.max(0, Date.now() - at), LONGEST_AGO_MS) };
}

export const plays = new Plays();
