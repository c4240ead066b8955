// What was heard, until the server has been told: {position_ms, completed, at} by user and message. It is kept before it is
// told: a page that is closed meanwhile hears of no failure.

import { isPassing } from "./client.js";
import { parsed, read, write } from "./memory.js";

const KEY = "earshot.plays";
// More than this the server does not take.
const LONGEST_AGO_MS = 365 * 86_400_000;

class Plays {
  #untold = new Map();
  #telling = new Set();

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
    this.#keep(key, play);
    this.#telling.add(key);
    try {
      await client.post(`/v1/messages/${id}/played`, told(play), { keepalive: true });
      this.#forget(key, at);
    } catch (problem) {
      if (!isPassing(problem)) this.#forget(key, at);
    } finally {
      this.#telling.delete(key);
    }
  }

  /** Once more, one after the other; not what is on its way. */
  async retell(client) {
    for (const [key, { position_ms: position, completed, at }] of [...this.#untold]) {
      const id = key.split(" ").at(-1);
      const isWanted = key === `${client.user} ${id}` && !this.#telling.has(key) && this.#untold.has(key);
      if (isWanted) await this.tell(client, id, position, completed, at);
    }
  }

  #keep(key, play) {
    if (this.#untold.get(key)?.at >= play.at) return;
    this.#untold.set(key, play);
    this.#save();
  }

  /** Not what was heard since. */
  #forget(key, at) {
    if (this.#untold.get(key)?.at <= at && this.#untold.delete(key)) this.#save();
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
