// What changes on the server, as events: `threads` (detail: a page of the newest), `message` (a message), `gone` (a message id),
// `online` (whether the server answers), `signal` ({kind, thread_id, user_id}: somebody types or records). The event stream rings; then, and now and then, it is asked what there is.
// Without the stream it asks more often, most while something is on its way, never for a page that nobody sees.

import { Stream } from "./stream.js";

const CONNECTED_MS = 30_000;
// Events come in bursts: one question answers them all.
const BURST_MS = 120;
const QUICK_MS = 800;
const SLOW_MS = 3_000;
const MOST_PATIENCE_MS = 20_000;
const RECENT = 30;
const UNSETTLED = ["received", "processing", "pending"];

export class Live extends EventTarget {
  #client;
  #stream;
  #thread = null;
  #known = new Map();
  #timer = 0;
  #failures = 0;
  #round = 0;
  #asking = null;
  #soon = false;
  #stopped = false;

  constructor(client) {
    super();
    this.#client = client;
    this.#stream = new Stream(client, (type, data) => this.#heard(type, data), () => this.nudge());
    this.#stream.open();
    document.addEventListener("visibilitychange", () => this.nudge());
    addEventListener("offline", () => this.#dispatch("online", false));
    addEventListener("online", () => {
      this.#stream.hurry();
      this.nudge();
    });
  }

  /** Also follows the messages of one thread; null for none. */
  open(thread) {
    this.#thread = thread;
    this.#known.clear();
    this.nudge();
  }

  /** While `act` runs nothing is asked about the open thread, nor after it unless it fails. */
  async unwatched(act) {
    const thread = this.#thread;
    this.#thread = null;
    try {
      await this.#asking;
      return await act();
    } catch (problem) {
      this.#thread ??= thread;
      throw problem;
    }
  }

  /** Tells what the page shows, so that only news are dispatched. */
  know(message) {
    this.#known.set(message.id, { print: print(message), unsettled: isUnsettled(message), round: this.#round });
  }

  /** What the page itself has deleted need not be asked for. It stays known: an answer on its way may still hold it. */
  deleted(id) {
    const known = this.#known.get(id);
    if (known) Object.assign(known, { unsettled: false, round: Infinity });
  }

  /** Asks soon. */
  nudge() {
    this.#soon = true;
    if (!this.#asking && !this.#stopped) this.#schedule();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#stopped = true;
    this.#stream.close();
  }

  #heard(type, data) {
    if (type === "typing" || type === "recording") return this.#dispatch("signal", { ...data, kind: type });
    if (data.thread_id === this.#thread && type === "message.deleted") this.#forget(data.id);
    else if (data.thread_id === this.#thread && data.kind) this.#compare(data);
    this.nudge();
  }

  #ask() {
    this.#soon = false;
    this.#asking = this.#tryToLook().finally(() => {
      this.#asking = null;
      if (!this.#stopped) this.#schedule();
    });
  }

  async #tryToLook() {
    try {
      await this.#look();
      this.#failures = 0;
      this.#dispatch("online", true);
    } catch (problem) {
      this.#failures += 1;
      // A thread that one has left is no broken line.
      this.#dispatch("online", problem.status >= 400 && problem.status < 429);
      if (problem.code === undefined) throw problem;
    }
  }

  #schedule() {
    clearTimeout(this.#timer);
    if (this.#soon) this.#timer = setTimeout(() => this.#ask(), BURST_MS);
    else if (!document.hidden) this.#timer = setTimeout(() => this.#ask(), this.#patience());
  }

  #patience() {
    if (this.#failures) return Math.min(SLOW_MS * 2 ** (this.#failures - 1), MOST_PATIENCE_MS);
    if (this.#stream.connected) return CONNECTED_MS;
    return [...this.#known.values()].some((known) => known.unsettled) ? QUICK_MS : SLOW_MS;
  }

  async #look() {
    const thread = this.#thread;
    this.#round += 1;
    this.#dispatch("threads", await this.#client.get("/v1/threads?limit=100"));
    if (!thread || thread !== this.#thread) return;
    const known = new Set(this.#known.keys());
    const page = await this.#page(thread);
    await this.#fillGap(thread, page, known);
    if (thread !== this.#thread) return;
    const seen = new Set(page.items.map(({ id }) => id));
    await this.#askFor([...this.#missing(page, seen), ...this.#unsettled(seen)]);
  }

  async #page(thread, cursor) {
    const from = cursor ? `&cursor=${encodeURIComponent(cursor)}` : "";
    const page = await this.#client.get(`/v1/threads/${thread}/messages?limit=${RECENT}${from}`);
    // In the order in which they were said, for those who only hear of them.
    if (thread === this.#thread) page.items.toReversed().forEach((message) => this.#compare(message));
    return page;
  }

  /** More may have been said meanwhile than one page holds: back to what is known. */
  async #fillGap(thread, page, known) {
    while (known.size && page.next_cursor && thread === this.#thread && !page.items.some(({ id }) => known.has(id))) {
      page = await this.#page(thread, page.next_cursor);
    }
  }

  /** What should be among the newest and is not has probably been deleted; what was sent meanwhile is too new for the answer. */
  #missing({ items, next_cursor: more }, seen) {
    const oldest = more ? items.at(-1).id : "";
    const isMissing = ([id, { round }]) => id >= oldest && !seen.has(id) && round < this.#round;
    return [...this.#known].filter(isMissing).map(([id]) => id);
  }

  #unsettled(seen) {
    return [...this.#known].filter(([id, { unsettled }]) => unsettled && !seen.has(id)).map(([id]) => id);
  }

  async #askFor(ids) {
    for (const id of new Set(ids)) {
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
