// Numbers, times and languages in words.

const LOCALE = navigator.languages;
const CLOCK = new Intl.DateTimeFormat(LOCALE, { hour: "numeric", minute: "2-digit" });
const DAY = inAndBeforeThisYear({ weekday: "long", day: "numeric", month: "long" });
const SHORT_DAY = inAndBeforeThisYear({ day: "numeric", month: "short" });
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

/** The local date, the same whenever it is asked for. */
export function dateOf(moment) {
  return new Date(moment).toDateString();
}

/** What that date is called today. */
export function day(moment) {
  const days = daysAgo(moment);
  return days < 2 ? capital(RELATIVE.format(-days, "day")) : DAY(new Date(moment));
}

export function briefly(moment) {
  return daysAgo(moment) < 1 ? clock(moment) : SHORT_DAY(new Date(moment));
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

function inAndBeforeThisYear(parts) {
  const inIt = new Intl.DateTimeFormat(LOCALE, parts);
  const before = new Intl.DateTimeFormat(LOCALE, { ...parts, year: "numeric" });
  return (date) => (date.getFullYear() === new Date().getFullYear() ? inIt : before).format(date);
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
