// Says things to screen readers, but never over the sound.

import { player } from "./player.js";

const place = document.getElementById("announcer");
const waiting = [];

export function announce(sentence) {
  waiting.push(sentence);
  speak();
}

function speak() {
  if (!waiting.length) return;
  if (player.playing) setTimeout(speak, 500);
  else place.textContent = waiting.splice(0).join(" ");
}
