// The list of tasks. Only the rows in sight are elements; the others are asked for when they come into sight.

import { duration, element, phase, say } from "./format.js";

const PAGE = 100;
const AROUND = 6;

export class Tasks {
  #grid;
  #space;
  #live;
  #open;
  #act;
  #filter = {};
  #rows = [];
  /** Where the next page begins; `null`: there is none. */
  #end = null;
  #isKnown = false;
  #generation = 0;
  #isLoading = false;
  #elements = new Map();
  #more = element("p", "more");
  #active;

  /** `open(id)` shows a task, `act(name, id)` cancels or retries it. */
  constructor(grid, space, live, open, act) {
    this.#grid = grid;
    this.#space = space;
    this.#live = live;
    this.#open = open;
    this.#act = act;
    grid.addEventListener("scroll", () => this.#show());
    grid.addEventListener("keydown", (event) => this.#key(event));
    grid.addEventListener("focus", () => this.#focus(this.#rows.findIndex((row) => row.key === this.#active)));
    new ResizeObserver(() => this.#show()).observe(grid);
  }

  /** Shows other tasks. */
  filter(filter) {
    this.#filter = filter;
    this.#rows = [];
    this.#end = null;
    this.#isKnown = false;
    this.#grid.scrollTop = 0;
    this.#generation += 1;
    this.#isLoading = false;
    this.#load(undefined, PAGE);
  }

  /** Asks for what is in sight again. */
  refresh() {
    const { first, last } = this.#sight();
    if (first === 0 || this.#rows.length === 0) this.#load(undefined, PAGE);
    else this.#load(this.#rows[first].key + 1, last - first);
  }

  /** Ages grow. */
  tick() {
    for (const [key, made] of this.#elements) {
      const row = this.#rows.find((one) => one.key === key);
      if (row) say(made.age, this.#age(row));
    }
  }

  async #load(before, limit) {
    if (this.#isLoading) return;
    this.#isLoading = true;
    const generation = this.#generation;
    const list = { filter: this.#filter, limit };
    if (before !== undefined) list.before = before;
    const page = await this.#live.ask({ list }).catch(() => undefined);
    if (generation !== this.#generation) return;
    this.#isLoading = false;
    if (!page) return;
    this.#isKnown = true;
    this.#merge(before ?? Infinity, page);
    this.#show();
  }

  /** A page tells all of what is between its beginning and its end. */
  #merge(high, page) {
    const low = page.next ?? -1;
    const above = this.#rows.filter((row) => row.key >= high);
    let below = this.#rows.filter((row) => row.key < low);
    const touches = this.#rows.some((row) => row.key >= low && row.key < high);
    // More is new than one page: what is between is not known, and what is below neither.
    if (high === Infinity && below.length > 0 && !touches) below = [];
    if (below.length === 0) this.#end = page.next ?? null;
    this.#rows = above.concat(page.tasks, below);
  }

  #height() {
    return parseFloat(getComputedStyle(this.#grid).getPropertyValue("--row")) || 38;
  }

  #sight() {
    const height = this.#height();
    const first = Math.max(0, Math.floor(this.#grid.scrollTop / height) - AROUND);
    const count = Math.ceil(this.#grid.clientHeight / height) + 2 * AROUND;
    return { height, first, last: Math.min(this.#rows.length, first + count) };
  }

  #show() {
    const { height, first, last } = this.#sight();
    const isMore = this.#end !== null;
    this.#space.style.height = `${(this.#rows.length + 1) * height}px`;
    const shown = new Map();
    for (let index = first; index < last; index += 1) {
      const row = this.#rows[index];
      const made = this.#elements.get(row.key) ?? this.#make(row.key);
      this.#fill(made, row, index, height);
      shown.set(row.key, made);
    }
    const hadFocus = this.#space.contains(document.activeElement);
    for (const [key, made] of this.#elements) if (!shown.has(key)) made.root.remove();
    this.#elements = shown;
    if (hadFocus && !this.#space.contains(document.activeElement)) this.#grid.focus({ preventScroll: true });
    const end = isMore || !this.#isKnown ? "Loading" : this.#rows.length === 0 ? "There are no such tasks." : "";
    say(this.#more, end);
    this.#more.style.top = `${this.#rows.length * height}px`;
    if (!this.#more.isConnected) this.#space.append(this.#more);
    if (isMore && last >= this.#rows.length) this.#load(this.#end, PAGE);
  }

  #make(key) {
    const root = element("div", "row");
    root.setAttribute("role", "option");
    root.tabIndex = -1;
    const made = { root };
    for (const name of ["state", "kind", "args", "note", "tries", "age"]) {
      made[name] = element("span", name);
      root.append(made[name]);
    }
    made.state.classList.add("chip");
    made.args.classList.add("mono");
    root.addEventListener("click", () => {
      this.#focus(this.#rows.findIndex((row) => row.key === key));
      this.#openActive();
    });
    this.#space.append(root);
    return made;
  }

  #fill(made, row, index, height) {
    const state = phase(row.state);
    made.root.style.transform = `translateY(${index * height}px)`;
    made.root.setAttribute("aria-selected", String(row.key === this.#active));
    made.root.tabIndex = row.key === this.#active ? 0 : -1;
    made.root.dataset.phase = state;
    made.root.dataset.id = row.id;
    say(made.state, row.state.cancelled ? "cancelling" : state);
    say(made.kind, row.kind);
    say(made.args, row.args === "null" ? "" : row.args);
    say(made.note, note(row));
    made.note.classList.toggle("error", Boolean(row.error) && row.result === undefined);
    say(made.tries, row.attempts > 0 ? String(row.attempts) : "");
    say(made.age, this.#age(row));
  }

  #age(row) {
    return duration(this.#live.now() - row.submitted);
  }

  #key(event) {
    const index = this.#rows.findIndex((row) => row.key === this.#active);
    const page = Math.max(1, Math.floor(this.#grid.clientHeight / this.#height()) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key in steps) {
      this.#focus(Math.max(0, Math.min(this.#rows.length - 1, index + steps[event.key])));
    } else if (event.key === "Enter" || event.key === " ") {
      this.#openActive();
    } else if ((event.key === "c" || event.key === "r") && index >= 0) {
      this.#act(event.key === "c" ? "cancel" : "retry", this.#rows[index].id);
    } else {
      return;
    }
    event.preventDefault();
  }

  #openActive() {
    const row = this.#rows.find((one) => one.key === this.#active);
    if (row) this.#open(row.id, () => this.#focus(this.#rows.findIndex((one) => one.key === row.key)));
  }

  #focus(index) {
    const row = this.#rows[Math.max(0, index)];
    if (!row) return;
    this.#active = row.key;
    const height = this.#height();
    const top = Math.max(0, index) * height;
    const { scrollTop, clientHeight } = this.#grid;
    if (top < scrollTop) this.#grid.scrollTop = top;
    else if (top + height > scrollTop + clientHeight) this.#grid.scrollTop = top + height - clientHeight;
    this.#show();
    this.#elements.get(row.key)?.root.focus({ preventScroll: true });
  }
}

/** What is to be said of a task. */
function note(row) {
  if (row.state.state === "running") return `on ${row.state.worker}`;
  if (row.result !== undefined) return row.result === "null" ? "" : row.result;
  return row.error ?? "";
}
