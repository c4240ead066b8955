// What was heard, until the server has been told: {position_ms, completed, at} of each message. It is kept before it is told: a
// page that is closed meanwhile hears of no failure.

import { isPassing } from "./client.js";
import { namesOf, parsed, read, write } from "./memory.js";

const PREFIX = "earshot.heard.";
// More than this the server does not take.
const LONGEST_AGO_MS = 365 * 86_400_000;

class Plays {
  // Where this browser keeps nothing, as long as the page lives.
  #unkept = new Map();
  #telling = new Set();

  /** Whether this person has heard it to its end, and only this browser knows. */
  isHeard(user, id) {
    return Boolean(this.#untold(nameOf(user, id))?.completed);
  }

  /** What was heard once stays heard, wherever somebody stopped the next time. */
  async tell(client, id, position, completed) {
    const name = nameOf(client.user, id);
    const play = { position_ms: Math.round(position), completed: completed || this.isHeard(client.user, id), at: Date.now() };
    if (write(name, JSON.stringify(play))) this.#unkept.delete(name);
    else this.#unkept.set(name, play);
    if (await this.#tell(client, id, play)) await this.retell(client);
  }

  /** Once more, one after the other; not what is on its way. */
  async retell(client) {
    for (const name of [...namesOf(PREFIX), ...this.#unkept.keys()]) {
      const [id] = name.slice(PREFIX.length).split(".");
      const play = this.#untold(name);
      if (play && name === nameOf(client.user, id) && !this.#telling.has(name)) await this.#tell(client, id, play);
    }
  }

  #untold(name) {
    return this.#unkept.get(name) ?? parsed(read(name), null);
  }

  /** Whether it could be told. */
  async #tell(client, id, play) {
    const name = nameOf(client.user, id);
    this.#telling.add(name);
    try {
      await client.post(`/v1/messages/${id}/played`, told(play), { keepalive: true });
      this.#forget(name, play);
      return true;
    } catch (problem) {
      if (!isPassing(problem)) this.#forget(name, play);
      return false;
    } finally {
      this.#telling.delete(name);
    }
  }

  /** Not what was heard since. */
  #forget(name, { at }) {
    if (this.#untold(name)?.at !== at) return;
    this.#unkept.delete(name);
    write(name, null);
  }
}

/** A person's id may hold anything, a message's no dot. */
function nameOf(user, id) {
  return `${PREFIX}${id}.${user}`;
}

/** By how long ago it was: the server's clock need not be this one's. */
function told({ at, ...play }) {
  return { ...play, age_ms: Math.min(Math.max(0, Date.now() - at), LONGEST_AGO_MS) };
}

export const plays = new Plays();
