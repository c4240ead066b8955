// The rows of a thread: one message each, with who said it beside.

import { h, say, set } from "./dom.js";
import { avatar } from "./faces.js";
import { receipt } from "./states.js";
import { VoiceMessage } from "./voice-message.js";
import { clock, dateOf, day } from "./words.js";

/** {item, message, date, update(message)}. */
export function makeRow(client, message) {
  const made = message.kind === "voice" ? voiceBubble(client) : textBubble(client);
  const mine = message.sender_id === client.user;
  const item = h("li", { class: "row", "data-id": message.id, "data-at": sortable(message.created_at), "data-mine": mine });
  const row = {
    item,
    date: dateOf(message.created_at),
    update(changed) {
      if (row.message === changed) return;
      row.message = changed;
      made.show(changed);
    },
  };
  row.update(message);
  item.append(avatar(message.sender_id), made.bubble);
  return row;
}

/** A moment that sorts as text: the server leaves out a fraction that is zero. */
export function sortable(at) {
  return at.replace(/(\.\d+)?Z$/, (_, fraction = ".") => fraction.padEnd(7, "0"));
}

/** Day lines, and who begins to speak: what a row shows of the one before it. */
export function follow(row, before) {
  const isNewDay = before?.date !== row.date;
  set(row.item, "data-day", isNewDay && day(row.message.created_at));
  set(row.item, "data-first", isNewDay || before.message.sender_id !== row.message.sender_id);
}

function voiceBubble(client) {
  const bubble = new VoiceMessage();
  bubble.client = client;
  const show = (message) => bubble.message !== message && (bubble.message = message);
  return { bubble, show };
}

function textBubble(client) {
  const text = h("p", { dir: "auto" });
  const told = h("span", { class: "receipt" });
  const at = h("time");
  const sender = h("span", { class: "sender", dir: "auto" });
  const bubble = h("div", { class: "bubble" }, h("header", {}, sender, at), text, told);
  const show = (message) => {
    say(sender, message.sender_id === client.user ? "You" : message.sender_id);
    say(at, clock(message.created_at));
    set(at, "datetime", message.created_at);
    say(text, message.text);
    say(told, receipt(message, client.user));
  };
  return { bubble, show };
}
