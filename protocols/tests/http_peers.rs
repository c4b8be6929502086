//! HTTP/1.1 among aiohttp, as client and as server, and under the load of wrk.
#![forbid(unsafe_code)]

use std::fs;
use std::process::Command;
use std::time::Duration;

use wharf::{EventLoop, Failure, Result};
use wharf_protocols::http::{
    Body, HttpClient, HttpServer, RequestBody, RequestContent, ResponseBody, ServerSentEvent,
};

/// A Python that has aiohttp: the one that is found first, or the system's.
fn python() -> Option<&'static str> {
    let has = |python: &&str| {
        let import = Command::new(python).args(["-c", "import aiohttp"]).output();
        import.is_ok_and(|output| output.status.success())
    };
    let python = ["python3", "/usr/bin/python3"].into_iter().find(has);
    python.or_else(|| missing("python3 with aiohttp (python3-aiohttp)"))
}

fn missing<T>(what: &str) -> Option<T> {
    assert!(std::env::var_os("CI").is_none(), "this test needs {what}");
    eprintln!("{what} is missing: not tested");
    None
}

/// Runs a test on a loop of its own, within a minute.
fn run(main: impl AsyncFnOnce(EventLoop) -> Result) {
    let result = wharf::run(async |event_loop| {
        event_loop.timeout(Duration::from_secs(60), main(event_loop.clone())).await?
    });
    result.unwrap();
}

/// What a program says, which has to end well and without complaints.
async fn said(event_loop: &EventLoop, program: &str, arguments: &[&str]) -> Result<String> {
    let mut child = event_loop.create_subprocess_exec(program).args(arguments).await?;
    let output = child.communicate(b"", 1_000_000).await?;
    let errors = String::from_utf8(output.stderr)?;
    assert!(output.status.success() && errors.is_empty(), "{program}: {errors}");
    Ok(String::from_utf8(output.stdout)?)
}

async fn site(request: http::Request<RequestBody>) -> Result<http::Response<Body>> {
    let (parts, mut body) = request.into_parts();
    let body = match parts.uri.path() {
        "/echo" => Body::from_writer(async move |writer| {
            while let Some(piece) = body.next().await {
                writer.write(&piece?).await?;
            }
            Ok(())
        }),
        "/length" => Body::from(body.read_to_end(100_000_000).await?.len().to_string()),
        "/events" => Body::from_writer(async |writer| {
            for number in 0..3 {
                writer.send_event(&ServerSentEvent::new(&number.to_string())).await?;
            }
            Ok(())
        }),
        _ => Body::from("Hello, World!"),
    };
    Ok(http::Response::new(body))
}

async fn serve(event_loop: &EventLoop) -> Result<String> {
    let server = event_loop.create_server(HttpServer::new().serve(site), "127.0.0.1:0").await?;
    Ok(format!("http://{}", server.local_address()?))
}

/// Keep-alive, content in chunks both ways at once, HEAD, Expect, requests that are given up, and many at the same time.
const CLIENT: &str = r#"
import aiohttp, asyncio, sys

async def pieces():
    for _ in range(100):
        yield b"x" * 10000

async def main(url):
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=40)) as session:
        for _ in range(3):
            async with session.get(url + "/") as answer:
                assert (answer.status, await answer.text()) == (200, "Hello, World!")
                assert answer.headers["Date"].endswith(" GMT")
        async with session.post(url + "/echo", data=pieces()) as answer:
            assert await answer.read() == b"x" * 1000000
        for expect in False, True:
            async with session.put(url + "/length", data=b"y" * 1500000, expect100=expect) as answer:
                assert await answer.text() == "1500000"
        async with session.head(url + "/") as answer:
            assert (answer.headers["Content-Length"], await answer.read()) == ("13", b"")
        async with session.get(url + "/events") as answer:
            assert await answer.text() == "data: 0\n\ndata: 1\n\ndata: 2\n\n"
        try:
            async with session.post(url + "/echo", data=pieces()) as answer:
                await answer.content.readexactly(10)
                answer.close()
        except aiohttp.ClientError:
            pass
        async def one(number):
            async with session.post(url + "/echo", data=str(number)) as answer:
                assert await answer.text() == str(number)
        await asyncio.gather(*map(one, range(200)))
        async with session.post(url + "/length", data=b"z" * 3000000) as answer:
            assert answer.status == 413, answer.status
    print("well")

asyncio.run(main(sys.argv[1]))
"#;

#[test]
fn aiohttp_is_served() {
    let Some(python) = python() else { return };
    run(async |event_loop| {
        let url = serve(&event_loop).await?;
        assert_eq!(said(&event_loop, python, &["-c", CLIENT, &url]).await?, "well\n");
        Ok(())
    });
}

/// Content in chunks, compressed if asked for, events, redirects, refusals, and connections that end.
const SERVER: &str = r#"
import asyncio
from aiohttp import web

async def chunked(request):
    answer = web.StreamResponse()
    answer.enable_chunked_encoding()
    await answer.prepare(request)
    for number in range(1000):
        await answer.write(b"%d\n" % number)
    return answer

async def packed(request):
    answer = web.Response(text="x" * 10000)
    answer.enable_compression()
    return answer

async def events(request):
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    await answer.write(b": hello\r\n\r\nid: 1\r\ndata: one\r\ndata: more\r\n\r\nevent: a\r\nretry: 5\r\nda")
    await answer.write(b"ta: two\r\n\r\ndata: cut off")
    return answer

async def echo(request):
    return web.Response(body=await request.read())

async def moved(request):
    raise web.HTTPFound("/port")

async def port(request):
    return web.Response(text=str(request.transport.get_extra_info("peername")[1]))

async def last(request):
    answer = web.Response(text="last")
    answer.force_close()
    return answer

async def main():
    site = web.Application(client_max_size=1000000)
    for handler in chunked, packed, events, echo, moved, port, last:
        site.router.add_route("*", "/" + handler.__name__, handler)
    runner = web.AppRunner(site)
    await runner.setup()
    listener = web.TCPSite(runner, "127.0.0.1", 0)
    await listener.start()
    print(listener._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"#;

#[test]
fn our_client_asks_aiohttp() {
    let Some(python) = python() else { return };
    run(async |event_loop| {
        let mut server = event_loop.create_subprocess_exec(python).args(["-c", SERVER]).await?;
        let mut output = server.stdout.take().expect("its output");
        let port = String::from_utf8(output.read_until(b"\n").await?.to_vec())?;
        let client = HttpClient::new(&event_loop).max_redirects(1);
        let url = |path: &str| format!("http://127.0.0.1:{}{path}", port.trim());
        let text = async |response: http::Response<ResponseBody>| {
            let content = response.into_body().read_to_end(10_000_000).await?;
            Ok::<_, Failure>(String::from_utf8(content)?)
        };

        let expected: String = (0..1000).map(|number| format!("{number}\n")).collect();
        assert_eq!(text(client.get(&url("/chunked")).await?).await?, expected);
        assert_eq!(text(client.get(&url("/packed")).await?).await?, "x".repeat(10_000));
        let request = http::Request::get(url("/packed")).header("accept-encoding", "deflate");
        let packed = client.send(request.body(())?).await?;
        assert_eq!(packed.headers()["content-encoding"], "deflate");
        assert!(packed.into_body().read_to_end(10_000).await?.len() < 1000);

        let mut events = client.get(&url("/events")).await?.into_body().into_events();
        let mut seen = Vec::new();
        while let Some(event) = events.next().await {
            let event = event?;
            seen.push([event.event_type(), event.data(), event.last_event_id()].join("|"));
        }
        assert_eq!(seen, ["message|one\nmore|1", "a|two|1"]);
        assert_eq!((events.last_event_id(), events.retry()), ("1", Some(5)));

        for expect in [false, true] {
            let pieces = RequestContent::from_writer(async |writer| {
                for _ in 0..50 {
                    writer.write(&[b'x'; 10_000]).await?;
                }
                Ok(())
            });
            let mut request = http::Request::post(url("/echo"));
            if expect {
                request = request.header("expect", "100-continue");
            }
            let response = client.send(request.body(pieces)?).await?;
            assert_eq!(text(response).await?.len(), 500_000);
        }
        let request = http::Request::post(url("/echo")).body(vec![b'x'; 3_000_000])?;
        assert_eq!(client.send(request).await?.status(), 413);

        let first = text(client.get(&url("/port")).await?).await?;
        assert_eq!(text(client.get(&url("/moved")).await?).await?, first, "one connection");
        assert_eq!(text(client.get(&url("/last")).await?).await?, "last");
        assert_ne!(text(client.get(&url("/port")).await?).await?, first);
        let head = client.send(http::Request::head(url("/chunked")).body(())?).await?;
        assert_eq!(text(head).await?, "");
        Ok(())
    });
}

/// Answers are counted, and what is none; how long it takes does not matter.
#[test]
fn wrk_sees_no_error() {
    if Command::new("wrk").arg("-v").output().is_err() {
        let _: Option<()> = missing("wrk");
        return;
    }
    let script = std::env::temp_dir().join(format!("wharf-wrk-{}.lua", std::process::id()));
    // Sixteen requests at once, of them some with content.
    let text = r#"
init = function(arguments)
  local all = {}
  for number = 1, 16 do
    local content = number % 4 == 0 and ("x"):rep(number * 100) or nil
    all[number] = wrk.format(content and "POST" or "GET", content and "/echo" or "/", nil, content)
  end
  together = table.concat(all)
end
request = function() return together end
"#;
    fs::write(&script, text).unwrap();
    let place = script.display().to_string();
    run(async |event_loop| {
        let url = serve(&event_loop).await?;
        for more in [&[][..], &["-s", &place]] {
            let arguments = [&["-t1", "-c16", "-d1s", &*url][..], more].concat();
            let said = said(&event_loop, "wrk", &arguments).await?;
            assert!(!said.contains("Socket errors") && !said.contains("Non-2xx"), "{said}");
            let count = said.lines().find_map(|line| line.trim().split_once(" requests in "));
            let count: u64 = count.expect(&said).0.parse()?;
            assert!(count > 100, "{said}");
        }
        Ok(())
    });
    fs::remove_file(script).unwrap();
}
