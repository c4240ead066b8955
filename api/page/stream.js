// Server-sent events by fetch, since EventSource can't send a token.

const SILENCE_MS = 40_000;
const WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 20_000;

export class Stream {
  #client;
  #last = null;
  #failures = 0;
  #stop = null;
  connected = false;

  /** `heard(type, data)` for each event; `turned(connected)` when the line comes up or breaks. */
  constructor(client, heard, turned) {
    this.#client = client;
    this.heard = heard;
    this.turned = turned;
  }

  /** Follows until `close`, again and again. */
  async open() {
    let closed = false;
    this.close = () => {
      closed = true;
      this.#stop?.abort();
    };
    while (!closed) {
      await this.#follow().catch(() => null);
      this.#turn(false);
      const wait = Math.min(WAIT_MS * 2 ** this.#failures, LONGEST_WAIT_MS);
      this.#failures += 1;
      if (!closed) await new Promise((resolve) => setTimeout(resolve, wait * (0.75 + Math.random() / 2)));
    }
  }

  /** Tries a new line at once. */
  hurry() {
    this.#failures = 0;
    if (!this.connected) this.#stop?.abort();
  }

  async #follow() {
    this.#stop = new AbortController();
    const headers = this.#last ? { "Last-Event-ID": this.#last } : {};
    const response = await this.#client.open("/v1/events", { headers, signal: this.#stop.signal });
    this.#failures = 0;
    this.#turn(true);
    await this.#read(response.body.pipeThrough(new TextDecoderStream()).getReader());
  }

  async #read(reader) {
    let pending = "";
    for (;;) {
      // A line that broke without a word, behind a sleeping laptop for instance, stays silent: the server never does.
      const alarm = setTimeout(() => this.#stop.abort(), SILENCE_MS);
      const { value, done } = await reader.read().finally(() => clearTimeout(alarm));
      if (done) return;
      const frames = (pending + value).split("\n\n");
      pending = frames.pop();
      for (const frame of frames) this.#tell(frame);
    }
  }

  #tell(frame) {
    const fields = frame.split("\n").map((line) => line.match(/^(\w+): ?(.*)$/)?.slice(1) ?? []);
    const { id, event, data } = Object.fromEntries(fields.filter(([name]) => name));
    if (id) this.#last = id;
    if (event) this.heard(event, JSON.parse(data));
  }

  #turn(connected) {
    if (this.connected === connected) return;
    this.connected = connected;
    this.turned(connected);
  }
}
