// The connection to the executor: what it tells, and what it is asked for.

const LONGEST_WAIT = 10_000;

/** Events: `state` (of the connection), `history`, and `update`, each with what was told as `detail`. */
export class Live extends EventTarget {
  #socket;
  #waiting = new Map();
  #number = 0;
  #failures = 0;
  /** By how much the executor's clock is ahead of this one, in milliseconds. */
  skew = 0;

  connect() {
    const url = new URL("/live", location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.#socket = new WebSocket(url);
    this.#socket.onmessage = (event) => this.#heard(JSON.parse(event.data));
    this.#socket.onclose = () => this.#lost();
  }

  /** What the executor's clock says. */
  now() {
    return Date.now() + this.skew;
  }

  /** Asks for something. It fails when the executor says that it cannot be done, or is gone. */
  ask(ask) {
    return new Promise((resolve, reject) => {
      if (this.#socket?.readyState !== WebSocket.OPEN) {
        reject(new Error("not connected"));
        return;
      }
      this.#number += 1;
      this.#waiting.set(this.#number, { resolve, reject });
      this.#socket.send(JSON.stringify({ number: this.#number, ask }));
    });
  }

  #heard(message) {
    if (message.answered !== undefined) {
      const waiting = this.#waiting.get(message.answered);
      this.#waiting.delete(message.answered);
      if ("failed" in message.answer) waiting?.reject(new Error(message.answer.failed));
      else waiting?.resolve(Object.values(message.answer)[0]);
      return;
    }
    if (message.update) this.skew = message.update.now - Date.now();
    if (message.history) {
      this.#failures = 0;
      this.#tell("state", "live");
    }
    for (const name of ["history", "update"]) {
      if (message[name]) this.#tell(name, message[name]);
    }
  }

  #lost() {
    for (const { reject } of this.#waiting.values()) reject(new Error("the connection is lost"));
    this.#waiting.clear();
    this.#tell("state", "lost");
    this.#failures += 1;
    const wait = Math.min(LONGEST_WAIT, 250 * 2 ** this.#failures) * (0.5 + Math.random() / 2);
    setTimeout(() => this.connect(), wait);
    if (this.#failures > 1) this.#signInAgain();
  }

  async #signInAgain() {
    const answer = await fetch("/app.js", { method: "HEAD" }).catch(() => undefined);
    if (answer?.status === 401) location.reload();
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
