//! A client of HTTP/1.1, with connections that are used again, redirects, a proxy and TLS.
//!
//! ```text
//! cargo run --release --example http_client -- --repeat 3 http://127.0.0.1:8000/json
//! ```
//!
//! `http_get` does a part of that by hand, with a reader and a writer.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use lexopt::{Arg, ValueExt};
use wharf::{Result, TlsClient};
use wharf_protocols::http::HttpClient;

use wharf_examples::command_line::{bytes, count, missing, run, seconds};
use wharf_examples::text::shown;

const USAGE: &str = "
Sends a request, and shows the answer: its status, its fields and its content.

usage: http_client [OPTIONS] URL

  --method METHOD    GET unless given; POST with --data
  --data TEXT        what to send
  --repeat COUNT     how many times, one after the other, by the same connection if the server lets it
  --redirects COUNT  how many redirects to follow; none unless given
  --proxy ADDRESS    a proxy that connects when it is asked to (CONNECT)
  --timeout SECONDS  how long a request may take; 30 unless given
  --limit BYTES      how long the content may be: 500, 64k, 10Mi; 10Mi unless given
  --ca FILE          trust the certificates in FILE (PEM), and not the system's

exit code: 0 for a status below 400, 1 for others and for every failure
";

struct Options {
    method: Option<String>,
    data: Option<String>,
    repeat: usize,
    redirects: usize,
    proxy: Option<String>,
    timeout: Duration,
    limit: usize,
    tls: TlsClient,
    url: String,
}

fn main() -> ExitCode {
    run(USAGE, |mut arguments| {
        let (mut method, mut data, mut proxy, mut url) = (None, None, None, None);
        let (mut repeat, mut redirects) = (1, 0);
        let (mut limit, mut timeout) = (10 << 20, Duration::from_secs(30));
        let mut trust = TlsClient::builder().alpn(["http/1.1"]);
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("method") => method = Some(arguments.value()?.string()?),
                Arg::Long("data") => data = Some(arguments.value()?.string()?),
                Arg::Long("repeat") => repeat = arguments.value()?.parse_with(count)?,
                Arg::Long("redirects") => redirects = arguments.value()?.parse()?,
                Arg::Long("proxy") => proxy = Some(arguments.value()?.string()?),
                Arg::Long("timeout") => timeout = arguments.value()?.parse_with(seconds)?,
                Arg::Long("limit") => limit = arguments.value()?.parse_with(bytes)?.get(),
                Arg::Long("ca") => trust = trust.ca_file(arguments.value()?),
                Arg::Value(value) if url.is_none() => url = Some(value.string()?),
                other => return Err(other.unexpected().into()),
            }
        }
        let url = url.ok_or_else(|| missing("a URL"))?;
        let (limit, tls) = (usize::try_from(limit)?, trust.build()?);
        ask(Options { method, data, repeat, redirects, proxy, timeout, limit, tls, url })
    })
}

fn ask(options: Options) -> Result<ExitCode> {
    wharf::run(async |event_loop| {
        let mut client = HttpClient::new(&event_loop)
            .max_redirects(options.redirects)
            .total_timeout(options.timeout)
            .tls(options.tls.clone());
        if let Some(proxy) = &options.proxy {
            client = client.proxy(proxy.clone());
        }
        let mut code = ExitCode::SUCCESS;
        for _ in 0..options.repeat {
            let usual = if options.data.is_some() { "POST" } else { "GET" };
            let method = options.method.as_deref().unwrap_or(usual);
            let content = options.data.clone().unwrap_or_default();
            let request =
                http::Request::builder().method(method).uri(&options.url).body(content)?;
            let response = client.send(request).await?;
            if response.status().as_u16() >= 400 {
                code = ExitCode::FAILURE;
            }
            show(response, options.limit).await?;
        }
        Ok(code)
    })
}

async fn show(
    response: http::Response<wharf_protocols::http::ResponseBody>,
    limit: usize,
) -> Result {
    let (head, mut body) = response.into_parts();
    let content = body.read_to_end(limit).await?;
    let mut output = io::stdout().lock();
    writeln!(output, "{:?} {}", head.version, head.status)?;
    for (name, value) in &head.headers {
        writeln!(output, "{name}: {}", shown(value.as_bytes()))?;
    }
    writeln!(output)?;
    output.write_all(&content)?;
    output.flush()?;
    Ok(())
}
