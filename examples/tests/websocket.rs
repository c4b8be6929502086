//! The WebSocket echo and client, among peers that others have written.

use std::process::Command;

use rustix::process::Signal;

use crate::complaints;
use crate::needs;
use crate::program::Program;

/// A Python that has `websockets`: the one that is found first, or the system's.
fn python() -> Option<&'static str> {
    let has = |python: &&str| {
        let import = Command::new(python).args(["-c", "import websockets"]).output();
        import.is_ok_and(|output| output.status.success())
    };
    let python = ["python3", "/usr/bin/python3"].into_iter().find(has);
    if python.is_none() {
        needs::missing("python3 with websockets (python3-websockets)");
    }
    python
}

/// node, with the system's `ws`.
fn node(script: &str, arguments: &[&str]) -> Option<Program> {
    let mut command = Command::new("node");
    command.env("NODE_PATH", "/usr/share/nodejs");
    let has = Command::new("node")
        .env("NODE_PATH", "/usr/share/nodejs")
        .args(["-e", "require('ws')"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !has {
        needs::missing("node with ws (node-ws)");
        return None;
    }
    command.args(["-e", script, "--"]).args(arguments);
    Some(Program::start(&mut command).expect("a process"))
}

fn port(address: &str) -> &str {
    address.rsplit(':').next().unwrap()
}

fn ends_well(program: Program) {
    let ending = program.end();
    assert_eq!((ending.code, &*complaints(&ending.errors)), (Some(0), ""));
}

/// Messages of all kinds there and back, with and without compression, then a close with a code of its own.
const PYTHON_CLIENT: &str = r#"
import asyncio, sys, websockets

async def talk(compression):
    url = "ws://127.0.0.1:" + sys.argv[1]
    async with websockets.connect(url, compression=compression, max_size=None) as socket:
        names = [extension.name for extension in socket.extensions]
        assert names == ([sys.argv[2]] if compression and sys.argv[2] else []), names
        for size in [0, 1, 125, 126, 127, 65535, 65536, 1 << 20]:
            for message in ["\u20ac" * size, b"\xfe" * size]:
                await socket.send(message)
                assert await socket.recv() == message
        await socket.send(iter(["in ", "frag", "", "ments"]))
        assert await socket.recv() == "in fragments"
        await (await socket.ping(b"?"))
        await asyncio.gather(*(socket.send("x" * n) for n in range(1000)))
        for n in range(1000):
            assert await socket.recv() == "x" * n
        await socket.close(4321, "done")
        assert socket.close_code == 4321, socket.close_code

async def main():
    await talk(None)
    await talk("deflate")
    print("all of it", flush=True)

asyncio.run(main())
"#;

const NODE_CLIENT: &str = r#"
const WebSocket = require("ws");
const [url, deflates] = ["ws://127.0.0.1:" + process.argv[1], process.argv[2] === "deflate"];
const socket = new WebSocket(url, { perMessageDeflate: deflates && { threshold: 0 } });
const messages = [];
for (const size of [0, 1, 125, 126, 65535, 65536, 1 << 20]) {
    messages.push("\u20ac".repeat(size), Buffer.alloc(size, 0xfe));
}
let at = 0;
const fail = (what) => { console.error(what); process.exit(1); };
socket.on("open", () => {
    if (socket.extensions !== (deflates ? "permessage-deflate" : "")) fail(socket.extensions);
    messages.forEach((message) => socket.send(message));
    socket.ping("?");
});
socket.on("error", fail);
socket.on("message", (data, isBinary) => {
    const expected = messages[at++];
    const same = typeof expected === "string"
        ? !isBinary && data.toString() === expected
        : isBinary && data.equals(expected);
    if (!same) fail("message " + at);
    if (at === messages.length) socket.close(4321, "done");
});
let pongs = 0;
socket.on("pong", (data) => { if (data.toString() === "?") pongs++; });
socket.on("close", (code) => {
    if (code !== 4321 || pongs !== 1) fail("code " + code + ", pongs " + pongs);
    console.log("all of it");
});
"#;

#[test]
fn echo_is_open_to_clients_of_others() {
    for (arguments, extension) in [
        (&["--listen", "127.0.0.1:0"][..], ""),
        (&["--listen", "127.0.0.1:0", "--deflate"], "deflate"),
    ] {
        let server = Program::example("websocket_echo", arguments);
        let address = server.address();
        if let Some(python) = python() {
            let name = if extension.is_empty() { "" } else { "permessage-deflate" };
            let mut command = Command::new(python);
            command.args(["-c", PYTHON_CLIENT, port(&address), name]);
            let client = Program::start(&mut command).expect("a process");
            assert_eq!(client.line(), "all of it");
            ends_well(client);
        }
        if let Some(client) = node(NODE_CLIENT, &[port(&address), extension]) {
            assert_eq!(client.line(), "all of it");
            ends_well(client);
        }
        server.signal(Signal::TERM);
        ends_well(server);
    }
}

/// Sends messages and pings to whoever connects, and wants them back; then closes.
const PYTHON_SERVER: &str = r#"
import asyncio, websockets

async def serve(socket):
    for size in [0, 1, 125, 126, 65535, 65536, 1 << 20]:
        for message in ["\u20ac" * size, b"\xfe" * size]:
            await socket.send(message)
            assert await socket.recv() == message
    await socket.send(iter([b"in ", b"frag", b"", b"ments"]))
    assert await socket.recv() == b"in fragments"
    await (await socket.ping())
    await socket.close(1000)
    print("all of it with " + str(len(socket.extensions)), flush=True)

async def main():
    async with websockets.serve(serve, "127.0.0.1", 0, max_size=None) as server:
        print("listening on 127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()

asyncio.run(main())
"#;

const NODE_SERVER: &str = r#"
const { WebSocketServer } = require("ws");
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: { threshold: 0 } });
server.on("listening", () => console.log("listening on 127.0.0.1:" + server.address().port));
server.on("connection", (socket) => {
    const messages = [];
    for (const size of [0, 1, 125, 126, 65535, 65536, 1 << 20]) {
        messages.push("\u20ac".repeat(size), Buffer.alloc(size, 0xfe));
    }
    let at = 0;
    messages.forEach((message) => socket.send(message));
    socket.on("message", (data, isBinary) => {
        const expected = messages[at++];
        const same = typeof expected === "string"
            ? !isBinary && data.toString() === expected
            : isBinary && data.equals(expected);
        if (!same) { console.log("message " + at); process.exit(1); }
        if (at === messages.length) socket.close(1000);
    });
    socket.on("close", (code) => {
        console.log("all of it with " + (socket.extensions ? 1 : 0));
    });
});
"#;

#[test]
fn client_talks_to_servers_of_others() {
    let python = python().map(|python| {
        let mut command = Command::new(python);
        command.args(["-c", PYTHON_SERVER]);
        Program::start(&mut command).expect("a process")
    });
    for server in [python, node(NODE_SERVER, &[])].into_iter().flatten() {
        let url = format!("ws://{}/", server.address());
        for (more, told) in [(&[][..], "all of it with 0"), (&["--deflate"], "all of it with 1")] {
            let arguments = [&["--url", &url], more].concat();
            ends_well(Program::example("websocket_client", &arguments));
            assert_eq!(server.line(), told);
        }
        server.signal(Signal::KILL);
    }
}

#[test]
fn client_and_echo_of_ours() {
    let server = Program::example("websocket_echo", &["--listen", "127.0.0.1:0", "--deflate"]);
    let url = format!("ws://{}/", server.address());
    let client =
        Program::example("websocket_client", &["--url", &url, "--deflate", "--send", "gr\u{fc}n"]);
    let ending = client.end();
    assert_eq!((ending.code, &ending.output[..]), (Some(0), &["gr\u{fc}n".to_owned()][..]));
    let wrong = Program::example("websocket_client", &["--url", "http://127.0.0.1/"]).end();
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.errors.contains("does not begin with ws://"), "{}", wrong.errors);
    server.signal(Signal::TERM);
    ends_well(server);
}

#[test]
fn members_in_browsers_and_at_terminals_share_their_rooms() {
    const MEMBER: &str = r#"
import asyncio, sys, websockets

async def main():
    async with websockets.connect("ws://" + sys.argv[1] + "/chat", origin="http://" + sys.argv[1]) as socket:
        heard = lambda: socket.recv()
        assert "welcome, guest-1" in await heard()
        assert await heard() == "* guest-1 joined lobby"
        print("here", flush=True)
        assert await heard() == "* guest-2 joined lobby"
        await socket.send("hello, terminal")
        assert await heard() == "<guest-2> hello, browser"
        await socket.send("/who")
        assert await heard() == "* guest-1\n* guest-2"
        await socket.send("/quit")
        assert await heard() == "* good-bye"
        await socket.wait_closed()
        assert socket.close_code == 1000, socket.close_code
    try:
        await websockets.connect("ws://" + sys.argv[1] + "/chat", origin="http://evil.example")
        assert False, "another's page"
    except websockets.InvalidStatusCode as error:
        assert error.status_code == 403, error
    print("all of it", flush=True)

asyncio.run(main())
"#;
    let Some(python) = python() else { return };
    let arguments = ["--listen", "127.0.0.1:0", "--lines", "127.0.0.1:0"];
    let server = Program::example("websocket_chat", &arguments);
    let (lines, pages) = (server.address(), server.address());
    let mut command = Command::new(python);
    command.args(["-c", MEMBER, &pages]);
    let browser = Program::start(&mut command).expect("a process");
    assert_eq!(browser.line(), "here");
    let mut terminal = Program::example("stdio_chat", &["--connect", &lines]);
    assert!(terminal.line().contains("welcome, guest-2"));
    assert_eq!(terminal.line(), "* guest-2 joined lobby");
    assert_eq!(terminal.line(), "<guest-1> hello, terminal");
    terminal.types("hello, browser\n");
    assert_eq!(terminal.line(), "* guest-1 left lobby (quit)");
    assert_eq!(browser.line(), "all of it");
    ends_well(browser);
    terminal.types("/quit\n");
    server.signal(Signal::TERM);
    ends_well(server);
}
