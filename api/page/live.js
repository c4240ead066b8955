// What changes on the server, as events: `threads` (detail: the list), `message` (a message), `gone` (a message id),
// `online` (whether the server answers). It asks again and again: quickly while something is on its way, slowly
// otherwise, never for a page that nobody sees.

const QUICK_MS = 800;
const SLOW_MS = 3_000;
const MOST_PATIENCE_MS = 20_000;
const RECENT = 30;
const UNSETTLED = ["received", "processing", "pending"];

export class Live extends EventTarget {
  #client;
  #thread = null;
  #known = new Map();
  #timer = 0;
  #failures = 0;
  #round = 0;
  #asking = false;
  #soon = false;
  #stopped = false;

  constructor(client) {
    super();
    this.#client = client;
    document.addEventListener("visibilitychange", () => this.nudge());
    addEventListener("online", () => this.nudge());
  }

  /** Also follows the messages of one thread; null for none. */
  open(thread) {
    this.#thread = thread;
    this.#known.clear();
    this.nudge();
  }

  /** Tells what the page shows, so that only news are dispatched. */
  know(message) {
    this.#known.set(message.id, { print: print(message), unsettled: isUnsettled(message), round: this.#round });
  }

  /** Asks soon. */
  nudge() {
    this.#soon = true;
    if (!this.#asking) this.#schedule();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#stopped = true;
  }

  async #ask() {
    this.#asking = true;
    this.#soon = false;
    try {
      await this.#look();
      this.#failures = 0;
      this.#dispatch("online", true);
    } catch (problem) {
      this.#failures += 1;
      this.#dispatch("online", false);
      if (problem.code === undefined) throw problem;
    } finally {
      this.#asking = false;
      if (!this.#stopped) this.#schedule();
    }
  }

  #schedule() {
    clearTimeout(this.#timer);
    if (document.hidden) return;
    const unsettled = [...this.#known.values()].some((known) => known.unsettled);
    const calm = unsettled ? QUICK_MS : SLOW_MS;
    const patience = this.#soon ? 0 : this.#failures ? Math.min(SLOW_MS * 2 ** (this.#failures - 1), MOST_PATIENCE_MS) : calm;
    this.#timer = setTimeout(() => this.#ask(), patience);
  }

  async #look() {
    const thread = this.#thread;
    this.#round += 1;
    const { items } = await this.#client.get("/v1/threads?limit=100");
    this.#dispatch("threads", items);
    if (!thread || thread !== this.#thread) return;
    const page = await this.#client.get(`/v1/threads/${thread}/messages?limit=${RECENT}`);
    if (thread !== this.#thread) return;
    for (const message of page.items) this.#compare(message);
    this.#missing(page);
    await this.#lookOlder(new Set(page.items.map(({ id }) => id)));
  }

  /** What should be among the newest and is not has been deleted; what was sent meanwhile is too new for the answer. */
  #missing({ items, next_cursor: more }) {
    const present = new Set(items.map(({ id }) => id));
    const oldest = more ? items.at(-1).id : "";
    for (const [id, { round }] of [...this.#known]) {
      if (id >= oldest && !present.has(id) && round < this.#round) this.#forget(id);
    }
  }

  async #lookOlder(seen) {
    for (const [id, { unsettled }] of [...this.#known]) {
      if (!unsettled || seen.has(id)) continue;
      try {
        this.#compare(await this.#client.get(`/v1/messages/${id}`));
      } catch (problem) {
        if (problem.status !== 404) throw problem;
        this.#forget(id);
      }
    }
  }

  #compare(message) {
    if (this.#known.get(message.id)?.print === print(message)) return;
    this.know(message);
    this.#dispatch("message", message);
  }

  #forget(id) {
    this.#known.delete(id);
    this.#dispatch("gone", id);
  }

  #dispatch(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/** Playback URLs are made anew for each answer: that is no change. */
function print(message) {
  return JSON.stringify(message, (key, value) => (key === "url" || key === "expires_at" ? undefined : value));
}

function isUnsettled({ voice }) {
  return Boolean(voice) && (UNSETTLED.includes(voice.state) || UNSETTLED.includes(voice.transcript?.state));
}
