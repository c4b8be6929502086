//! The chat's page, in a real browser: Chromium without a window, told what to do over its DevTools.

use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;

use wharf::EventLoop;
use wharf_protocols::websocket::{OwnedMessage, WebSocketOptions, WebSocketStream};

use crate::complaints;
use crate::needs;
use crate::program::{PATIENCE, Program};

#[test]
fn a_page_in_a_browser_and_chat_at_a_terminal_share_their_rooms() -> wharf::Result {
    let Some(browser) = Browser::start() else { return Ok(()) };
    let arguments = ["--listen", "127.0.0.1:0", "--lines", "127.0.0.1:0"];
    let server = Program::example("websocket_chat", &arguments);
    let (lines, pages) = (server.address(), server.address());
    wharf::run(async |event_loop| {
        let mut page =
            Page::open(&event_loop, &browser.devtools, &format!("http://{pages}/")).await?;
        page.shows("guest-1 joined lobby").await?;
        let mut terminal = Program::example("chat", &["--connect", &lines]);
        assert!(terminal.line().contains("welcome, guest-2"));
        assert_eq!(terminal.line(), "* guest-2 joined lobby");
        page.shows("guest-2 joined lobby").await?;

        // What others say is text on the page, whatever it looks like.
        terminal.types("hello, <i>browser</i> &amp; all\n");
        page.shows("guest-2 hello, <i>browser</i> &amp; all").await?;
        page.says("hello, terminal").await?;
        assert_eq!(terminal.line(), "<guest-1> hello, terminal");
        page.shows("hello, terminal").await?;

        page.says("/join harbour").await?;
        assert_eq!(terminal.line(), "* guest-1 left lobby (went to harbour)");
        page.shows("guest-1 joined harbour").await?;
        terminal.types("/join harbour\n");
        assert_eq!(terminal.line(), "* guest-2 joined harbour");
        page.shows("guest-2 joined harbour").await?;

        // What cannot be done is said, and no reason to leave.
        page.says("/dance").await?;
        page.shows("there is no command /dance").await?;
        page.says(&"x\\u20ac".repeat(500)).await?;
        page.shows("a line is longer than 1024 bytes").await?;
        page.says("/quit").await?;
        page.shows("good-bye").await?;
        page.shows("the connection has ended (1000: good-bye)").await?;
        assert_eq!(terminal.line(), "* guest-1 left harbour (quit)");
        terminal.types("/quit\n");
        assert_eq!(terminal.end().code, Some(0));
        Ok(())
    })?;
    server.signal(Signal::TERM);
    let ending = server.end();
    assert_eq!((ending.code, &*complaints(&ending.errors)), (Some(0), ""));
    Ok(())
}

/// Chromium, with a profile of its own. Dropping it ends it.
struct Browser {
    devtools: String,
    program: Program,
    profile: PathBuf,
}

impl Browser {
    /// `None` where it is not installed.
    fn start() -> Option<Self> {
        let installed = |name: &&str| Command::new(name).arg("--version").output().is_ok();
        // Not what Debian has on the PATH for the first one: a script that would outlive its kill.
        let names = ["/usr/lib/chromium/chromium-headless-shell", "chromium"];
        let Some(name) = names.into_iter().find(installed) else {
            needs::missing("Chromium (chromium-headless-shell)");
            return None;
        };
        let profile = std::env::temp_dir().join(format!("wharf-chromium-{}", std::process::id()));
        // It says on standard error where its DevTools are. Sandboxes are not for everybody, and not for root.
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$@\" 2>&1", "sh", name, "--headless", "--no-sandbox"]);
        command.args(["--disable-gpu", "--no-first-run", "--remote-debugging-port=0"]);
        command.arg(format!("--user-data-dir={}", profile.display())).arg("about:blank");
        let program = Program::start(&mut command).expect("a process");
        let devtools = loop {
            if let Some((_, url)) = program.line().split_once("DevTools listening on ") {
                break url.to_owned();
            }
        };
        Some(Self { devtools, program, profile })
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its other processes end with it; until then they may still write.
        self.program.signal(Signal::KILL);
        for _ in 0..100_000 {
            if std::fs::remove_dir_all(&self.profile).is_ok() || !self.profile.exists() {
                break;
            }
            std::thread::yield_now();
        }
    }
}

/// A page in the browser.
struct Page {
    socket: WebSocketStream,
    /// How many calls were made.
    calls: u32,
    /// What the browser calls the conversation about this page.
    session: Option<String>,
}

impl Page {
    async fn open(event_loop: &EventLoop, devtools: &str, url: &str) -> wharf::Result<Self> {
        let options = WebSocketOptions::new().max_message_length(16 << 20);
        let socket = WebSocketStream::connect(event_loop, devtools, options).await?;
        let mut page = Self { socket, calls: 0, session: None };
        let target = page.call("Target.createTarget", &format!(r#"{{"url":"{url}"}}"#)).await?;
        let target = text_of(&target, "targetId");
        let parameters = format!(r#"{{"targetId":"{target}","flatten":true}}"#);
        let session = page.call("Target.attachToTarget", &parameters).await?;
        page.session = Some(text_of(&session, "sessionId").to_owned());
        Ok(page)
    }

    /// Waits until the text that the page shows has this in it.
    async fn shows(&mut self, text: &str) -> wharf::Result {
        let script = format!(
            "new Promise((found) => {{ const look = () => {{
                const said = document.getElementById('said');
                if (said?.innerText.includes({text:?})) found('it does'); else setTimeout(look, 10);
             }}; look(); }})"
        );
        // The document before the page is gone with whoever looked at it.
        while !self.evaluate(&script).await?.contains(r#""value":"it does""#) {}
        Ok(())
    }

    /// Types a line, and sends it. It is the inside of a string of JavaScript.
    async fn says(&mut self, line: &str) -> wharf::Result {
        let script = format!(
            "document.getElementById('text').value = \"{line}\";
             document.getElementById('form').requestSubmit(); 'sent'"
        );
        let answer = self.evaluate(&script).await?;
        assert!(answer.contains(r#""value":"sent""#), "{answer}");
        Ok(())
    }

    async fn evaluate(&mut self, script: &str) -> wharf::Result<String> {
        let script = script.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " ");
        let parameters = format!(r#"{{"expression":"{script}","awaitPromise":true}}"#);
        let evaluated = wharf::timeout(PATIENCE, self.call("Runtime.evaluate", &parameters));
        evaluated.await.map_err(|error| format!("{error}: {script}"))?
    }

    /// Calls the browser. Its answer is JSON.
    async fn call(&mut self, method: &str, parameters: &str) -> wharf::Result<String> {
        self.calls += 1;
        let id = self.calls;
        let session = self.session.as_ref();
        let session =
            session.map_or_else(String::new, |session| format!(r#","sessionId":"{session}""#));
        let call = format!(r#"{{"id":{id},"method":"{method}","params":{parameters}{session}}}"#);
        self.socket.send(call.as_str()).await?;
        loop {
            match self.socket.next().await.ok_or("the browser ends the connection")?? {
                OwnedMessage::Text(text) if text.starts_with(&format!("{{\"id\":{id},")) => {
                    return Ok(text);
                }
                // What happens meanwhile.
                _ => (),
            }
        }
    }
}

/// The string of this name in JSON.
fn text_of<'a>(json: &'a str, name: &str) -> &'a str {
    let begin = format!("\"{name}\":\"");
    let (_, rest) = json.split_once(&begin).unwrap_or_else(|| panic!("no {name} in {json}"));
    rest.split('"').next().unwrap_or_default()
}
