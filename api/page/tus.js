// A recording to the server in pieces (tus 1.0): what has arrived stays there, whatever becomes of the line or the tab.

import { newKey } from "./keys.js";

const UPLOADS = "/v1/uploads";
const PIECE_BYTES = 64 * 1024;
// A line that broke without a word is given up. The server keeps what came through, so a slow one gets on too.
const PATIENCE_MS = 30_000;
const GONE = [404, 410];
const REFUSED = [413, 415];

export class Upload {
  #client;
  #item;
  #keep;
  #progress;
  #signal;

  /**
   * `item` is {blob, thread, key, url}: `key` makes a repeated creation harmless, `url` is where an earlier try got to.
   * `keep({key, url})` stores what has become of them; `progress(bytes)` tells what the server has.
   */
  constructor(client, item, { keep, progress, signal }) {
    this.#client = client;
    this.#item = item;
    this.#keep = keep;
    this.#progress = progress;
    this.#signal = signal;
  }

  /** Goes on where it was cut. Resolves to the id of the message that the recording has become; rejects with a Problem. */
  async run() {
    let state = await this.#resume();
    while (!state.message) {
      this.#progress(state.offset);
      state = await this.#append(state.offset);
    }
    this.#progress(this.#item.blob.size);
    return state.message;
  }

  /** Nobody waits for it any more. */
  async terminate() {
    if (this.#item.url) await this.#ask("DELETE", this.#item.url).catch(() => null);
  }

  async #resume() {
    return (this.#item.url && (await this.#look())) || this.#create();
  }

  async #create() {
    const { blob, thread, key } = this.#item;
    const metadata = { thread_id: thread, filetype: blob.type };
    const answer = await this.#ask("POST", UPLOADS, {
      "Idempotency-Key": key,
      "Upload-Length": blob.size,
      "Upload-Metadata": Object.entries(metadata).map(([name, value]) => `${name} ${btoa(value)}`).join(),
    });
    await this.#change({ url: answer.headers.get("Location") });
    return stateOf(answer);
  }

  /** How far it is; null when the server has forgotten it, so that it has to be sent anew. */
  async #look() {
    try {
      return stateOf(await this.#ask("HEAD", this.#item.url));
    } catch (problem) {
      // An answer to HEAD has no body: what the server has against the recording is told to whoever sends of it.
      if (REFUSED.includes(problem.status)) return this.#append(0);
      if (!GONE.includes(problem.status)) throw problem;
      await this.#change({ key: newKey(), url: null });
      return null;
    }
  }

  async #append(offset) {
    const { blob, url } = this.#item;
    const headers = { "Content-Type": "application/offset+octet-stream", "Upload-Offset": offset };
    try {
      return stateOf(await this.#ask("PATCH", url, headers, blob.slice(offset, offset + PIECE_BYTES)));
    } catch (problem) {
      // The server has more or less than was thought: it knows best.
      if (problem.code === "offset_conflict" || GONE.includes(problem.status)) return this.#resume();
      throw problem;
    }
  }

  #ask(method, path, headers, body) {
    const signal = AbortSignal.any([AbortSignal.timeout(PATIENCE_MS), ...(method === "DELETE" ? [] : [this.#signal])]);
    return this.#client.open(path, { method, body, signal, headers: { "Tus-Resumable": "1.0.0", ...headers } });
  }

  async #change(fields) {
    Object.assign(this.#item, fields);
    await this.#keep(fields);
  }
}

function stateOf({ headers }) {
  return { offset: Number(headers.get("Upload-Offset")), message: headers.get("Earshot-Message-Id") };
}
