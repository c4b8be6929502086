"""Submits a task and prints its result: client.py HOST PORT KIND ARGUMENTS, with the token in WHARF_EXECUTOR_TOKEN."""

import json
import os
import socket
import struct
import sys
import uuid


def say(connection, message):
    text = json.dumps(message).encode()
    connection.sendall(struct.pack(">I", len(text)) + text)


def hear(stream):
    head = stream.read(4)
    if len(head) < 4:
        sys.exit("the coordinator is gone")
    message = json.loads(stream.read(struct.unpack(">I", head)[0]))
    if "refused" in message:
        sys.exit(message["refused"])
    return message


host, port, kind, arguments = sys.argv[1:]
with socket.create_connection((host, int(port))) as connection, connection.makefile("rb") as stream:
    say(connection, {"hello": {"version": 1, "token": os.environ.get("WHARF_EXECUTOR_TOKEN"), "role": "client"}})
    hear(stream)
    task = {"kind": kind, "args": json.loads(arguments), "id": uuid.uuid4().hex, "retries": 0}
    say(connection, {"request": {"number": 1, "ask": {"run": [task]}}})
    while True:
        message = hear(stream)
        if "answer" in message and "Err" in message["answer"]["answer"]["submitted"][0]:
            sys.exit(message["answer"]["answer"]["submitted"][0]["Err"])
        for ended in message.get("ended", []):
            if ended["outcome"] != "succeeded":
                sys.exit(f"{ended['outcome']}: {ended.get('error')}")
            print(json.dumps(ended["result"]))
            sys.exit()
