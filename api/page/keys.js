/** Nobody else's: makes a repeated request harmless. A page without TLS has no randomUUID. */
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
