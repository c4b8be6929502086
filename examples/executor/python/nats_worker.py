"""A worker of an executor on NATS: nats_worker.py SERVER. Tasks of the kind "shout" have a text, and return it in capitals."""
import asyncio, json, nats, sys, time

KIND, FUNCTION = "shout", str.upper

async def work(connection, records, message, lease):
    """Claims a task, runs it, and records its end unless another has claimed it meanwhile. Only then its message is done with."""
    task, key = json.loads(message.data), message.subject.split(".", 4)[4]
    try:
        entry = await records.get(key)
        record, revision = json.loads(entry.value), entry.revision
    except nats.js.errors.KeyNotFoundError:
        record, revision = {name: task[name] for name in ("id", "spec", "submitted")} | {"state": {}, "attempts": 0}, 0
    if record["state"].get("state") == "ended" and task.get("again") != revision:
        return await message.ack()
    record["attempts"] += 1
    running = {"state": "running", "worker": "python", "fence": record["attempts"], "since": int(time.time() * 1000)}
    try:
        revision = await records.update(key, json.dumps(record | {"state": running}).encode(), last=revision)
    except nats.js.errors.KeyWrongLastSequenceError:
        return await message.nak()
    call = asyncio.create_task(asyncio.to_thread(FUNCTION, task["spec"]["args"]))
    while not (await asyncio.wait([call], timeout=lease / 3))[0]:
        await message.in_progress()
    record |= {"error": str(error)} if (error := call.exception()) else {"error": None, "result": call.result()}
    record["state"] = {"state": "ended", "outcome": "failed" if error else "succeeded", "at": int(time.time() * 1000)}
    await records.update(key, json.dumps(record).encode(), last=revision)
    await connection.publish(f"wharf.ended.{key}", json.dumps(record).encode())
    await message.ack()

async def main(server):
    connection = await nats.connect(server)
    jetstream, new = connection.jetstream(), nats.js.api.ConsumerConfig(ack_wait=15, max_ack_pending=-1)
    records, queue = await jetstream.key_value("wharf-records"), f"wharf.q.normal.{KIND}.>"
    tasks = await jetstream.pull_subscribe(queue, f"normal-{KIND}", stream="wharf-tasks", config=new)
    lease = (await tasks.consumer_info()).config.ack_wait
    while True:
        try:
            await work(connection, records, *await tasks.fetch(1, timeout=20), lease)
        except (nats.errors.TimeoutError, nats.js.errors.KeyWrongLastSequenceError):
            pass  # There is no task, or it is another worker's by now, with its message.
asyncio.run(main(sys.argv[1]))
