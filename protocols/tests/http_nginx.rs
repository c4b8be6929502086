//! nginx between our client and our server, and as what our client asks.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use wharf::{EventLoop, Failure, Result, sleep, spawn};
use wharf_protocols::http::{
    Body, HttpClient, HttpServer, Limits, RequestBody, RequestContent, ResponseBody,
};

/// nginx, with a directory of its own. Dropping it kills it.
struct Nginx {
    child: Child,
    directory: PathBuf,
    address: String,
}

impl Nginx {
    /// Starts one with what `http` says in its configuration, given its directory and its address; `None` where there is
    /// none, which is an error where everything has to be tested.
    fn start(http: impl FnOnce(&Path, &str) -> String) -> Option<Self> {
        let Some(program) = program() else {
            assert!(std::env::var_os("CI").is_none(), "nginx is missing");
            eprintln!("nginx is missing: not tested");
            return None;
        };
        // It has to be told its port: on an address of its own all are free.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let host = format!("127.{}.{}.{}", 128 + number % 64, process >> 8 & 255, process & 255);
        let directory = std::env::temp_dir().join(format!("wharf-nginx-{process}-{number}"));
        fs::create_dir_all(&directory).unwrap();
        let address = format!("{host}:8080");
        let place = |name: &str| directory.join(name).display().to_string();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {};\n", place(what)))
            .concat();
        let configuration = format!(
            "daemon off; master_process off; pid {};\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{}\n}}\n",
            place("pid"),
            http(&directory, &address),
        );
        fs::write(directory.join("nginx.conf"), configuration).unwrap();
        let child = Command::new(program)
            .args(["-p", &place(""), "-c", &place("nginx.conf"), "-e", &place("errors")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Some(Self { child, directory, address })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Waits until it listens.
    async fn is_there(&self, event_loop: &EventLoop) -> Result {
        let deadline = event_loop.time() + Duration::from_secs(30);
        while let Err(error) = event_loop.open_connection(&*self.address).await {
            if event_loop.time() > deadline {
                let errors = fs::read_to_string(self.directory.join("errors"))?;
                return Err(format!("nginx does not listen: {error}; {errors}").into());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<_> = std::env::split_paths(&path).collect();
    // Debian has it there, which is not in everybody's path.
    directories.push("/usr/sbin".into());
    directories.into_iter().map(|directory| directory.join("nginx")).find(|file| file.is_file())
}

/// Runs a test on a loop of its own, within a minute.
fn run(main: impl AsyncFnOnce(EventLoop) -> Result) {
    let result = wharf::run(async |event_loop| {
        event_loop.timeout(Duration::from_secs(60), main(event_loop.clone())).await?
    });
    result.unwrap();
}

async fn content(response: http::Response<ResponseBody>) -> Result<Vec<u8>> {
    Ok(response.into_body().read_to_end(100_000_000).await?)
}

async fn text(response: http::Response<ResponseBody>) -> Result<String> {
    Ok(String::from_utf8(content(response).await?)?)
}

/// What nginx is to pass on.
async fn site(request: http::Request<RequestBody>) -> Result<http::Response<Body>> {
    let (parts, mut body) = request.into_parts();
    let answer = http::Response::builder();
    let answer = match parts.uri.path() {
        "/chunked" => answer.body(Body::from_writer(async |writer| {
            for number in 0..100 {
                writer.write(format!("{number}\n").repeat(1000).as_bytes()).await?;
            }
            Ok(())
        }))?,
        "/upload" => {
            let mut length = 0;
            while let Some(piece) = body.next().await {
                length += piece?.len();
            }
            let how =
                if parts.headers.contains_key("transfer-encoding") { "chunks" } else { "one" };
            answer.body(format!("{:?} {how} {length}", parts.version).into())?
        }
        // Not a word of it is read.
        "/refused" => answer.status(403).body("no".into())?,
        "/nothing" => answer.status(204).body(Body::empty())?,
        "/same" => answer.status(304).header("etag", "\"a\"").body(Body::empty())?,
        "/upgrade" => {
            let echo = Body::upgrade(|mut stream| {
                let echo = async move {
                    let (reader, writer) = stream.halves();
                    loop {
                        let chunk = reader.read_chunk().await?;
                        if chunk.is_empty() {
                            return Ok::<_, Failure>(());
                        }
                        writer.write_all(chunk).await?;
                    }
                };
                spawn(echo).detach();
            });
            let answer = answer.status(101).header("upgrade", "echo");
            answer.header("connection", "upgrade").body(echo)?
        }
        _ => answer.body("hello".into())?,
    };
    Ok(answer)
}

/// Keep-alive on both sides, chunks, uploads that are held and that are passed on, HEAD, answers without content, HTTP/1.0,
/// early answers and an upgrade.
#[test]
fn nginx_passes_requests_on_to_our_server() {
    run(async |event_loop| {
        let connections = Rc::new(Cell::new(0));
        let seen = Rc::clone(&connections);
        let limits = Limits { max_content: 50_000_000, ..Limits::default() };
        let mut factory = HttpServer::new().limits(limits).serve(site);
        let factory = move || {
            seen.set(seen.get() + 1);
            factory()
        };
        let server = event_loop.create_server(factory, "127.0.0.1:0").await?;
        let upstream = server.local_address()?;
        let nginx = Nginx::start(|_, address| {
            format!(
                r#"
client_max_body_size 0;
upstream site {{ server {upstream}; keepalive 4; }}
proxy_http_version 1.1;
proxy_set_header Connection "";
server {{
    listen {address};
    location / {{ proxy_pass http://site; }}
    location /at-once/ {{ proxy_pass http://site/; proxy_request_buffering off; proxy_buffering off; }}
    location /old/ {{ proxy_pass http://site/; proxy_http_version 1.0; }}
    location /upgrade {{
        proxy_pass http://site;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade;
    }}
}}"#
            )
        });
        let Some(nginx) = nginx else { return Ok(()) };
        nginx.is_there(&event_loop).await?;
        let client = HttpClient::new(&event_loop);
        let get = async |path: &str| client.get(&nginx.url(path)).await;

        for _ in 0..10 {
            assert_eq!(text(get("/").await?).await?, "hello");
        }
        let head = http::Request::head(nginx.url("/")).body(())?;
        let head = client.send(head).await?;
        assert_eq!(head.headers()["content-length"], "5");
        assert_eq!(content(head).await?, b"");
        assert_eq!(get("/nothing").await?.status(), 204);
        let same = get("/same").await?;
        assert_eq!((same.status().as_u16(), &same.headers()["etag"]), (304, &"\"a\"".parse()?));
        content(same).await?;
        let expected: String = (0..100).map(|number| format!("{number}\n").repeat(1000)).collect();
        assert_eq!(text(get("/chunked").await?).await?, expected);
        assert_eq!(text(get("/at-once/chunked").await?).await?, expected);

        let upload = async |path: &str, expect: bool, content: RequestContent| {
            let mut request = http::Request::post(nginx.url(path));
            if expect {
                request = request.header("expect", "100-continue");
            }
            text(client.send(request.body(content)?).await?).await
        };
        let large = || vec![b'x'; 5_000_000];
        let pieces = || {
            RequestContent::from_writer(async |writer| {
                for _ in 0..50 {
                    writer.write(&[b'x'; 100_000]).await?;
                }
                Ok(())
            })
        };
        assert_eq!(upload("/upload", false, large().into()).await?, "HTTP/1.1 one 5000000");
        assert_eq!(upload("/upload", true, pieces()).await?, "HTTP/1.1 one 5000000");
        assert_eq!(upload("/at-once/upload", true, large().into()).await?, "HTTP/1.1 one 5000000");
        assert_eq!(upload("/at-once/upload", false, pieces()).await?, "HTTP/1.1 chunks 5000000");
        // All of it went by one connection, one request after the other.
        assert_eq!(connections.get(), 1);

        assert_eq!(upload("/refused", false, large().into()).await?, "no");
        assert_eq!(upload("/at-once/refused", true, "x".into()).await?, "no");
        assert_eq!(upload("/old/upload", false, pieces()).await?, "HTTP/1.0 one 5000000");
        assert_eq!(text(get("/old/chunked").await?).await?, expected);
        assert_eq!(text(get("/").await?).await?, "hello");

        let request = http::Request::get(nginx.url("/upgrade"));
        let request = request.header("connection", "upgrade").header("upgrade", "echo").body(())?;
        let response = client.send(request).await?;
        assert_eq!(response.status(), 101);
        let mut stream = response.into_body().into_stream().expect("a stream");
        for message in [&b"\x00raw"[..], b"GET / HTTP/1.1\r\n\r\n"] {
            stream.writer().write_all(message).await?;
            assert_eq!(stream.reader().read_exactly(message.len()).await?, message);
        }
        stream.writer().close();
        Ok(())
    });
}

/// Parts, chunks, compression that nobody undoes, redirects, refusals, and connections that nginx ends.
#[test]
fn our_client_asks_nginx() {
    let nginx = Nginx::start(|directory, address| {
        let root = directory.join("www");
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(root.join("a.txt"), "0123456789").unwrap();
        fs::write(root.join("sub/index.html"), "<p>").unwrap();
        fs::write(root.join("large"), vec![b'x'; 5_000_000]).unwrap();
        let root = root.display();
        format!(
            r#"
types {{ text/plain txt; }}
default_type application/octet-stream;
server {{
    listen {address};
    root {root};
    keepalive_requests 3;
    client_max_body_size 1k;
    add_header Connection-Number $connection always;
    gzip on;
    gzip_types text/plain;
    gzip_min_length 1;
    location /moved {{ return 302 http://{address}/a.txt; }}
    location /nothing {{ return 204; }}
    location /last {{ keepalive_timeout 0; return 200 last; }}
}}"#
        )
    });
    let Some(nginx) = nginx else { return };
    run(async |event_loop| {
        nginx.is_there(&event_loop).await?;
        let client = HttpClient::new(&event_loop).max_redirects(2);
        let get = async |path: &str, field: &str, value: &str| {
            let request = http::Request::get(nginx.url(path)).header(field, value).body(())?;
            client.send(request).await
        };
        let number = |response: &http::Response<ResponseBody>| {
            response.headers()["connection-number"].clone()
        };

        // Three requests by each connection, then it ends.
        let mut numbers = Vec::new();
        for _ in 0..7 {
            let response = client.get(&nginx.url("/a.txt")).await?;
            assert!(!response.headers().contains_key("content-encoding"));
            numbers.push(number(&response));
            assert_eq!(content(response).await?, b"0123456789");
        }
        assert!(numbers[0] == numbers[2] && numbers[3] == numbers[5], "{numbers:?}");
        assert!(numbers[2] != numbers[3] && numbers[5] != numbers[6], "{numbers:?}");
        let last = client.get(&nginx.url("/last")).await?;
        assert_eq!(content(last).await?, b"last");

        let part = get("/a.txt", "range", "bytes=2-4").await?;
        assert_eq!(part.status(), 206);
        assert_eq!(part.headers()["content-range"], "bytes 2-4/10");
        assert_eq!(content(part).await?, b"234");
        let parts = get("/a.txt", "range", "bytes=0-1,5-6").await?;
        assert_eq!(parts.status(), 206);
        let parts = text(parts).await?;
        assert!(parts.contains("\r\n\r\n01\r\n") && parts.contains("\r\n\r\n56\r\n"), "{parts}");
        assert_eq!(get("/a.txt", "range", "bytes=10-").await?.status(), 416);

        let packed = get("/a.txt", "accept-encoding", "gzip").await?;
        assert_eq!(packed.headers()["content-encoding"], "gzip");
        assert_eq!(packed.headers()["transfer-encoding"], "chunked");
        assert!(content(packed).await?.starts_with(b"\x1f\x8b"));

        assert_eq!(content(client.get(&nginx.url("/moved")).await?).await?, b"0123456789");
        assert_eq!(content(client.get(&nginx.url("/sub/")).await?).await?, b"<p>");
        assert_eq!(client.get(&nginx.url("/nothing")).await?.status(), 204);
        assert_eq!(client.get(&nginx.url("/missing")).await?.status(), 404);
        assert_eq!(content(client.get(&nginx.url("/large")).await?).await?.len(), 5_000_000);
        let head = client.send(http::Request::head(nginx.url("/large")).body(())?).await?;
        assert_eq!(head.headers()["content-length"], "5000000");
        assert_eq!(content(head).await?, b"");

        // Refused by its head, before the content is there.
        for field in ["expect", "x-expect"] {
            let request = http::Request::post(nginx.url("/a.txt"));
            let request = request.header(field, "100-continue").body(vec![b'x'; 3_000_000])?;
            assert_eq!(client.send(request).await?.status(), 413, "{field}");
        }
        assert_eq!(content(client.get(&nginx.url("/a.txt")).await?).await?, b"0123456789");
        Ok(())
    });
}
