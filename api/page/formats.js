// Which rendition a browser gets: M4A starts soonest, since its head says how long it is.

const M4A = 'audio/mp4; codecs="mp4a.40.2"';
const OPUS = 'audio/ogg; codecs="opus"';
const wanted = plays(M4A) || !plays(OPUS) ? "m4a" : "opus";

/** One of a message's renditions, null when there is none. */
export function playable(renditions) {
  return renditions.find(({ format }) => format === wanted) ?? renditions[0] ?? null;
}

function plays(type) {
  return new Audio().canPlayType(type) !== "";
}
