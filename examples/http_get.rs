//! Fetches a page over HTTP or HTTPS, with a reader and a writer in place of a protocol.
//!
//! ```text
//! cargo run --release --example http_get -- https://example.org/
//! ```
//!
//! What it says to the server, and how it reads the answer, is in `support/http.rs`.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use lexopt::{Arg, ValueExt};
use wharf::{Result, TlsClient, move_on_after};

use wharf_examples::command_line::{bytes, missing, run, seconds};
use wharf_examples::http::{self, Response, Url};
use wharf_examples::text::shown;

const USAGE: &str = "
Fetches a page, and shows the server's answer: its status, its headers and the page.

usage: http_get [--timeout SECONDS] [--limit BYTES] [--ca FILE] URL

  --timeout SECONDS  how long all of it may take; 30 unless given
  --limit BYTES      how long the page may be: 500, 64k, 10Mi; 10Mi unless given
  --ca FILE          trust the certificates in FILE (PEM), and not the system's

exit code: 0 for a status below 400, 1 for others and for every failure
";

fn main() -> ExitCode {
    run(USAGE, |mut arguments| {
        let (mut limit, mut after) = (10 << 20, Duration::from_secs(30));
        let (mut trust, mut url) = (TlsClient::builder().alpn(["http/1.1"]), None::<Url>);
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("timeout") => after = arguments.value()?.parse_with(seconds)?,
                Arg::Long("limit") => limit = arguments.value()?.parse_with(bytes)?.get(),
                Arg::Long("ca") => trust = trust.ca_file(arguments.value()?),
                Arg::Value(value) if url.is_none() => url = Some(value.parse()?),
                other => return Err(other.unexpected().into()),
            }
        }
        let url = url.ok_or_else(|| missing("a URL"))?;
        let tls = url.is_secure().then(|| trust.build()).transpose()?;
        let limit = usize::try_from(limit)?;
        let response = wharf::run(async |event_loop| {
            let page = http::get(&event_loop, &url, tls.as_ref(), limit);
            // Out of time, what is under way is dropped, and its connection closed.
            let page = move_on_after(after, page).await;
            page.ok_or_else(|| format!("no page within {after:?}"))?
        })?;
        show(&response)
    })
}

fn show(response: &Response) -> Result<ExitCode> {
    let mut output = io::stdout().lock();
    for line in response.head.trim_end().lines() {
        writeln!(output, "{}", shown(line.as_bytes()))?;
    }
    writeln!(output)?;
    output.write_all(&response.body)?;
    output.flush()?;
    Ok(if response.status < 400 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
