// Who is connected, and what they run.

import { count, element, say } from "./format.js";

const MOST = 100;

export class Workers {
  #list;
  #items = new Map();

  constructor(list) {
    this.#list = list;
  }

  update(workers) {
    const shown = workers.slice(0, MOST);
    const items = shown.map((worker) => {
      const item = this.#items.get(worker.key) ?? make();
      fill(item, worker);
      return [worker.key, item];
    });
    this.#items = new Map(items);
    const wanted = items.map(([, item]) => item.root);
    if (workers.length > MOST) wanted.push(element("li", "nobody", `and ${count(workers.length - MOST)} more`));
    if (workers.length === 0) wanted.push(element("li", "nobody", "No worker is connected."));
    const isSame = wanted.length === this.#list.children.length && wanted.every((item, index) => item === this.#list.children[index]);
    if (!isSame) this.#list.replaceChildren(...wanted);
  }
}

function make() {
  const [root, top] = [element("li"), element("div", "worker")];
  const [name, load, kinds] = [element("span", "name"), element("span", "load"), element("p", "kinds")];
  const progress = document.createElement("progress");
  top.append(name, load);
  root.append(top, progress, kinds);
  return { root, name, load, kinds, progress };
}

function fill(item, worker) {
  const busy = worker.running.length;
  say(item.name, worker.name);
  const waiting = worker.waiting > 0 ? `, ${count(worker.waiting)} next` : "";
  say(item.load, worker.capacity === 0 ? "shutting down" : `${busy} of ${worker.slots} slots${waiting}`);
  say(item.kinds, worker.kinds.join(", "));
  item.progress.max = worker.slots;
  item.progress.value = busy;
  item.progress.setAttribute("aria-label", `${busy} of ${worker.slots} slots in use`);
}
