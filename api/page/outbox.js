// Sends recordings, one after the other, until the server has them: through lost lines, closed tabs and restarts.

import { isPassing } from "./client.js";
import { newKey } from "./keys.js";
import * as store from "./store.js";
import { Upload } from "./tus.js";

const WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 30_000;

export class Outbox extends EventTarget {
  #client;
  // By what their recorder calls them: the ids under which they are kept.
  #drafts = new Map();
  #sending = null;
  #pumping = Promise.resolve();
  #wake = null;
  #stopped = false;
  // To the other tabs: {discarded} is the id of what was thrown away, {hurry} asks them to try again now.
  #tabs = new BroadcastChannel("earshot.outbox");
  #queued = false;

  /** Dispatches `change`, and `sent` (detail: the message). */
  constructor(client) {
    super();
    this.#client = client;
    addEventListener("online", () => this.flush());
    this.#tabs.onmessage = ({ data }) => this.#hear(data).catch(() => null);
  }

  /** Keeps a recording that nobody has sent yet, or what it has grown to. */
  async keep(draft, thread, blob, duration) {
    const grown = { blob, duration, key: newKey() };
    if (this.#drafts.has(draft) && (await store.grow(this.idOf(draft), grown).catch(() => false))) return;
    // Another tab sends it, or has sent it, half grown: whole it is another one, and takes nothing from that.
    const id = newKey();
    this.#drafts.set(draft, id);
    await store.put({ id, user: this.#client.user, thread, draft: true, url: null, at: Date.now(), ...grown });
  }

  /** Under which a draft is kept; others are called by it. */
  idOf(draft) {
    return this.#drafts.get(draft) ?? draft;
  }

  async send(draft) {
    await store.change(this.idOf(draft), { draft: false, refused: false, problem: null });
    this.#tellTabs({ hurry: true });
    await this.flush();
  }

  async discard(draft) {
    this.#tellTabs({ discarded: this.idOf(draft) });
    await this.#throwAway(this.idOf(draft));
  }

  /** What waits, drafts too: {id, thread, blob, duration, draft, problem, refused, sent}; `sent` in bytes while it is on its way. */
  async items(thread) {
    const mine = (await store.all()).filter((item) => item.user === this.#client.user);
    const here = mine.filter((item) => !thread || item.thread === thread);
    return here.map((item) => ({ ...item, sent: this.#sending?.id === item.id ? this.#sending.sent : null }));
  }

  /** Sends what waits, now. */
  async flush() {
    this.#wake?.();
    await this.#go();
  }

  stop() {
    this.#stopped = true;
    this.#tabs.close();
    this.#sending?.stop.abort();
    this.#wake?.();
  }

  /** While one tab sends, each stands in line to go on when that is closed; not before, since it shows how far it is. */
  async #hear({ discarded, hurry }) {
    if (discarded) return this.#throwAway(discarded);
    if (!hurry) return this.#go();
    this.#wake?.();
    this.#changed();
  }

  /** In whichever tab that was asked for: this one may be sending it. */
  async #throwAway(id) {
    await store.drop(id);
    // Only now: it may just have begun.
    const sending = this.#sending;
    if (sending?.id === id) {
      sending.stop.abort();
      await sending.upload.terminate();
    }
    this.#changed();
  }

  /** One tab sends; when it closes another goes on. A turn that has not begun yet does for all that comes before it. */
  async #go() {
    this.#changed();
    if (this.#queued) return this.#pumping;
    this.#queued = true;
    const alone = navigator.locks ? (run) => navigator.locks.request(`earshot.outbox.${this.#client.user}`, run) : (run) => run();
    const turn = () => alone(() => this.#pump());
    this.#pumping = this.#pumping.then(turn, turn).finally(() => this.#changed());
    return this.#pumping;
  }

  async #pump() {
    this.#queued = false;
    for (let failures = 0; !this.#stopped; ) {
      const item = (await this.items()).find(({ draft, refused }) => !draft && !refused);
      if (!item) return;
      failures = (await this.#try(item)) ? 0 : failures + 1;
      if (failures) await this.#pause(failures);
    }
  }

  /** Whether this one is settled: sent, refused for good, or thrown away. */
  async #try(item) {
    const stop = new AbortController();
    const upload = new Upload(this.#client, item, {
      keep: (fields) => store.change(item.id, fields),
      progress: (bytes) => this.#progress(bytes),
      signal: stop.signal,
    });
    this.#sending = { id: item.id, sent: 0, stop, upload };
    this.#tellTabs();
    this.#changed();
    try {
      const message = await this.#message(await upload.run());
      await store.drop(item.id);
      if (message) this.dispatchEvent(new CustomEvent("sent", { detail: message }));
      return true;
    } catch (problem) {
      if (stop.signal.aborted) return true;
      const refused = !isPassing(problem);
      await store.change(item.id, { problem: problem.message, refused }).catch(() => null);
      return refused;
    } finally {
      this.#sending = null;
      this.#tellTabs();
      this.#changed();
    }
  }

  /** Null when it has been deleted since. */
  async #message(id) {
    try {
      return await this.#client.get(`/v1/messages/${id}`);
    } catch (problem) {
      if (problem.status !== 404) throw problem;
      return null;
    }
  }

  async #pause(failures) {
    const wait = Math.min(WAIT_MS * 2 ** (failures - 1), LONGEST_WAIT_MS);
    await new Promise((resolve) => {
      this.#wake = resolve;
      setTimeout(resolve, wait);
    });
    this.#wake = null;
  }

  #progress(bytes) {
    if (this.#sending) this.#sending.sent = bytes;
    this.#changed();
  }

  #tellTabs(said = {}) {
    if (!this.#stopped) this.#tabs.postMessage(said);
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
