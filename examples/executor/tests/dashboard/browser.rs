//! Chromium without a window, told what to do over its DevTools.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use wharf::{EventLoop, Result};
use wharf_protocols::websocket::{OwnedMessage, WebSocketOptions, WebSocketStream};

/// How long something may take to be seen: the browser is slow where others are at work.
const PATIENCE: Duration = Duration::from_secs(30);

/// A browser with a profile of its own. Dropping it ends it.
pub(crate) struct Browser {
    process: Child,
    devtools: String,
    profile: Option<TempDir>,
}

impl Browser {
    /// `None` where it is not installed.
    pub(crate) fn start() -> Option<Self> {
        let installed = |name: &&str| Command::new(name).arg("--version").output().is_ok();
        // Not what Debian has on the PATH for the first one: a script that would outlive its kill.
        let names = ["/usr/lib/chromium/chromium-headless-shell", "chromium"];
        let Some(name) = names.into_iter().find(installed) else {
            let text = "Chromium (chromium-headless-shell) is not installed";
            assert!(std::env::var_os("CI").is_none(), "{text}");
            eprintln!("{text}: nothing is tested");
            return None;
        };
        let profile = TempDir::new().expect("a directory");
        // Sandboxes are not for everybody, and not for root.
        let mut command = Command::new(name);
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]);
        command.args(["--remote-debugging-port=0", "--force-color-profile=srgb"]);
        command.arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("a process");
        let mut lines = BufReader::new(process.stderr.take().expect("a pipe")).lines();
        let devtools = loop {
            let line = lines.next().expect("a line").expect("a text");
            if let Some((_, url)) = line.split_once("DevTools listening on ") {
                break url.to_owned();
            }
        };
        // What else it says is read, so that it can go on.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { process, devtools, profile: Some(profile) })
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        // Its other processes end with it; until then they may still write.
        let profile = self.profile.take().map(TempDir::keep);
        for _ in 0..100_000 {
            let Some(path) = &profile else { break };
            if std::fs::remove_dir_all(path).is_ok() || !path.exists() {
                break;
            }
            std::thread::yield_now();
        }
    }
}

/// A page in the browser.
pub(crate) struct Page {
    socket: WebSocketStream,
    /// How many calls were made.
    calls: u64,
    /// What the browser calls the conversation about this page.
    session: Option<String>,
    /// Errors and warnings that the browser has told of.
    pub(crate) complaints: Vec<String>,
}

impl Page {
    pub(crate) async fn open(event_loop: &EventLoop, browser: &Browser, url: &str) -> Result<Self> {
        let options = WebSocketOptions::new().max_message_length(64 << 20);
        let socket = WebSocketStream::connect(event_loop, &browser.devtools, options).await?;
        let mut page = Self { socket, calls: 0, session: None, complaints: Vec::new() };
        let target = page.call("Target.createTarget", json!({"url": "about:blank"})).await?;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = page.call("Target.attachToTarget", attach).await?;
        page.session = session["sessionId"].as_str().map(String::from);
        for domain in ["Log", "Runtime", "Page"] {
            page.call(&format!("{domain}.enable"), json!({})).await?;
        }
        page.size(1280, 900).await?;
        page.call("Page.navigate", json!({"url": url})).await?;
        Ok(page)
    }

    /// The size of the window, in pixels.
    pub(crate) async fn size(&mut self, width: u32, height: u32) -> Result {
        let is_mobile = width < 600;
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_mobile});
        self.call("Emulation.setDeviceMetricsOverride", metrics).await.map(drop)
    }

    /// `light` or `dark`, as the system would have it.
    pub(crate) async fn scheme(&mut self, scheme: &str) -> Result {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", features).await.map(drop)
    }

    /// Waits until an expression of JavaScript holds.
    pub(crate) async fn until(&mut self, expression: &str) -> Result {
        let script = format!(
            "new Promise((found) => {{ const look = () => {{
                let holds = false;
                try {{ holds = {expression}; }} catch {{ }}
                if (holds) found('it does'); else setTimeout(look, 20);
             }}; look(); }})"
        );
        let found = async {
            loop {
                match self.evaluate(&script).await {
                    Ok(value) if value == "it does" => return Ok(()),
                    // The document before the page is gone with whoever looked at it.
                    Err(error) if !error.to_string().contains("navigated") => return Err(error),
                    _ => {}
                }
            }
        };
        wharf::timeout(PATIENCE, found).await.map_err(|error| format!("{error}: {expression}"))?
    }

    /// What an expression of JavaScript is.
    pub(crate) async fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let parameters =
            json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let mut evaluated = self.call("Runtime.evaluate", parameters).await?;
        Ok(evaluated["result"]["value"].take())
    }

    /// Presses keys, one after the other: a letter, or a name such as `Enter`.
    pub(crate) async fn press(&mut self, keys: &[&str]) -> Result {
        for key in keys {
            let code = match *key {
                "Enter" => 13,
                "Escape" => 27,
                "Tab" => 9,
                "ArrowDown" => 40,
                "ArrowUp" => 38,
                "Home" => 36,
                "End" => 35,
                key => key.to_ascii_uppercase().bytes().next().map_or(0, u32::from),
            };
            let text = match *key {
                "Enter" => "\r",
                key if key.len() == 1 => key,
                _ => "",
            };
            let mut event =
                json!({"type": "keyDown", "key": key, "windowsVirtualKeyCode": code, "text": text});
            self.call("Input.dispatchKeyEvent", event.clone()).await?;
            event["type"] = json!("keyUp");
            self.call("Input.dispatchKeyEvent", event).await?;
        }
        Ok(())
    }

    /// A picture of what is seen, as PNG.
    pub(crate) async fn picture(&mut self) -> Result<Vec<u8>> {
        let taken = self.call("Page.captureScreenshot", json!({"format": "png"})).await?;
        Ok(STANDARD.decode(taken["data"].as_str().ok_or("no picture")?)?)
    }

    /// Calls the browser.
    async fn call(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.calls += 1;
        let mut call = json!({"id": self.calls, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            call["sessionId"] = json!(session);
        }
        self.socket.send(&*call.to_string()).await?;
        let answered = async {
            loop {
                let mut told = self.hear().await?;
                if told["id"] != self.calls {
                    self.complaints.extend(complaint(&told));
                } else if let Some(error) = told.get("error") {
                    return Err(format!("{method}: {error}").into());
                } else {
                    return Ok(told["result"].take());
                }
            }
        };
        wharf::timeout(2 * PATIENCE, answered).await?
    }

    async fn hear(&mut self) -> Result<Value> {
        match self.socket.next().await.ok_or("the browser ends the connection")?? {
            OwnedMessage::Text(text) => Ok(serde_json::from_str(&text)?),
            OwnedMessage::Binary(_) => Err("not a text".into()),
        }
    }
}

/// What a page does wrong, if this is that.
fn complaint(told: &Value) -> Option<String> {
    let parameters = &told["params"];
    match told["method"].as_str()? {
        "Runtime.exceptionThrown" => Some(parameters["exceptionDetails"].to_string()),
        "Log.entryAdded" if parameters["entry"]["level"] == "error" => {
            Some(parameters["entry"].to_string())
        }
        _ => None,
    }
}
