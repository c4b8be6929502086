"""The echo server under TLS with a Protocol, on asyncio's own event loop or on uvloop's.

    python3 echo_tls.py --listen 127.0.0.1:0 --loop asyncio|uvloop --certificate FILE --key FILE

As the other contenders: the first line says where it listens, and SIGTERM ends it. So does the end of
standard input, which is the end of whoever started it. Both loops set TCP_NODELAY themselves.
"""

import argparse
import asyncio
import resource
import signal
import ssl
import sys


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def serve(host, port, context):
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, told.set)
    loop.add_reader(sys.stdin, told.set)
    server = await loop.create_server(Echo, host, port, ssl=context, backlog=1024)
    host, port = server.sockets[0].getsockname()
    print(f"listening on {host}:{port}", flush=True)
    await told.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", required=True)
    parser.add_argument("--loop", required=True, choices=["asyncio", "uvloop"])
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(options.certificate, options.key)
    host, port = options.listen.rsplit(":", 1)
    if options.loop == "uvloop":
        import uvloop

        loop = uvloop.new_event_loop()
    else:
        loop = asyncio.new_event_loop()
    loop.run_until_complete(serve(host, int(port), context))


if __name__ == "__main__":
    main()
