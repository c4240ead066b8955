// Who is typing or recording right now. Clients repeat it while it lasts; what is not repeated has ended.

const REPEAT_MS = 3_000;
const LASTS_MS = 8_000;

export class Signals extends EventTarget {
  #client;
  #told = new Map();
  #heard = new Map();

  /** Dispatches `change` (detail: the thread's id). */
  constructor(client) {
    super();
    this.#client = client;
  }

  /** Tells the others in a thread; called as often as one likes. */
  tell(thread, kind) {
    const what = `${kind} ${thread}`;
    if (Date.now() - (this.#told.get(what) ?? 0) < REPEAT_MS) return;
    this.#told.set(what, Date.now());
    this.#client.post(`/v1/threads/${thread}/signals`, { kind }).catch(() => null);
  }

  hear({ kind, thread_id: thread, user_id: user }) {
    const here = this.#heard.get(thread) ?? new Map();
    this.#heard.set(thread, here);
    clearTimeout(here.get(user)?.timer);
    const isNew = here.get(user)?.kind !== kind;
    here.set(user, { kind, timer: setTimeout(() => this.ended(thread, user), LASTS_MS) });
    if (isNew) this.#changed(thread);
  }

  /** What they were about to say has been said. */
  ended(thread, user) {
    const here = this.#heard.get(thread);
    if (!here?.has(user)) return;
    clearTimeout(here.get(user).timer);
    here.delete(user);
    this.#changed(thread);
  }

  /** "Ana is recording…", or nothing. */
  sentence(thread) {
    const doing = [...(this.#heard.get(thread) ?? [])].map(([user, { kind }]) => `${user} is ${kind}`);
    if (doing.length > 2) return "Several people are writing or recording…";
    return doing.length ? `${doing.join(", ")}…` : "";
  }

  #changed(thread) {
    this.dispatchEvent(new CustomEvent("change", { detail: thread }));
  }
}
