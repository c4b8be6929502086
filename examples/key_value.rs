//! A key-value server: requests and answers are lines.
//!
//! ```text
//! cargo run --release --example key_value -- --listen 127.0.0.1:7000
//! cargo run --release --example client -- --connect 127.0.0.1:7000 'SET tea green' 'GET tea'
//! ```
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::rc::Rc;

use lexopt::{Arg, ValueExt};
use wharf::{Error, Result, Transport};
use wharf_examples::command_line::{listen_address, missing, run, set_once};
use wharf_examples::serving::serve_until_signal;
use wharf_protocols::line::{LineProtocol, Lines, WriteLine};

const USAGE: &str = "
Keeps values under keys, until SIGINT or SIGTERM.

usage: key_value --listen ADDRESS    such as 127.0.0.1:7000, or :7000 for all interfaces

Its requests are lines: SET KEY VALUE, GET KEY, DEL KEY. A key has no spaces, a value may have some.
";

/// Anybody can set keys, and a line may have 64 KiB.
const MOST_KEYS: usize = 1000;

/// One value of this type is made for each connection. All share the store: a loop and all that runs
/// on it stay on one thread, so that no lock is needed.
struct Session(Rc<RefCell<BTreeMap<String, String>>>);

impl LineProtocol for Session {
    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> Result {
        let line = str::from_utf8(line).map_err(Error::protocol_violation)?;
        let words: Vec<_> = line.splitn(3, ' ').collect();
        let mut store = self.0.borrow_mut();
        let answer = match words[..] {
            ["SET", key, _] if store.len() == MOST_KEYS && !store.contains_key(key) => {
                "ERROR there are as many keys as there can be".to_owned()
            }
            // (An empty key would have an answer that is longer than a line can be.)
            ["SET", key, value] if !key.is_empty() => {
                store.insert(key.to_owned(), value.to_owned());
                "OK".to_owned()
            }
            ["GET", key] => {
                store.get(key).map_or("NONE".to_owned(), |value| format!("VALUE {value}"))
            }
            ["DEL", key] => store.remove(key).map_or("NONE", |_| "OK").to_owned(),
            _ => "ERROR requests are SET KEY VALUE, GET KEY and DEL KEY".to_owned(),
        };
        transport.write_line(answer)?;
        Ok(())
    }
}

fn main() -> ExitCode {
    run(USAGE, |mut arguments| {
        let mut listen = None;
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("listen") => {
                    let address = arguments.value()?.parse_with(listen_address)?;
                    set_once(&mut listen, address)?;
                }
                other => return Err(other.unexpected().into()),
            }
        }
        let address = listen.ok_or_else(|| missing("--listen ADDRESS"))?;
        wharf::run(async |event_loop| {
            let store = Rc::default();
            let session = move || Lines::new(Session(Rc::clone(&store)));
            serve_until_signal(event_loop.create_server(session, address).await?).await
        })
    })
}
