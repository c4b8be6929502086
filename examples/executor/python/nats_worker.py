"""A worker of an executor on NATS: nats_worker.py SERVER. Tasks of the kind "shout" have a text, and return it in capitals."""
import asyncio
import json
import sys
import time

import nats
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError

KIND = "shout"
LEASE = 15


def run(text):
    return text.upper()


async def renew(message):
    while True:
        await asyncio.sleep(LEASE / 3)
        await message.in_progress()


async def take(records, message):
    """Runs a task and records what came of it; whoever has the record's revision may."""
    task, now = json.loads(message.data), lambda: int(time.time() * 1000)
    record = {key: task[key] for key in ("id", "spec", "submitted")} | {"attempts": message.metadata.num_delivered}
    revision, key = 0, message.subject.split(".", 4)[4]
    if message.metadata.num_delivered > 1 or "again" in task:
        try:
            entry = await records.get(key)
            record, revision = json.loads(entry.value), entry.revision
            if record["state"]["state"] == "ended" and task.get("again") != revision:
                return
            record["attempts"] += 1
        except KeyNotFoundError:
            pass
        # From now on no other worker's outcome is recorded.
        record["state"] = {"state": "running", "worker": "python", "fence": record["attempts"], "since": now()}
        revision = await records.update(key, json.dumps(record).encode(), last=revision)
    try:
        outcome, record["result"] = "succeeded", await asyncio.to_thread(run, task["spec"]["args"])
    except Exception as error:
        outcome, record["error"] = "failed", str(error)
    record["state"] = {"state": "ended", "outcome": outcome, "at": now()}
    await records.update(key, json.dumps(record).encode(), last=revision)
    return key, json.dumps(record).encode()


async def main(server):
    connection = await nats.connect(server)
    jetstream = connection.jetstream()
    records = await jetstream.key_value("wharf-records")
    config = nats.js.api.ConsumerConfig(ack_wait=LEASE, max_ack_pending=-1)
    tasks = await jetstream.pull_subscribe(
        f"wharf.q.normal.{KIND}.>", durable=f"normal-{KIND}", stream="wharf-tasks", config=config
    )
    while True:
        try:
            [message] = await tasks.fetch(1, timeout=20)
        except nats.errors.TimeoutError:
            continue
        renewing = asyncio.create_task(renew(message))
        try:
            if ended := await take(records, message):
                await connection.publish(f"wharf.ended.{ended[0]}", ended[1])
            await message.ack()
        except KeyWrongLastSequenceError:
            pass  # It is somebody else's by now, and so is the message.
        finally:
            renewing.cancel()


asyncio.run(main(sys.argv[1]))
