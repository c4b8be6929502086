"""Prints how many lines of each codec were run, of what `llvm-cov export --summary-only` writes to standard input."""

import json
import re
import sys

# What parses bytes of a peer, and what makes bytes for it.
CODECS = {
    "framing": r"protocols/src/framing/(partial|head|netstring|length_prefix)\.rs",
    "line": r"protocols/src/line/(decode[dr]|kept|delimiter|encoder)\.rs",
    "HTTP heads": r"protocols/src/http/(chars|diagnose|facts|head|headers|parse|scan|section)\.rs",
    "HTTP messages": r"protocols/src/http/(body|body_encoder|request_\w+|response_\w+)\.rs",
    "HTTP chunks": r"protocols/src/http/chunked_decoder\.rs",
    "HTTP server": r"protocols/src/http/server/",
    "WebSocket frames": r"protocols/src/websocket/(assembler|close|decoder|encoder|frame|mask|utf8)\.rs",
    "WebSocket deflate": r"protocols/src/websocket/deflate/",
    "WebSocket opening": r"protocols/src/websocket/handshake/",
    "WebSocket session": r"protocols/src/websocket/connection/",
    "NATS": r"protocols/src/nats/codec/",
    "hot restart": r"src/net/handover/wire\.rs",
}

files = json.load(sys.stdin)["data"][0]["files"]
print("| codec | lines | covered |")
print("|---|--:|--:|")
for codec, pattern in CODECS.items():
    lines = [file["summary"]["lines"] for file in files if re.search(pattern, file["filename"])]
    count = sum(part["count"] for part in lines)
    covered = sum(part["covered"] for part in lines)
    if covered:
        print(f"| {codec} | {count} | {100 * covered / count:.0f} % |")

print("\nLeast covered:")
for file in sorted(files, key=lambda file: file["summary"]["lines"]["percent"]):
    lines = file["summary"]["lines"]
    name = file["filename"]
    if 0 < lines["percent"] < 80 and any(re.search(pattern, name) for pattern in CODECS.values()):
        print(f"{lines['percent']:4.0f} % of {lines['count']:4d}  {name[name.rindex('src/'):]}")
