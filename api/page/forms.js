// Forms inside a bubble: correct the text, choose a language, choose a version.

import { h } from "./dom.js";
import { language } from "./words.js";

// Those of Whisper's languages that people write messages in; models that know fewer say so.
const LANGUAGES = (
  "af ar az be bg bn bs ca cs cy da de el en es et eu fa fi fr gl gu ha he hi hr hu hy id is it ja ka kk km kn ko lo lt" +
  " lv mk ml mn mr ms my ne nl no pa pl ps pt ro ru sd si sk sl so sq sr sv sw ta te th tl tr uk ur uz vi yi yo zh"
).split(" ");

export function correctionForm(menu) {
  const { bubble } = menu;
  const { transcript } = bubble.message.voice;
  const path = `/v1/messages/${bubble.key}/transcript/correction`;
  const field = h("textarea", { rows: "3", dir: "auto", maxlength: "10000" });
  field.value = transcript.text ?? "";
  const change = (method, body) =>
    menu.attempt(async () => {
      bubble.adopt(await bubble.client.call(method, path, body));
      menu.close();
    });
  const submit = () => field.value.trim() && change("PUT", { text: field.value.trim() });
  return form(menu, submit, "Save", [
    h("label", {}, "Corrected text", field),
    transcript.corrected && button("Back to the machine's text", () => change("DELETE")),
  ]);
}

export function languageForm(menu) {
  const spoken = menu.bubble.message.voice.transcript?.language ?? "";
  const names = LANGUAGES.map((code) => [language(code), code]).sort(([a], [b]) => a.localeCompare(b));
  const options = [["Detect the language", ""], ...names].map(([name, code]) =>
    h("option", { value: code, selected: code === spoken }, name),
  );
  const choice = h("select", {}, options);
  const labelled = h("label", {}, "Spoken language", choice);
  return form(menu, () => menu.transcribeAgain(choice.value), "Transcribe again", [labelled]);
}

export function versionList(menu) {
  const list = h("ol", { class: "versions", "aria-label": "Versions of the transcript" });
  const box = form(menu, null, null, [list]);
  menu.attempt(async () => {
    const { items } = await menu.bubble.client.get(`/v1/messages/${menu.bubble.key}/transcripts`);
    list.replaceChildren(...items.map((version) => versionItem(menu, version)));
    menu.show();
  });
  return box;
}

export function deletionForm(menu) {
  const { bubble } = menu;
  const remove = () =>
    menu.attempt(async () => {
      await bubble.client.call("DELETE", `/v1/messages/${bubble.key}`);
      bubble.dispatchEvent(new CustomEvent("deleted", { detail: bubble.key, bubbles: true }));
    });
  return form(menu, remove, "Delete", [h("p", {}, "Delete recording and text for everybody? This can't be undone.")]);
}

function versionItem(menu, version) {
  const { bubble } = menu;
  const about = [`Version ${version.version}`, version.language && language(version.language), version.model];
  const path = `/v1/messages/${bubble.key}/transcripts/${version.id}/activate`;
  const activate = () =>
    menu.attempt(async () => {
      bubble.adopt(await bubble.client.post(path));
      menu.close();
    });
  const usable = version.state === "completed" || version.state === "no_speech";
  return h(
    "li",
    {},
    h("p", { class: "about" }, about.filter(Boolean).join(" · ")),
    h("p", { dir: "auto", lang: version.language ?? "" }, version.text || version.state.replace("_", " ")),
    version.active && h("strong", {}, "Shown now"),
    usable && !version.active && bubble.isMine && button("Show this one", activate),
  );
}

function form(menu, submit, label, content) {
  const send = (event) => {
    event.preventDefault();
    submit?.();
  };
  const leave = (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    menu.close();
  };
  const buttons = h("div", { class: "buttons" }, submit && h("button", { class: "main" }, label), button("Close", () => menu.close()));
  return h("form", { onsubmit: send, onkeydown: leave }, content, buttons);
}

function button(label, act) {
  return h("button", { type: "button", class: "quiet", onclick: act }, label);
}
