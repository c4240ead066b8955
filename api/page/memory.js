// What this browser remembers between visits: speed, and where each message was stopped. Never content.

const RATE = "earshot.rate";
const POSITIONS = "earshot.positions";
const MOST = 300;

export function savedRate() {
  return Number(read(RATE)) || 1;
}

export function saveRate(rate) {
  write(RATE, String(rate));
}

class Positions {
  #byId = new Map(parsed(read(POSITIONS)));

  get(id) {
    return this.#byId.get(id) ?? 0;
  }

  set(id, ms) {
    this.#byId.delete(id);
    this.#byId.set(id, ms);
    if (this.#byId.size > MOST) this.#byId.delete(this.#byId.keys().next().value);
    this.#keep();
  }

  drop(id) {
    if (this.#byId.delete(id)) this.#keep();
  }

  #keep() {
    write(POSITIONS, JSON.stringify([...this.#byId]));
  }
}

export const positions = new Positions();

function parsed(text) {
  try {
    return JSON.parse(text ?? "[]");
  } catch {
    return [];
  }
}

// Storage is refused in some private windows; the player works without.
function read(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function write(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    return;
  }
}
