// The dialog with the people of a thread: who is in it, add somebody, leave.

import { ask, peopleField } from "./dialog.js";
import { h, say } from "./dom.js";
import { avatar } from "./faces.js";

/** `changed()` is called when they are others; `alone(act)` acts while nobody asks for anything of the thread. */
export function showPeople(client, { id, participants }, { changed, alone }) {
  const path = `/v1/threads/${id}/participants`;
  const present = new Set(participants);
  const list = h("ul", { class: "people", "aria-label": "In this thread" });
  const show = () => list.replaceChildren(...[...present].map((person) => personItem(person, client.user)));
  const added = h("p", { class: "hint", role: "status" });
  const others = peopleField("Add people");
  const submit = async () => {
    const ids = others.ids();
    for (const person of ids) {
      await client.post(path, { user_id: person });
      present.add(person);
      show();
    }
    others.field.value = "";
    say(added, `Added ${ids.join(", ")}.`);
    changed();
  };
  const leave = async () => {
    await alone(() => client.call("DELETE", `${path}/${encodeURIComponent(client.user)}`));
    dialog.close();
    location.hash = "";
  };
  const content = [list, leaving(() => dialog.attempt(leave)), ...others.lines, added];
  const dialog = ask("People in this thread", content, { submit, label: "Add", done: "Close" });
  show();
}

function personItem(person, user) {
  return h("li", {}, avatar(person), h("span", { dir: "auto" }, person === user ? "You" : person));
}

/** Asks once more: who has left can't come back alone. */
function leaving(leave) {
  const sure = h("div", { class: "sure", hidden: true }, h("span", {}, "You will see nothing more of it."), button("Leave", leave));
  const turn = () => {
    sure.hidden = !sure.hidden;
    if (!sure.hidden) sure.querySelector("button").focus();
  };
  return h("div", { class: "leave" }, button("Leave this thread…", turn), sure);
}

function button(label, run) {
  return h("button", { type: "button", class: "quiet", onclick: run }, label);
}
