// The bubble's own style: it travels with the element, so that a host application needs one script tag.
// A page changes its looks by the custom properties that start with --voice.

export const sheet = new CSSStyleSheet();

sheet.replaceSync(`
:host {
  --ink: var(--voice-ink, light-dark(#1b1d22, #ecebe8));
  --dim: var(--voice-dim, light-dark(#5b5f68, #a7abb3));
  --accent: var(--voice-accent, light-dark(#3f4fc9, #a3adff));
  --on-accent: var(--voice-on-accent, light-dark(#fff, #14162b));
  --surface: var(--voice-surface, light-dark(#fff, #1f2126));
  --line: var(--voice-line, light-dark(#e4e2dd, #33363d));
  --bad: var(--voice-bad, light-dark(#a3341c, #ffa98f));
  --bar: light-dark(#9a9eb0, #666b79);
  --now: light-dark(#dfe3ff, #3a4170);
  color-scheme: inherit;
  display: block;
  max-width: 34rem;
  color: var(--ink);
  font: 400 0.9375rem/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
:host([data-mine]) { --surface: var(--voice-surface-mine, light-dark(#eceefc, #272b45)); --bar: light-dark(#8f96c6, #6f77a6); --now: light-dark(#cdd3ff, #444d85); --line: light-dark(#d9dcf4, #3a3f60); }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
article { position: relative; padding: 0.625rem 0.875rem 0.6875rem; border: 1px solid var(--line); border-radius: 1rem; background: var(--surface); }
header { display: flex; align-items: center; gap: 0.5rem; min-height: 1.5rem; }
.sender { font-weight: 600; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.fresh { display: none; flex: none; width: 0.5rem; height: 0.5rem; border-radius: 50%; background: var(--accent); }
:host([data-unheard]) .fresh { display: block; }
time, .clock, .speed { font-variant-numeric: tabular-nums; }
/* English in a page of the other direction; everywhere it would cost a fifth of the rendering. */
:host(:dir(rtl)) :is(time, .state span, .menu button, .note, .receipt, .said, .trouble, form p, form button) { unicode-bidi: plaintext; }
time { margin-inline-start: auto; color: var(--dim); font-size: 0.8125rem; white-space: nowrap; }
button { font: inherit; color: inherit; cursor: pointer; border: 0; background: none; border-radius: 0.5rem; padding: 0; }
button:disabled { cursor: default; opacity: 0.45; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.icon { display: block; width: 1.25rem; height: 1.25rem; fill: currentColor; flex: none; }
.more { width: 1.75rem; height: 1.75rem; margin: -0.125rem -0.375rem -0.125rem 0; display: grid; place-items: center; color: var(--dim); }
.more:hover, .speed:hover { background: light-dark(#00000010, #ffffff18); }
.controls { display: flex; align-items: center; gap: 0.75rem; margin-top: 0.375rem; direction: ltr; }
.play { display: grid; place-items: center; flex: none; width: 2.5rem; height: 2.5rem; border-radius: 50%; background: var(--accent); color: var(--on-accent); transition: transform 0.12s; }
.play:not(:disabled):hover { transform: scale(1.05); }
.play:not(:disabled):active { transform: scale(0.96); }
.wave { position: relative; flex: 1; min-width: 0; height: 2rem; border-radius: 0.25rem; cursor: pointer; touch-action: pan-y; }
.wave svg { position: absolute; inset: 0; width: 100%; height: 100%; overflow: visible; }
.wave path { fill: none; stroke-width: 2; stroke-linecap: round; }
.rest path { stroke: var(--bar); }
.done { clip-path: inset(-2px calc(100% - var(--played, 0%)) -2px -2px); }
.done path { stroke: var(--accent); }
.wave::after { content: ""; position: absolute; top: 0; bottom: 0; left: var(--played, 0%); width: 2px; margin-left: -1px; border-radius: 1px; background: var(--accent); opacity: 0; }
.wave:focus-visible::after, :host([data-playing]) .wave::after { opacity: 1; }
.wave[aria-disabled] { cursor: default; }
.clock { min-width: 2.25rem; text-align: end; font-size: 0.8125rem; color: var(--dim); }
.speed { flex: none; min-width: 2.875rem; height: 1.625rem; padding: 0 0.375rem; font-size: 0.8125rem; font-weight: 600; color: var(--dim); border-radius: 0.8125rem; }
:host([data-playing]) .speed, .speed:hover { color: var(--ink); background: light-dark(#0000000d, #ffffff18); }
.text { margin: 0.5rem 0 0; border-radius: 0.25rem; overflow-wrap: anywhere; text-wrap: pretty; }
.text:focus-visible { outline-offset: 3px; }
.word { cursor: pointer; border-radius: 0.25rem; box-decoration-break: clone; -webkit-box-decoration-break: clone; }
.word:hover { background: light-dark(#0000000d, #ffffff14); }
.word.unsure { text-decoration: underline dotted var(--dim); text-underline-offset: 0.2em; }
.word.now { background: var(--now); box-shadow: 0 0 0 0.125rem var(--now); }
.word.chosen { outline: 2px solid var(--accent); outline-offset: 1px; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.state p { display: flex; align-items: center; gap: 0.5rem; margin: 0.5rem 0 0; color: var(--dim); }
.state .bad { color: var(--bad); }
.state button { flex: none; margin-inline-start: auto; }
.state .calm { font-style: italic; }
.state .busy span { animation: breathe 1.6s ease-in-out infinite; }
.trouble, .said { margin: 0; color: var(--dim); font-size: 0.8125rem; }
.trouble { color: var(--bad); }
.trouble:not(:empty), .said:not(:empty) { margin-top: 0.375rem; }
footer { display: flex; flex-wrap: wrap; gap: 0.125rem 0.75rem; justify-content: space-between; font-size: 0.8125rem; color: var(--dim); }
footer:has(.notes:not(:empty)), footer:has(.receipt:not(:empty)) { margin-top: 0.375rem; }
.notes { display: flex; flex-wrap: wrap; gap: 0.125rem 0.75rem; }
.note.demo { font-weight: 600; }
.note.unsure { text-decoration: underline dotted; text-underline-offset: 0.2em; }
.receipt { margin-inline-start: auto; }
.menu { position: fixed; inset: auto; margin: 0; padding: 0.375rem; min-width: 13rem; border: 1px solid var(--line); border-radius: 0.75rem; background: light-dark(#fff, #25272d); color: var(--ink); box-shadow: 0 0.75rem 2.5rem light-dark(#1b1d2233, #000a); }
.menu button { display: block; width: 100%; padding: 0.375rem 0.625rem; text-align: start; }
.menu button:hover, .menu button:focus-visible { background: light-dark(#f0f0f4, #33363f); }
.menu .danger { color: var(--bad); }
form { margin-top: 0.625rem; padding-top: 0.625rem; border-top: 1px solid var(--line); }
form p { margin: 0; }
label { font-size: 0.8125rem; font-weight: 600; }
label + .quiet { margin-top: 0.5rem; }
label > * { font-weight: 400; margin-top: 0.25rem; }
textarea, select { display: block; width: 100%; padding: 0.5rem 0.625rem; font: inherit; font-size: 0.9375rem; font-weight: 400; color: inherit; background: light-dark(#fff, #16181c); border: 1px solid light-dark(#8b8f99, #767b86); border-radius: 0.5rem; resize: vertical; field-sizing: content; }
.buttons { display: flex; flex-wrap: wrap; gap: 0.5rem; margin-top: 0.5rem; }
.main, .quiet { min-height: 1.875rem; padding: 0 0.75rem; border-radius: 0.9375rem; font-weight: 600; font-size: 0.875rem; }
.main { background: var(--accent); color: var(--on-accent); }
.quiet { border: 1px solid var(--line); background: light-dark(#fff, #2b2e35); color: var(--ink); }
.versions { margin: 0; padding: 0; list-style: none; display: grid; gap: 0.75rem; }
.about { color: var(--dim); font-size: 0.8125rem; }
@keyframes breathe { 50% { color: var(--ink); } }
@media (max-width: 26rem) { .controls { gap: 0.5rem; } .clock { min-width: 2rem; } }
@media (prefers-reduced-motion: reduce) { * { animation: none !important; transition: none !important; } }
@media (forced-colors: active) { .play, .main { border: 1px solid; } .word.now { background: Mark; color: MarkText; } .done path { stroke: Highlight; } .fresh { background: Highlight; forced-color-adjust: none; } }
`);
