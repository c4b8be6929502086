// The stream of tasks: what ran in each slot of each worker within the last minute.

import { count, duration, element } from "./format.js";
import { fresh } from "./plot.js";
import { colour, colourOf } from "./theme.js";

const SPAN = 60_000;
const MOST_SPANS = 20_000;
const MOST_KINDS = 7;
const BOTTOM = 18;
const SHORTEST_PAUSE = 100;

const BAD = { failed: "failed", lost: "failed", stopped: "cancelled", given_back: "cancelled" };

export class Stream {
  #canvas;
  #at;
  #legend;
  #live;
  #open;
  #isKnown = false;
  #spans = [];
  #workers = [];
  #names = new Map();
  #left = new Map();
  #pointed;
  #drawn = 0;
  #pause = SHORTEST_PAUSE;

  /** `open` is called with the id of a task that somebody clicks at. */
  constructor(canvas, at, legend, live, open) {
    this.#canvas = canvas;
    this.#at = at;
    this.#legend = legend;
    this.#live = live;
    this.#open = open;
    canvas.addEventListener("pointermove", (event) => this.#point(event));
    canvas.addEventListener("pointerleave", () => this.#point(undefined));
    canvas.addEventListener("click", () => {
      const span = this.#under();
      if (span) this.#open(span.id);
    });
    const frame = (time) => {
      if (time - this.#drawn >= this.#pause) {
        this.draw();
        this.#drawn = time;
        // Never more than a tenth of the time.
        this.#pause = Math.max(SHORTEST_PAUSE, 10 * (performance.now() - time));
      }
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  update(update) {
    this.#isKnown = true;
    if (update.workers) {
      this.#workers = update.workers;
      for (const worker of update.workers) this.#names.set(worker.key, worker.name);
    }
    for (const span of update.spans ?? []) this.#spans.push(span);
    const begin = this.#live.now() - SPAN;
    const first = this.#spans.findIndex((span) => span.until >= begin);
    const old = Math.max(first < 0 ? this.#spans.length : first, this.#spans.length - MOST_SPANS);
    if (old > 0) this.#spans.splice(0, old);
    if (update.workers || update.spans) this.#name();
  }

  draw() {
    const lanes = this.#lanes();
    const size = lanes.length > 40 ? 6 : lanes.length > 16 ? 11 : 18;
    const height = Math.max(60, lanes.length * size + BOTTOM);
    if (this.#canvas.style.height !== `${height}px`) this.#canvas.style.height = `${height}px`;
    const { context, width } = fresh(this.#canvas);
    if (lanes.length === 0) {
      context.fillStyle = colour("muted");
      context.fillText(this.#isKnown ? "Nothing has run within the last minute." : "Loading", 0, 32);
      return;
    }
    const gutter = width < 500 ? 72 : 120;
    const end = this.#live.now();
    this.#left.clear();
    this.#left.set("geometry", { lanes, size, gutter, end, width });
    const x = (time) => gutter + Math.max(0, (time - end + SPAN) / SPAN) * (width - gutter);
    const at = new Map(lanes.map((lane, index) => [`${lane.worker}/${lane.slot}`, index * size]));
    this.#names_of(context, lanes, size, gutter, width);
    for (const span of this.#all(end)) {
      const top = at.get(`${span.worker}/${span.slot}`);
      if (top === undefined || span.until < end - SPAN) continue;
      const left = x(span.since);
      context.globalAlpha = span.end ? 1 : 0.55;
      context.fillStyle = BAD[span.end] ? colour(BAD[span.end]) : colourOf(span.kind);
      context.fillRect(left, top + 1, Math.max(1, x(span.until) - left), size - 2);
    }
    context.globalAlpha = 1;
    this.#axis(context, gutter, width, height);
    this.#tell();
  }

  /** What has run, and what runs. */
  #all(end) {
    const running = this.#workers.flatMap((worker) =>
      worker.running.map((one) => ({ worker: worker.key, slot: one.slot, id: one.id, kind: one.kind, since: one.since, until: end, count: 1 })),
    );
    return this.#spans.concat(running);
  }

  /** Slots of workers that are there, and of others that were. */
  #lanes() {
    const lanes = new Map();
    const add = (worker, slot) => lanes.set(`${worker}/${slot}`, { worker, slot });
    for (const worker of this.#workers) {
      for (let slot = 0; slot < Math.min(worker.slots, 64); slot += 1) add(worker.key, slot);
    }
    for (const span of this.#spans) add(span.worker, span.slot);
    return [...lanes.values()].sort((one, other) => one.worker - other.worker || one.slot - other.slot).slice(0, 400);
  }

  #names_of(context, lanes, size, gutter, width) {
    const present = new Set(this.#workers.map((worker) => worker.key));
    context.textAlign = "left";
    context.textBaseline = "top";
    let last;
    lanes.forEach((lane, index) => {
      context.fillStyle = colour("sunk");
      context.fillRect(gutter, index * size + 1, width - gutter, size - 2);
      if (lane.worker === last) return;
      last = lane.worker;
      context.fillStyle = colour(present.has(lane.worker) ? "text" : "muted");
      const name = this.#names.get(lane.worker) ?? `worker ${lane.worker}`;
      context.fillText(shortened(context, name, gutter - 10), 0, index * size + Math.max(0, (size - 12) / 2));
    });
  }

  #axis(context, gutter, width, height) {
    context.fillStyle = colour("muted");
    context.textBaseline = "alphabetic";
    for (const seconds of width < 420 ? [60, 30, 0] : [60, 45, 30, 15, 0]) {
      context.textAlign = seconds === 0 ? "right" : seconds === 60 ? "left" : "center";
      const text = seconds === 0 ? "now" : `−${seconds} s`;
      context.fillText(text, gutter + (1 - seconds / 60) * (width - gutter), height - 3);
    }
  }

  /** Kinds and their colours. */
  #name() {
    const kinds = new Set(this.#spans.slice(-2000).map((span) => span.kind));
    for (const worker of this.#workers) for (const one of worker.running) kinds.add(one.kind);
    const named = [...kinds].sort().slice(0, MOST_KINDS);
    const wanted = [...named, "failed"].join(" ");
    if (this.#legend.dataset.named === wanted) {
      [...this.#legend.children].forEach((item) => {
        item.firstChild.style.background = item.dataset.kind ? colourOf(item.dataset.kind) : colour("failed");
      });
      return;
    }
    this.#legend.dataset.named = wanted;
    this.#legend.replaceChildren(
      ...[...named, undefined].map((kind) => {
        const item = element("li");
        const dot = element("span", "dot");
        dot.style.background = kind ? colourOf(kind) : colour("failed");
        if (kind) item.dataset.kind = kind;
        item.append(dot, kind ?? "failed or lost");
        return item;
      }),
    );
  }

  #point(event) {
    this.#pointed = event && { x: event.offsetX, y: event.offsetY };
    this.#tell();
  }

  /** What is pointed at. */
  #under() {
    const geometry = this.#left.get("geometry");
    if (!this.#pointed || !geometry) return undefined;
    const { lanes, size, gutter, end, width } = geometry;
    const lane = lanes[Math.floor(this.#pointed.y / size)];
    const scale = SPAN / (width - gutter);
    const time = end - SPAN + (this.#pointed.x - gutter) * scale;
    const isUnder = (span) =>
      span.worker === lane?.worker && span.slot === lane?.slot && span.since <= time + 2 * scale && span.until >= time - 2 * scale;
    return this.#all(end).findLast(isUnder);
  }

  #tell() {
    const span = this.#under();
    let text = "";
    if (span) {
      const many = span.count > 1 ? ` × ${count(span.count)}` : ` ${span.id}`;
      const end = span.end ? (span.end === "succeeded" ? "" : `, ${span.end.replace("_", " ")}`) : ", running";
      text = `${span.kind}${many}, ${duration(span.until - span.since)}${end}`;
    }
    if (this.#at.textContent !== text) this.#at.textContent = text;
  }
}

function shortened(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let length = Math.min(text.length, 40);
  while (length > 1 && context.measureText(`${text.slice(0, length)}…`).width > width) length -= 1;
  return `${text.slice(0, length)}…`;
}
