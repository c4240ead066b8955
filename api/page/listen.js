// Hears a recording before it is sent.

import { h, icon, set } from "./dom.js";
import { player } from "./player.js";

/** {element, close}: a button that plays a blob, never together with a message, and how to put it away. */
export function listenButton(blob) {
  const sound = new Audio();
  let url = null;
  const toggle = () => {
    if (!sound.paused) return sound.pause();
    url ??= sound.src = URL.createObjectURL(blob);
    player.lend(sound);
    sound.play();
  };
  const element = h("button", { type: "button", class: "round", onclick: toggle });
  const turn = () => {
    element.replaceChildren(icon(sound.paused ? "play" : "pause"));
    set(element, "aria-label", sound.paused ? "Listen to the recording" : "Pause the recording");
  };
  for (const name of ["play", "pause", "ended"]) sound.addEventListener(name, turn);
  turn();
  const close = () => {
    sound.pause();
    if (url) URL.revokeObjectURL(url);
  };
  return { element, close };
}
