// Numbers, times and languages in words.

const LOCALE = navigator.languages;
const CLOCK = new Intl.DateTimeFormat(LOCALE, { hour: "numeric", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat(LOCALE, { weekday: "long", day: "numeric", month: "long" });
const SHORT_DAY = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "short" });
const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const NAMES = new Intl.DisplayNames("en", { type: "language" });
const PERSONS = new Intl.ListFormat("en");

export function minutes(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

export function seconds(ms) {
  const count = Math.round(ms / 1000);
  return count === 1 ? "1 second" : `${count} seconds`;
}

export function clock(moment) {
  return CLOCK.format(new Date(moment));
}

export function day(moment) {
  const days = daysAgo(moment);
  return days < 2 ? capital(RELATIVE.format(-days, "day")) : DAY.format(new Date(moment));
}

export function briefly(moment) {
  return daysAgo(moment) < 1 ? clock(moment) : SHORT_DAY.format(new Date(moment));
}

export function language(code) {
  try {
    return NAMES.of(code);
  } catch {
    return code;
  }
}

export function people(ids) {
  return PERSONS.format(ids);
}

function daysAgo(moment) {
  const midnight = (date) => Date.UTC(date.getFullYear(), date.getMonth(), date.getDate());
  return Math.round((midnight(new Date()) - midnight(new Date(moment))) / 86_400_000);
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
