// What a task writes, as it comes.

import { brief, element } from "./format.js";

const LAST = 64 * 1024;
const MOST_PIECES = 2000;

export class Output {
  #live;
  #id;
  #next;
  #isAsking = false;
  #part = document.getElementById("output-part");
  #text = document.getElementById("output");
  #progress = document.getElementById("output-progress");

  constructor(live) {
    this.#live = live;
  }

  /** Another task. */
  open(id) {
    this.#id = id;
    this.#next = undefined;
    this.#isAsking = false;
    this.#part.hidden = true;
    this.#progress.hidden = true;
    this.#text.replaceChildren();
  }

  /** Asks for what is new. */
  async refresh() {
    if (this.#isAsking) return;
    this.#isAsking = true;
    const id = this.#id;
    const output = this.#next === undefined ? { id, last: LAST } : { id, offset: this.#next };
    const page = await this.#live.ask({ output }).catch(() => undefined);
    if (id !== this.#id) return;
    this.#isAsking = false;
    if (!page) return;
    const isMore = this.#next !== undefined && page.next > this.#next && page.parts.length > 0;
    this.#next = page.next;
    this.#add(page.parts);
    this.#show(page.progress);
    // A page holds a part only.
    if (isMore) this.refresh();
  }

  #add(parts) {
    const { scrollTop, scrollHeight, clientHeight } = this.#text;
    const isAtEnd = scrollTop + clientHeight >= scrollHeight - 4;
    for (const { pieces } of parts) {
      for (const piece of pieces) {
        const [[stream, text]] = Object.entries(piece);
        this.#text.append(element("span", stream, text));
      }
    }
    while (this.#text.childElementCount > MOST_PIECES) this.#text.firstChild.remove();
    if (this.#text.childElementCount > 0) this.#part.hidden = false;
    if (isAtEnd) this.#text.scrollTop = this.#text.scrollHeight;
  }

  #show(progress) {
    this.#progress.hidden = !progress?.of;
    if (!progress?.of) return;
    this.#part.hidden = false;
    this.#progress.max = progress.of;
    this.#progress.value = progress.done;
    this.#progress.setAttribute("aria-label", `${brief(progress.done)} of ${brief(progress.of)}`);
  }
}
