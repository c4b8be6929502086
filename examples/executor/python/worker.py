"""Runs tasks, one at a time: worker.py HOST PORT, with the token in WHARF_EXECUTOR_TOKEN."""

import json
import os
import socket
import struct
import sys
import threading

FUNCTIONS = {"py.add": lambda args: args[0] + args[1], "py.reverse": lambda args: args[::-1]}


def say(connection, message):
    text = json.dumps(message).encode()
    connection.sendall(struct.pack(">I", len(text)) + text)


def run(spec):
    try:
        return {"succeeded": FUNCTIONS[spec["kind"]](spec["args"])}
    except TypeError as error:
        return {"failed_for_good": str(error)}
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}"}


with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection, connection.makefile("rb") as stream:
    role = {"worker": {"name": f"python-{os.getpid()}", "kinds": list(FUNCTIONS), "capacity": 1}}
    say(connection, {"hello": {"version": 1, "token": os.environ.get("WHARF_EXECUTOR_TOKEN"), "role": role}})
    lock, ended = threading.Lock(), threading.Event()
    while len(head := stream.read(4)) == 4:
        message = json.loads(stream.read(struct.unpack(">I", head)[0]))
        if "refused" in message:
            sys.exit(message["refused"])
        if "welcome" in message:
            # A task that takes longer than the lease does not cost it.
            def beat(every=message["welcome"]["lease"] / 3000):
                while not ended.wait(every):
                    with lock:
                        say(connection, "alive")
            threading.Thread(target=beat, daemon=True).start()
        if "assign" in message:
            outcome = run(message["assign"]["spec"])
            with lock:
                say(connection, {"report": {"fence": message["assign"]["fence"], "outcome": outcome}})
    ended.set()
