// Names of threads and pictures of people, made from ids: the host application knows faces, this page only ids.

import { h } from "./dom.js";
import { people } from "./words.js";

const COLOURS = 8;

export function nameOf({ title, participants }, user) {
  const others = participants.filter((id) => id !== user);
  return title ?? (others.length ? people(others) : "Only you");
}

export function avatar(name) {
  let hash = 0;
  for (const char of name) hash = (hash * 31 + char.codePointAt(0)) >>> 0;
  const first = [...name.trim()][0]?.toUpperCase() ?? "?";
  return h("span", { class: `avatar colour-${hash % COLOURS}`, "aria-hidden": "true" }, first);
}
