//! A client of HTTP/1 and HTTP/2, by TCP or TLS: hyper's, on a wharf loop.
//!
//! ```text
//! cargo run --release --example hyper_client -- https://example.org/
//! ```
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::header::HOST;
use hyper::{Method, Request, Response, Uri};
use lexopt::{Arg, ValueExt as _};
use wharf::hyper::{HyperExecutor, HyperStream, failure};
use wharf::{EventLoop, Result, TlsClient, timeout};

use wharf_examples::command_line::{missing, run, seconds};

const USAGE: &str = "
Fetches a page, and writes it to standard output.

usage: hyper_client [--http2] [--post TEXT] [--timeout SECONDS] [TRUST] URL

  --http2            HTTP/2 without TLS; under TLS the server chooses
  --post TEXT        sends this instead of asking for the page
  --timeout SECONDS  how long all of it may take; 30 unless given

TRUST, for https, is what the system trusts, or
  --fingerprint HEX  the certificate with this SHA-256 fingerprint
  --ca FILE          the authorities in this file, in PEM

exit code: 0 if the status is below 400, else 1
";

fn main() -> ExitCode {
    run(USAGE, |mut arguments| {
        let (mut url, mut is_http2, mut post) = (None, false, None);
        let (mut fingerprint, mut ca, mut limit) = (None, None, Duration::from_secs(30));
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("http2") => is_http2 = true,
                Arg::Long("post") => post = Some(arguments.value()?.string()?),
                Arg::Long("timeout") => limit = arguments.value()?.parse_with(seconds)?,
                Arg::Long("fingerprint") => fingerprint = Some(arguments.value()?.string()?),
                Arg::Long("ca") => ca = Some(PathBuf::from(arguments.value()?)),
                Arg::Value(value) if url.is_none() => {
                    url = Some(value.parse_with(str::parse::<Uri>)?);
                }
                other => return Err(other.unexpected().into()),
            }
        }
        let url = url.ok_or_else(|| missing("a URL"))?;
        let client = Client { is_http2, tls: trust(fingerprint, ca)? };
        wharf::run(async |event_loop| timeout(limit, client.fetch(&event_loop, &url, post)).await?)
    })
}

fn trust(fingerprint: Option<String>, ca: Option<PathBuf>) -> Result<TlsClient> {
    let mut tls = TlsClient::builder().alpn(["h2", "http/1.1"]);
    if let Some(fingerprint) = fingerprint {
        tls = tls.pin_certificate(fingerprint.parse()?);
    }
    if let Some(ca) = ca {
        tls = tls.ca_file(ca);
    }
    Ok(tls.build()?)
}

struct Client {
    is_http2: bool,
    tls: TlsClient,
}

impl Client {
    async fn fetch(
        &self,
        event_loop: &EventLoop,
        url: &Uri,
        post: Option<String>,
    ) -> Result<ExitCode> {
        let (stream, is_http2) = self.connect(event_loop, url).await?;
        let method = if post.is_some() { Method::POST } else { Method::GET };
        let request =
            Request::builder().method(method).body(Full::from(post.unwrap_or_default()))?;
        let response = send(stream, url, request, is_http2).await?;
        let status = response.status();
        let _ = writeln!(io::stderr(), "{:?} {status}", response.version());
        write_out(event_loop, response.into_body()).await?;
        Ok(if status.as_u16() < 400 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// A connection to the server of a URL, and whether it talks HTTP/2.
    async fn connect(&self, event_loop: &EventLoop, url: &Uri) -> Result<(HyperStream, bool)> {
        let host = url.host().ok_or("the URL has no host")?;
        let (port, is_tls) = match url.scheme_str() {
            Some("http") => (80, false),
            Some("https") => (443, true),
            _ => return Err("the URL is neither http nor https".into()),
        };
        let address = format!("{host}:{}", url.port_u16().unwrap_or(port));
        let mut connection = event_loop.open_connection(address);
        if is_tls {
            connection = connection.tls(&self.tls);
        }
        let (reader, writer) = connection.await?;
        let info = writer.info();
        let is_http2 = match info.tls() {
            Some(tls) => tls.alpn_protocol() == Some(b"h2"),
            None => self.is_http2,
        };
        Ok((HyperStream::join(reader, writer), is_http2))
    }
}

/// Sends a request on a connection of its own. What drives the connection is a task of the loop.
async fn send(
    stream: HyperStream,
    url: &Uri,
    mut request: Request<Full<Bytes>>,
    is_http2: bool,
) -> Result<Response<Incoming>> {
    if is_http2 {
        *request.uri_mut() = url.clone();
        let builder = http2::Builder::new(HyperExecutor);
        let (mut client, connection) = builder.handshake(stream).await?;
        wharf::spawn(async { connection.await.map_err(failure) }).detach();
        return Ok(client.send_request(request).await?);
    }
    // HTTP/1 has the host in a header, and only the path in its first line.
    let host = url.authority().ok_or("the URL has no host")?.as_str();
    request.headers_mut().insert(HOST, host.parse()?);
    *request.uri_mut() = url.path_and_query().map_or("/", |path| path.as_str()).parse()?;
    let (mut client, connection) = http1::handshake(stream).await?;
    wharf::spawn(async { connection.await.map_err(failure) }).detach();
    Ok(client.send_request(request).await?)
}

/// Writes the body as it comes, and no faster than it is taken.
async fn write_out(event_loop: &EventLoop, mut body: Incoming) -> Result {
    let output = event_loop.open_stdout().await?;
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            output.write_all(&data).await?;
        }
    }
    output.flush().await?;
    Ok(())
}
