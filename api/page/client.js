// The API as one user sees it.

import { userOf } from "./session.js";

/** What the server refused, by its code; `unreachable` when there was no answer. */
export class Problem extends Error {
  constructor(code, message, status = 0) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/** Whether it may go away by itself, as what this browser's storage has against something. */
export function isPassing({ status = 0 }) {
  return status === 0 || status >= 500 || [401, 408, 409, 429].includes(status);
}

const refused = () => Promise.reject(new Problem("no_client", "This page has no token to ask the server with."));

/** For a bubble that shows and plays a message and asks for nothing more. */
export const NOBODY = { user: null, get: refused, post: refused, call: refused, download: refused };

export class Client extends EventTarget {
  #token;

  /** `base` is the API's origin, empty for the page's own. Dispatches `signedout` when the token is refused. */
  constructor(base, token) {
    super();
    this.base = base.replace(/\/+$/, "");
    this.#token = token;
    this.user = userOf(token);
  }

  get(path) {
    return this.call("GET", path);
  }

  post(path, body, options) {
    return this.call("POST", path, body, options);
  }

  /** The answer's JSON, or null when it has no content. `key` makes a repeated POST harmless. */
  async call(method, path, body, { key, keepalive } = {}) {
    const headers = {};
    if (key) headers["Idempotency-Key"] = key;
    let payload = body;
    if (body !== undefined && !(body instanceof Blob)) {
      headers["Content-Type"] = "application/json";
      payload = JSON.stringify(body);
    }
    const response = await this.#fetch(path, { method, headers, body: payload, keepalive });
    return response.status === 204 ? null : response.json();
  }

  async download(path) {
    return (await this.#fetch(path, {})).blob();
  }

  /** An answer that is still coming. */
  open(path, options) {
    return this.#fetch(path, options);
  }

  async #fetch(path, options) {
    const headers = { ...options.headers, Authorization: `Bearer ${this.#token}` };
    let response;
    try {
      response = await fetch(this.base + path, { ...options, headers, cache: "no-store" });
    } catch {
      throw new Problem("unreachable", "The server can't be reached.");
    }
    if (!response.ok) throw await this.#problem(response);
    return response;
  }

  async #problem(response) {
    if (response.status === 401) this.dispatchEvent(new Event("signedout"));
    const told = await response.json().catch(() => ({}));
    return new Problem(told.code ?? "unknown", told.detail ?? `The server said ${response.status}.`, response.status);
  }
}
