// All about one task.

import { duration, element, phase, pretty, say, when } from "./format.js";
import { Output } from "./output.js";

export class Detail {
  #live;
  #act;
  #id;
  #back;
  #shown = "";
  #isRunning = false;
  #output;
  #parts;

  /** `act(name, id)` cancels or retries a task. */
  constructor(live, act) {
    this.#live = live;
    this.#act = act;
    this.#output = new Output(live);
    const part = (id) => document.getElementById(id);
    this.#parts = {
      root: part("detail"), title: part("detail-title"), state: part("detail-state"), id: part("detail-id"),
      cancel: part("cancel"), retry: part("retry"), note: part("detail-note"), facts: part("facts"), texts: part("texts"),
    };
    part("detail-close").addEventListener("click", () => this.close());
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.#id !== undefined) this.close();
    });
    for (const name of ["cancel", "retry"]) {
      this.#parts[name].addEventListener("click", () => this.#act(name, this.#id));
    }
  }

  /** Shows a task; when it is closed, `back` is called. */
  async open(id, back) {
    this.#id = id;
    this.#back = back;
    this.#shown = "";
    const { root, title, note } = this.#parts;
    say(note, "");
    this.#output.open(id);
    await this.refresh();
    root.hidden = false;
    root.scrollTop = 0;
    title.focus();
  }

  /** A second has passed. What a task writes changes nothing else. */
  tick() {
    if (this.#isRunning) this.refresh();
  }

  close() {
    this.#id = undefined;
    this.#isRunning = false;
    this.#parts.root.hidden = true;
    this.#back?.();
  }

  /** Asks for the task again. */
  async refresh() {
    const id = this.#id;
    if (id === undefined) return;
    const task = await this.#live.ask({ task: id }).catch(() => undefined);
    if (id !== this.#id || task === undefined) return;
    if (task) {
      // Once more after it has ended: it may have written something meanwhile.
      if (this.#isRunning || task.attempts > 0) this.#output.refresh();
      this.#isRunning = task.state.state === "running";
      this.#fill(task);
    } else {
      this.#gone();
    }
  }

  /** Says what came of a button. */
  tell(id, text) {
    if (id === this.#id) say(this.#parts.note, text);
  }

  #gone() {
    const { title, state, id, cancel, retry, facts, texts } = this.#parts;
    say(title, "There is no such task");
    say(state, "");
    say(id, this.#id);
    cancel.disabled = retry.disabled = true;
    facts.replaceChildren();
    texts.replaceChildren();
  }

  #fill(task) {
    const { title, state, id, cancel, retry, facts, texts } = this.#parts;
    const now = phase(task.state);
    say(title, task.kind);
    say(state, task.state.cancelled ? "cancelling" : now);
    state.dataset.phase = now;
    say(id, task.id);
    const focused = document.activeElement;
    cancel.disabled = task.state.state === "ended" || Boolean(task.state.cancelled);
    retry.disabled = !["failed", "cancelled"].includes(now);
    // What was pressed can be pressed no more: the focus would be lost.
    if (focused?.disabled) title.focus();
    const pairs = this.#facts(task);
    const keep = facts.children.length === 2 * pairs.length;
    if (!keep) facts.replaceChildren(...pairs.flatMap(() => [element("dt"), element("dd")]));
    pairs.flat().forEach((text, index) => say(facts.children[index], text));
    const shown = JSON.stringify([task.args, task.result, task.error]);
    if (shown !== this.#shown) {
      this.#shown = shown;
      texts.replaceChildren(...parts(task));
    }
  }

  #facts(task) {
    const { state } = task;
    const now = this.#live.now();
    const ago = (time) => `${when(time)} (${duration(now - time)} ago)`;
    const facts = [["Submitted", ago(task.submitted)]];
    if (state.state === "blocked") facts.push(["Waits for", `${state.parents} other tasks`]);
    if (state.state === "delayed") facts.push(["Until", `${when(state.until)} (in ${duration(state.until - now)})`]);
    if (state.state === "queued") facts.push(["Waits since", ago(state.since)]);
    if (state.state === "running") facts.push(["Worker", state.worker], ["Since", ago(state.since)]);
    if (state.state === "ended") facts.push(["Ended", ago(state.at)]);
    facts.push(["Attempts", `${task.attempts}, of which ${task.failures} failed and ${task.losses} lost their worker`]);
    facts.push(["Retries", String(task.retries)], ["Priority", `${task.priority} of 9`]);
    if (task.timeout !== null) facts.push(["Timeout", duration(task.timeout)]);
    if (task.at !== null) facts.push(["Not before", when(task.at)]);
    if (task.deadline !== null) facts.push(["Deadline", when(task.deadline)]);
    if (task.after.length > 0) facts.push(["After", task.after.join(", ")]);
    return facts;
  }
}

function parts(task) {
  const texts = [["Error", task.error, "error"], ["Result", task.result, ""], ["Arguments", task.args, ""]];
  return texts.filter(([, text]) => text !== undefined && text !== null).flatMap(([name, text, kind]) => [
    element("h3", "", name), element("pre", kind, pretty(text)),
  ]);
}
