// What each state of a voice message and of its transcript is called.

import { h } from "./dom.js";
import { language, people } from "./words.js";

const DOUBTFUL = 0.7;
const UNSURE = 0.5;
const REASONS = {
  too_long: "it is longer than 60 seconds",
  too_short: "it is too short to hear anything",
  no_audio: "the file holds no sound",
  corrupt: "the file is damaged",
  unsupported_format: "the file is in no known audio format",
  decode_limit: "the file asks for more than can be decoded safely",
};

/** {sentence, tone} of a voice that can't be played. */
export function voiceState(state, error, isMine) {
  if (state === "rejected") {
    const reason = REASONS[error?.code] ?? error?.message ?? "the file can't be used";
    return { sentence: `Recording rejected: ${reason}.${isMine ? " Nobody can play it." : ""}`, tone: "bad" };
  }
  if (state === "failed") {
    return { sentence: "Preparing this recording failed on our side. It is kept, and nothing is lost.", tone: "bad" };
  }
  return { sentence: state === "received" ? "Received, waiting to be prepared…" : "Being prepared…", tone: "busy" };
}

/** {sentence, tone, retry} of a transcript without text. */
export function textState(transcript) {
  if (transcript?.state === "no_speech") return { sentence: "Nobody speaks in this recording", tone: "calm" };
  if (transcript?.state === "failed") return { sentence: "The transcript failed.", tone: "bad", retry: true };
  return { sentence: "Transcribing…", tone: "busy" };
}

/** What to know about a text before believing it. */
export function notes(transcript) {
  const found = [];
  if (transcript.model === "micro" && !transcript.corrected) found.push(demoNote());
  if (transcript.language) found.push(languageNote(transcript));
  if (transcript.corrected) found.push(h("span", { class: "note" }, "Corrected by the sender"));
  else if (isUnsure(transcript)) found.push(unsureNote(transcript));
  return found;
}

export function receipt({ sender_id: sender, receipts }, user) {
  const others = (ids) => ids.filter((id) => id !== user && id !== sender);
  if (sender !== user) return "";
  const played = others(receipts.played_by);
  if (played.length) return `Heard by ${people(played)}`;
  const read = others(receipts.read_by);
  return read.length ? `Seen by ${people(read)}` : "Sent";
}

function demoNote() {
  const title = "Written by the small demo model, which turns any voice into one of the sentences it knows.";
  return h("span", { class: "note demo", title }, "Demo transcript");
}

/** `confidence` is the mean probability of what was written; null where it is not known. */
function isUnsure({ confidence }) {
  return typeof confidence === "number" && confidence < UNSURE;
}

function unsureNote({ confidence }) {
  const title = "Much of this may have been misheard.";
  return h("span", { class: "note unsure", title }, `Uncertain text (${Math.round(confidence * 100)} %)`);
}

function languageNote({ language: code, language_probability: probability }) {
  const name = language(code);
  if (probability === null || probability >= DOUBTFUL) return h("span", { class: "note" }, name);
  const title = "The language was not clear. Choose the right one in the menu and transcribe again.";
  return h("span", { class: "note unsure", title }, `Perhaps ${name} (${Math.round(probability * 100)} %)`);
}
