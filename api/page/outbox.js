// Recordings that the server has not got yet. They rest in IndexedDB, so that a closed tab or a lost line loses none;
// each is sent under its own idempotency key, so that a lost answer doubles none.

const NAME = "earshot";
const STORE = "outbox";

export class Outbox extends EventTarget {
  #client;
  #sending = new Set();

  /** Dispatches `change`, and `sent` (detail: the message). */
  constructor(client) {
    super();
    this.#client = client;
    addEventListener("online", () => this.flush());
  }

  /** Keeps a recording, then sends it. */
  async add(thread, blob, duration) {
    const item = { key: crypto.randomUUID(), user: this.#client.user, thread, blob, duration };
    // A private window may refuse to keep it; sending it is the better half.
    await run("readwrite", (store) => store.put(item)).catch(() => null);
    await this.#send(item);
  }

  async items(thread) {
    const all = await run("readonly", (store) => store.getAll()).catch(() => []);
    return all.filter((item) => item.user === this.#client.user && (!thread || item.thread === thread));
  }

  isSending(item) {
    return this.#sending.has(item.key);
  }

  async flush() {
    for (const item of await this.items()) this.#send(item);
  }

  async discard(item) {
    await run("readwrite", (store) => store.delete(item.key));
    this.#changed();
  }

  async #send(item) {
    if (this.#sending.has(item.key)) return;
    this.#sending.add(item.key);
    this.#changed();
    try {
      const path = `/v1/threads/${item.thread}/voice-messages`;
      const message = await this.#client.post(path, item.blob, { key: item.key });
      await this.discard(item);
      this.dispatchEvent(new CustomEvent("sent", { detail: message }));
    } catch (problem) {
      item.problem = problem.message;
      await run("readwrite", (store) => store.put(item));
    } finally {
      this.#sending.delete(item.key);
      this.#changed();
    }
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

async function run(mode, act) {
  const database = await opened();
  try {
    const transaction = database.transaction(STORE, mode);
    const request = act(transaction.objectStore(STORE));
    await new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
    return request.result;
  } finally {
    database.close();
  }
}

function opened() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "key" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
