// Says things to screen readers, but never over the sound.

import { player } from "./player.js";

const AGAIN_MS = 500;
const place = document.getElementById("announcer");
let waiting = [];

/** `isTrue` is asked when it could be said at last: what has passed by then is not. */
export function announce(sentence, isTrue = () => true) {
  waiting.push({ sentence, isTrue });
  // What comes together is said together: the one would take the other's place before anybody heard it.
  if (waiting.length === 1) queueMicrotask(speak);
}

function speak() {
  if (player.playing) return void setTimeout(speak, AGAIN_MS);
  const sentences = waiting.filter(({ isTrue }) => isTrue()).map(({ sentence }) => sentence);
  waiting = [];
  if (sentences.length) place.textContent = sentences.join(" ");
}
