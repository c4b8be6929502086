// Numbers and times for people.

const number = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const moment = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

/** A count; a very large one is shortened. */
export function count(value) {
  return value < 10_000_000 ? number.format(value) : short.format(value);
}

/** A count in little room. */
export function brief(value) {
  return value < 1000 ? number.format(Math.round(value * 10) / 10) : short.format(value);
}

/** So many milliseconds. */
export function duration(millis) {
  const seconds = Math.max(0, millis) / 1000;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** A moment, in milliseconds since 1970. */
export function when(millis) {
  return moment.format(new Date(millis));
}

/** JSON with its structure shown; anything else as it is. */
export function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** Where a task is, in one word. */
export function phase(state) {
  return state.state === "ended" ? state.outcome : state.state;
}

/** An element with a class and a text. What it says is never taken for HTML. */
export function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/** Sets a text, if it is another. */
export function say(where, text) {
  if (where.textContent !== text) where.textContent = text;
}
