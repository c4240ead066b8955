// What this browser remembers between visits: speed, and where each message was stopped. Never content.

const RATE = "earshot.rate";
const POSITIONS = "earshot.positions";
const MOST = 300;
// What this browser told the server itself comes back a little younger.
const SAME_MS = 2_000;

export function savedRate() {
  return Number(read(RATE)) || 1;
}

export function saveRate(rate) {
  write(RATE, String(rate));
}

/** Where each message was stopped, and when that was. */
class Positions {
  #byId = new Map();

  constructor() {
    this.#load();
    addEventListener("storage", ({ key }) => key === POSITIONS && this.#load());
  }

  /** Milliseconds. */
  get(id) {
    return this.#byId.get(id)?.[0] ?? 0;
  }

  set(id, ms, at = Date.now()) {
    this.#byId.delete(id);
    this.#byId.set(id, [ms, at]);
    if (this.#byId.size > MOST) this.#byId.delete(this.#byId.keys().next().value);
    write(POSITIONS, JSON.stringify([...this.#byId]));
  }

  /** What another device says; whether that is news. */
  learn(id, ms, at) {
    const [here, then] = this.#byId.get(id) ?? [0, 0];
    if (here === ms || at < then + SAME_MS) return false;
    this.set(id, ms, at);
    return true;
  }

  #load() {
    this.#byId = new Map(parsed(read(POSITIONS)));
  }
}

export const positions = new Positions();

export function parsed(text, otherwise = []) {
  try {
    return JSON.parse(text) ?? otherwise;
  } catch {
    return otherwise;
  }
}

// Storage is refused in some private windows; the player works without.
export function read(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/** Null removes. Whether it is kept. */
export function write(key, value) {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
    return true;
  } catch {
    return false;
  }
}

/** Of all that begin so. */
export function namesOf(prefix) {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(prefix));
  } catch {
    return [];
  }
}
