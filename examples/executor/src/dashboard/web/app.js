// The page: its parts, and what they are told.

import { Detail } from "./detail.js";
import { brief, count, element, say } from "./format.js";
import { Live } from "./live.js";
import { Plot } from "./plot.js";
import { Stream } from "./stream.js";
import { Tasks } from "./tasks.js";
import { themes } from "./theme.js";
import { Workers } from "./workers.js";

const PHASES = ["queued", "running", "delayed", "blocked", "succeeded", "failed", "cancelled"];

const part = (id) => document.getElementById(id);
const live = new Live();
const detail = new Detail(live, act);
const open = (id, back) => detail.open(id, back);
const tasks = new Tasks(part("grid"), part("rows"), live, open, act);
const workers = new Workers(part("workers"));
const stream = new Stream(part("stream"), part("stream-at"), part("legend"), live, open);
const throughput = new Plot(part("throughput"), part("throughput-at"), [
  { name: "succeeded", colour: "succeeded", value: (sample) => sample[1] },
  { name: "failed", colour: "failed", value: (sample) => sample[2] },
]);
const depth = new Plot(part("depth"), part("depth-at"), [
  { name: "queued", colour: "queued", value: (sample) => sample[3] },
  { name: "running", colour: "running", value: (sample) => sample[4] },
]);
const tiles = new Map(PHASES.map((phase) => [phase, tile(phase)]));
const filter = {};
let isStale = false;
let health = {};

themes(part("theme"), () => {
  throughput.draw();
  depth.draw();
});
live.addEventListener("state", ({ detail: state }) => {
  showHealth(state === "live" ? undefined : "lost");
  if (state === "live") tasks.filter(filter);
});
live.addEventListener("history", ({ detail: samples }) => {
  throughput.set([...samples]);
  depth.set([...samples]);
});
live.addEventListener("update", ({ detail: update }) => updated(update));
part("kind").addEventListener("change", (event) => {
  setFilter("kind", event.target.value || undefined);
});
part("find").addEventListener("submit", (event) => {
  event.preventDefault();
  const id = part("find-id").value.trim();
  if (id) open(id, () => part("find-id").focus());
});
document.addEventListener("keydown", (event) => {
  const isTyping = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
  if (event.key === "/" && !isTyping) {
    event.preventDefault();
    part("find-id").focus();
  }
});
// Lists are asked for once a second at most, and when something has changed.
setInterval(() => {
  if (document.hidden) return;
  tasks.tick();
  if (!isStale) detail.tick();
  if (!isStale) return;
  isStale = false;
  tasks.refresh();
  detail.refresh();
}, 1000);
live.connect();

function updated(update) {
  if (update.tasks) {
    for (const [phase, { count: shown }] of tiles) say(shown, count(update.tasks[phase]));
    const { queued, running } = update.tasks;
    now("depth-now", count(queued), ` queued, ${count(running)} running`);
  }
  if (update.tasks || update.totals) isStale = true;
  if (update.rate !== undefined) now("throughput-now", brief(update.rate), " tasks/s");
  if (update.kinds) showKinds(update.kinds);
  if (update.workers) workers.update(update.workers);
  if (update.health) {
    health = update.health;
    showHealth();
    say(part("workers-now"), `${count(health.workers)} connected`);
  }
  if (update.sample) {
    throughput.add(update.sample);
    depth.add(update.sample);
  }
  stream.update(update);
}

function tile(phase) {
  const button = element("button", "tile");
  const name = element("span", "name");
  name.append(element("span", "dot"), phase[0].toUpperCase() + phase.slice(1));
  const shown = element("span", "count", "–");
  button.type = "button";
  button.dataset.phase = phase;
  button.setAttribute("aria-pressed", "false");
  button.append(name, shown);
  button.addEventListener("click", () => setFilter("state", filter.state === phase ? undefined : phase));
  part("tiles").append(button);
  return { button, count: shown };
}

function setFilter(name, value) {
  filter[name] = value;
  for (const [phase, { button }] of tiles) button.setAttribute("aria-pressed", String(phase === filter.state));
  const words = [filter.state, filter.kind].filter(Boolean);
  say(part("tasks-now"), words.length > 0 ? words.join(" ") : "all, the newest first");
  tasks.filter(filter);
}

function showKinds(kinds) {
  const select = part("kind");
  const wanted = ["", ...kinds.map((view) => view.kind).sort()];
  if (filter.kind && !wanted.includes(filter.kind)) wanted.push(filter.kind);
  if (wanted.join(" ") === [...select.options].map((option) => option.value).join(" ")) return;
  select.replaceChildren(...wanted.map((kind) => new Option(kind || "all", kind, false, kind === (filter.kind ?? ""))));
}

function showHealth(connection) {
  const states = [
    [connection === "lost", "broken", "Not connected"],
    [Boolean(health.store), "broken", `The store cannot be written: ${health.store}`],
    [health.draining, "draining", "Draining: no new tasks"],
    [true, "live", "Live"],
  ];
  const [, state, text] = states.find(([holds]) => holds);
  part("health").dataset.state = state;
  say(part("health-text"), text);
}

function now(id, strong, rest) {
  const where = part(id);
  if (!where.firstChild) where.append(element("b"), "");
  say(where.firstChild, strong);
  if (where.lastChild.data !== rest) where.lastChild.data = rest;
}

async function act(name, id) {
  const done = { cancel: "Cancelled", retry: "It is tried again" };
  const not = { cancel: "It has ended already", retry: "It has not failed" };
  detail.tell(id, "…");
  try {
    const hasChanged = await live.ask({ [name]: id });
    detail.tell(id, hasChanged ? done[name] : not[name]);
  } catch (error) {
    detail.tell(id, `That did not work: ${error.message}`);
  }
  tasks.refresh();
  detail.refresh();
}
