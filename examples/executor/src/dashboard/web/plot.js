// A plot of the last minutes: areas with a line on top, one over the other.

import { brief } from "./format.js";
import { colour } from "./theme.js";

const LONGEST = 300_000;
const MINUTE = 60_000;
const LEFT = 44;
const BOTTOM = 18;

export class Plot {
  #canvas;
  #series;
  #samples = [];
  #at;
  #pointed;

  /** `series`: `{ name, colour, value(sample) }`. What is pointed at is said in `at`. */
  constructor(canvas, at, series) {
    this.#canvas = canvas;
    this.#at = at;
    this.#series = series;
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener("pointermove", (event) => this.#point(event.offsetX));
    canvas.addEventListener("pointerleave", () => this.#point(undefined));
  }

  set(samples) {
    this.#samples = samples;
    this.draw();
  }

  add(sample) {
    this.#samples.push(sample);
    const begin = sample[0] - 2 * LONGEST;
    while (this.#samples[0][0] < begin) this.#samples.shift();
    this.draw();
  }

  draw() {
    const { context, width, height } = fresh(this.#canvas);
    const end = this.#samples.at(-1)?.[0] ?? 0;
    // Whole minutes: as much as there is, and not more than five.
    const age = end - (this.#samples[0]?.[0] ?? end);
    const span = Math.min(LONGEST, Math.max(1, Math.ceil(age / MINUTE)) * MINUTE);
    const x = (time) => LEFT + ((time - end + span) / span) * (width - LEFT - 1);
    const shown = this.#samples.filter((sample) => sample[0] >= end - span);
    const highest = Math.max(0, ...shown.flatMap((sample) => this.#series.map((one) => one.value(sample))));
    const top = nice(highest);
    const y = (value) => height - BOTTOM - (value / top) * (height - BOTTOM - 8);
    scale(context, width, top, y);
    times(context, span, width, height);
    for (const one of this.#series) {
      context.strokeStyle = context.fillStyle = colour(one.colour);
      area(context, shown, (sample) => x(sample[0]), (sample) => y(one.value(sample)), y(0));
    }
    this.#cursor(context, shown, x, height);
  }

  #cursor(context, shown, x, height) {
    if (this.#pointed === undefined || shown.length === 0) {
      this.#at.textContent = "";
      return;
    }
    const distance = (sample) => Math.abs(x(sample[0]) - this.#pointed);
    const nearest = shown.reduce((best, sample) => (distance(sample) < distance(best) ? sample : best));
    context.globalAlpha = 0.5;
    context.fillStyle = colour("muted");
    context.fillRect(Math.round(x(nearest[0])), 0, 1, height - BOTTOM);
    const ago = Math.round((shown.at(-1)[0] - nearest[0]) / 1000);
    const values = this.#series.map((one) => `${one.name} ${brief(one.value(nearest))}`);
    this.#at.textContent = `${ago} s ago: ${values.join(", ")}`;
  }

  #point(at) {
    this.#pointed = at;
    this.draw();
  }
}

/** A canvas that has the resolution of the screen, empty. */
export function fresh(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const ratio = devicePixelRatio || 1;
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.globalAlpha = 1;
  context.font = "11px system-ui, sans-serif";
  return { context, width, height };
}

function nice(highest) {
  if (highest <= 4) return 4;
  const step = 10 ** Math.floor(Math.log10(highest));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((factor) => factor * step).find((top) => top >= highest);
}

function scale(context, width, top, y) {
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const part of [0, 0.5, 1]) {
    const line = Math.round(y(top * part));
    context.fillStyle = colour("line");
    context.fillRect(LEFT, line, width - LEFT, 1);
    context.fillStyle = colour("muted");
    context.fillText(brief(top * part), LEFT - 8, line);
  }
}

function times(context, span, width, height) {
  const steps = width < 420 ? 2 : 4;
  context.textBaseline = "alphabetic";
  for (let step = 0; step <= steps; step += 1) {
    const seconds = Math.round(((1 - step / steps) * span) / 1000);
    context.textAlign = step === steps ? "right" : step === 0 ? "left" : "center";
    const time = seconds % 60 === 0 ? `${seconds / 60} min` : seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")} min`;
    context.fillText(seconds === 0 ? "now" : `−${time}`, LEFT + (step / steps) * (width - LEFT), height - 3);
  }
}

function area(context, samples, x, y, base) {
  if (samples.length === 0) return;
  context.beginPath();
  for (const sample of samples) context.lineTo(x(sample), y(sample));
  context.lineWidth = 1.6;
  context.lineJoin = "round";
  context.stroke();
  context.lineTo(x(samples.at(-1)), base);
  context.lineTo(x(samples[0]), base);
  context.globalAlpha = 0.13;
  context.fill();
  context.globalAlpha = 1;
}
