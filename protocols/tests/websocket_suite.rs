//! The cases of the Autobahn test suite, run by kosoku, strictly: the server against its client, the client against its
//! server. With `WHARF_ALL_CASES` set, also those that take long.
#![forbid(unsafe_code)]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use wharf::{EventLoop, Result};
use wharf_protocols::websocket::{
    DeflateOptions, OwnedMessage, ServerHandshake, WebSocket, WebSocketClient, WebSocketOptions,
    WebSocketProtocol, WebSocketSession,
};

struct Echo;

impl WebSocketProtocol for Echo {
    fn text_received(&mut self, socket: &WebSocket, text: &str) -> Result {
        socket.send_text(text)?;
        Ok(())
    }

    fn binary_received(&mut self, socket: &WebSocket, bytes: &[u8]) -> Result {
        socket.send_binary(bytes)?;
        Ok(())
    }
}

fn options() -> WebSocketOptions {
    WebSocketOptions::new().max_message_length(64 << 20)
}

/// What both scripts begin and end with.
const COMMON: &str = r#"
import asyncio, os, sys, kosoku

def judge(results):
    for case in results:
        verdicts = {case.behavior.value, case.behavior_close.value}
        if not verdicts <= {"OK", "INFORMATIONAL"}:
            print("case", case.case_id, *sorted(verdicts))
    print(len(results), "cases", flush=True)
    # The threads of the runner may crash the interpreter on its way out.
    os._exit(0)
"#;

const CLIENT: &str = r"
async def main(address, excluded):
    try:
        judge(await kosoku.run_fuzzingclient(address, None, excluded, concurrency=8))
    except kosoku.FailureError as failure:
        judge(failure.results)

asyncio.run(main(sys.argv[1], sys.argv[2:]))
";

const SERVER: &str = r#"
async def main(excluded):
    try:
        async with kosoku.run_fuzzingserver(None, excluded, host="127.0.0.1", port=0) as server:
            print(server.port, flush=True)
            judge(await server.get_result())
    except kosoku.FailureError as failure:
        judge(failure.results)

asyncio.run(main(sys.argv[1:]))
"#;

/// Those of the longest messages, and most of those of compression, take minutes without optimisation.
fn excluded() -> &'static [&'static str] {
    match std::env::var_os("WHARF_ALL_CASES") {
        Some(_) => &[],
        None => &["9.*", "12.*", "13.*"],
    }
}

fn start(script: &str, arguments: &[&str]) -> Option<Child> {
    let has_it =
        Command::new("python3").args(["-c", "import kosoku"]).stderr(Stdio::null()).status();
    if !has_it.is_ok_and(|status| status.success()) {
        let may_be_missing = std::env::var_os("CI").is_none()
            || std::env::var_os("WHARF_WITHOUT_PYTHON_PEERS").is_some();
        assert!(may_be_missing, "kosoku is missing");
        eprintln!("kosoku is missing: not tested");
        return None;
    }
    let mut command = Command::new("python3");
    command.args(["-c", &format!("{COMMON}{script}")]).args(arguments).args(excluded());
    Some(command.stdout(Stdio::piped()).spawn().expect("python3 is there"))
}

/// What the suite says at its end: how many cases there were, and which ended in another way than they should.
fn judge(mut child: Child, mut said: impl Read, least: usize) {
    let mut text = String::new();
    said.read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    let mut lines: Vec<&str> = text.lines().collect();
    let count = lines.pop().and_then(|line| line.strip_suffix(" cases")).expect("a count");
    assert!(count.parse::<usize>().unwrap() >= least, "{count} cases");
    assert_eq!(lines, [""; 0]);
}

#[test]
fn a_server_passes_the_suite() -> Result {
    EventLoop::new()?.run(async |event_loop| {
        let factory = || {
            let handshake = ServerHandshake::new().deflate(DeflateOptions::new());
            WebSocketSession::server(Echo, handshake, options())
        };
        let server = event_loop.create_server(factory, "127.0.0.1:0").await?;
        let address = server.local_address()?.to_string();
        let suite = move || {
            if let Some(mut child) = start(CLIENT, &[&address]) {
                let said = child.stdout.take().expect("a pipe");
                judge(child, said, 246);
            }
        };
        event_loop.run_in_executor(suite).await?;
        Ok(())
    })
}

#[test]
fn a_client_passes_the_suite() -> Result {
    let Some(mut child) = start(SERVER, &[]) else { return Ok(()) };
    let mut said = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut port = String::new();
    said.read_line(&mut port)?;
    let url = format!("ws://127.0.0.1:{}", port.trim());
    EventLoop::new()?.run(async |event_loop| {
        let client = WebSocketClient::new(&event_loop).options(options());
        let mut socket = client.connect(&format!("{url}/getCaseCount")).await?;
        let Some(Ok(OwnedMessage::Text(count))) = socket.next().await else {
            return Err("no count".into());
        };
        let client = client.deflate(DeflateOptions::new());
        for case in 1..=count.trim().parse::<u32>()? {
            let url = format!("{url}/runCase?case={case}&agent=wharf");
            let connection = client.create_connection(Echo, &url).await?;
            // How it ends is for the suite to judge.
            let _ = connection.wait_closed().await;
        }
        let mut socket = client.connect(&format!("{url}/updateReports?agent=wharf")).await?;
        let _ = socket.next().await;
        Ok(())
    })?;
    judge(child, said, 246);
    Ok(())
}
