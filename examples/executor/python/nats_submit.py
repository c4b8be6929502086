"""Submits a task to an executor on NATS, and prints its result: nats_submit.py SERVER KIND ARGUMENTS-AS-JSON"""
import asyncio
import json
import sys
import time
import uuid

import nats
from nats.js.errors import KeyNotFoundError


async def main(server, kind, arguments):
    connection = await nats.connect(server)
    jetstream = connection.jetstream()
    task_id = uuid.uuid4().hex
    ended = await connection.subscribe(f"wharf.ended.{task_id}")
    task = {
        "id": task_id,
        "spec": {"kind": kind, "args": json.loads(arguments)},
        "submitted": int(time.time() * 1000),
    }
    # The kind as a token: letters, digits, "-" and "_" as they are.
    await jetstream.publish(
        f"wharf.q.normal.{kind}.{task_id}", json.dumps(task).encode(), headers={"Nats-Msg-Id": task_id}
    )
    records = await jetstream.key_value("wharf-records")
    while True:
        try:
            record = json.loads((await records.get(task_id)).value)
            if record["state"]["state"] == "ended":
                break
        except KeyNotFoundError:
            pass  # Nobody has had it yet.
        try:
            await ended.next_msg(timeout=2)
        except nats.errors.TimeoutError:
            pass  # What is told can be lost; what is recorded is not.
    await connection.close()
    if record["state"]["outcome"] != "succeeded":
        sys.exit(record.get("error"))
    print(json.dumps(record.get("result")))


asyncio.run(main(*sys.argv[1:]))
