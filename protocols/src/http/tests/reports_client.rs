//! Answers that others' clients took for something else, and requests that theirs sent to the wrong server.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use wharf::testing::MemoryNetwork;
use wharf::{EventLoop, Result, StreamReader, StreamWriter};

use super::*;

fn run(test: impl AsyncFnOnce(EventLoop) -> Result) {
    MemoryNetwork::new().event_loop().run(test).unwrap();
}

type Asked = Rc<RefCell<Vec<String>>>;

/// A server that gives its answers one after the other, to whichever connection asks; an empty one ends the connection. What
/// it was asked, with the number of the connection.
async fn script(event_loop: &EventLoop, address: &str, answers: &[&str]) -> Result<Asked> {
    let asked = Asked::default();
    let seen = Rc::clone(&asked);
    let answers: RefCell<Vec<_>> =
        answers.iter().rev().map(|&answer| answer.to_owned()).collect::<Vec<_>>().into();
    let connections = RefCell::new(0);
    let serve = async move |mut reader: StreamReader, writer: StreamWriter| {
        *connections.borrow_mut() += 1;
        let connection = *connections.borrow();
        loop {
            let Ok(head) = reader.read_until(b"\r\n\r\n").await else { return Ok(()) };
            let head = String::from_utf8(head.to_vec())?;
            let length = head
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.split("\r\n").next()?.parse().ok());
            reader.read_exactly(length.unwrap_or(0)).await?;
            seen.borrow_mut().push(format!("{connection} {head}"));
            let answer = answers.borrow_mut().pop().unwrap_or_default();
            if answer.is_empty() {
                return Ok(());
            }
            writer.write_all(answer.as_bytes()).await?;
        }
    };
    event_loop.start_server(serve, address).await?;
    Ok(asked)
}

/// Asks for `http://10.0.0.1/`, and gives the status and the content, or the error's text.
async fn ask(client: &HttpClient, method: &str) -> Result<String> {
    let request = ::http::Request::builder().method(method).uri("http://10.0.0.1/").body("x")?;
    match client.send(request).await {
        Ok(mut response) => {
            let content = response.body_mut().read_to_end(1000).await?;
            Ok(format!("{} {}", response.status().as_u16(), String::from_utf8(content)?))
        }
        Err(error) => Ok(error.to_string()),
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn answers_that_were_taken_for_two_are_refused() {
    let cases: [(&str, Rule); 16] = [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", Rule::LengthAndCoding),
        ("Content-Length: 5\r\nContent-Length: 6", Rule::ContentLengthRepeated),
        ("Content-Length: 5, 6", Rule::ContentLengthRepeated),
        ("Content-Length: -1", Rule::ContentLength),
        ("Content-Length: 1e3", Rule::ContentLength),
        // CVE-2022-1705 of Go: codings that are none were taken for chunked.
        ("Transfer-Encoding: xchunked", Rule::TransferCoding),
        ("Transfer-Encoding: chunked, gzip", Rule::TransferCoding),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", Rule::TransferCoding),
        ("Transfer-Encoding : chunked", Rule::FieldName),
        ("A: b\r\n c", Rule::ObsoleteFold),
        ("A: b\rc: d", Rule::BareCarriageReturn),
        ("A: b\0c", Rule::FieldValue),
        ("A\u{df}: b", Rule::FieldName),
        ("no colon", Rule::FieldName),
        (": no name", Rule::FieldName),
        ("A: b\n\r\nB: c", Rule::BareLineFeed),
    ];
    for (fields, rule) in cases {
        let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
        let error = response_error("GET", &text);
        assert_eq!(error.map(|(rule, _)| rule), Some(rule), "{text:?}");
    }
    for (line, rule) in [
        ("HTTP/1.1 99 x", Rule::Status),
        ("HTTP/1.1 099 x", Rule::Status),
        ("HTTP/1.1 +200 x", Rule::Status),
        ("HTTP/1.1 200x", Rule::Status),
        ("HTTP/1.1\t200 x", Rule::Version),
        ("HTTP/1.10 200 x", Rule::Version),
        ("ICY 200 OK", Rule::Version),
    ] {
        let error = response_error("GET", &format!("{line}\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(error.map(|(rule, _)| rule), Some(rule), "{line:?}");
    }
    for status in [100, 103, 204] {
        let text = format!("HTTP/1.1 {status} x\r\nContent-Length: 5\r\n\r\nhello");
        let error = response_error("GET", &text);
        assert_eq!(error.map(|(rule, _)| rule), Some(Rule::ContentNotAllowed), "{status}");
    }
}

/// What comes behind an answer without content belongs to nobody; least of all is it the next answer.
#[test]
fn content_where_none_can_be_is_no_answer() {
    run(async |event_loop| {
        let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
        let cases = [
            ("HEAD", format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{evil}", evil.len())),
            ("GET", format!("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n{evil}")),
            ("GET", format!("HTTP/1.1 204 No Content\r\n\r\n{evil}")),
            ("GET", format!("HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n{evil}")),
        ];
        for (number, (method, answer)) in cases.iter().enumerate() {
            let client = HttpClient::new(&event_loop);
            let address = format!("10.0.1.{number}:80");
            let asked = script(&event_loop, &address, &[answer, OK]).await?;
            for (method, expected) in [(*method, ""), ("GET", "ok")] {
                let uri = format!("http://{address}/");
                let request = ::http::Request::builder().method(method).uri(uri).body(())?;
                let mut response = client.send(request).await?;
                assert_eq!(response.body_mut().read_to_end(100).await?, expected.as_bytes());
            }
            assert!(asked.borrow()[1].starts_with("2 "), "{asked:?}");
        }
        Ok(())
    });
}

/// golang/go#19943, nodejs/node#26357, psf/requests#4664: the server ends an idle connection while the next request is on its
/// way. What may be repeated is; what may not be is the caller's to repeat.
#[test]
fn a_request_that_met_the_end_of_its_connection_is_repeated_only_if_it_may_be() {
    run(async |event_loop| {
        let asked = script(&event_loop, "10.0.0.1:80", &[OK, "", OK, "", OK, ""]).await?;
        let client = HttpClient::new(&event_loop);
        for method in ["GET", "GET", "PUT", "POST"] {
            let outcome = ask(&client, method).await?;
            assert_eq!(outcome == "200 ok", method != "POST", "{method}: {outcome}");
        }
        let asked: Vec<_> = asked.borrow().iter().map(|head| head[..6].to_owned()).collect();
        assert_eq!(asked, ["1 GET ", "1 GET ", "2 GET ", "2 PUT ", "3 PUT ", "3 POST"]);
        Ok(())
    });
}

/// Servers that say why they end an idle connection: 408, which nobody has asked for, and is not the next answer.
#[test]
fn what_is_said_to_an_idle_connection_is_no_answer() {
    run(async |event_loop| {
        let serve = async |mut reader: StreamReader, writer: StreamWriter| {
            reader.read_until(b"\r\n\r\n").await?;
            writer.write_all(OK.as_bytes()).await?;
            wharf::sleep(Duration::from_secs(5)).await;
            writer.write_all(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n").await?;
            Ok(())
        };
        event_loop.start_server(serve, "10.0.0.1:80").await?;
        let client = HttpClient::new(&event_loop);
        for _ in 0..3 {
            let mut response = client.get("http://10.0.0.1/").await?;
            assert_eq!(response.body_mut().read_to_end(10).await?, b"ok");
            event_loop.sleep(Duration::from_secs(10)).await;
        }
        Ok(())
    });
}

fn moved(status: u16, to: &str) -> String {
    format!("HTTP/1.1 {status} Moved\r\nLocation: {to}\r\nContent-Length: 5\r\n\r\nmoved")
}

/// CVE-2018-1000007 and CVE-2022-27774 of curl (another host, another port), CVE-2023-32681 of requests
/// (Proxy-Authorization), CVE-2024-45336 of Go (back again after a detour), CVE-2023-45803 of urllib3 (content behind 303).
#[test]
fn redirects_keep_secrets_and_contents_to_their_origin() {
    run(async |event_loop| {
        let first = [&*moved(307, "/here"), &moved(307, "http://10.0.0.1:81/port"), OK];
        let first = script(&event_loop, "10.0.0.1:80", &first).await?;
        let port = [&*moved(307, "http://10.0.0.2/host")];
        let port = script(&event_loop, "10.0.0.1:81", &port).await?;
        let back = [&*moved(303, "http://10.0.0.1/back")];
        let host = script(&event_loop, "10.0.0.2:80", &back).await?;
        let secrets = ["authorization", "cookie", "proxy-authorization"];
        let mut request = ::http::Request::post("http://10.0.0.1/").header("content-type", "a/b");
        for name in secrets {
            request = request.header(name, "secret");
        }
        let client = HttpClient::new(&event_loop).max_redirects(10);
        assert_eq!(client.send(request.body("content")?).await?.status(), 200);

        let secrets_in = |head: &str| {
            secrets.iter().filter(|name| head.contains(&format!("\r\n{name}: "))).count()
        };
        let (first, port, host) = (first.borrow(), port.borrow(), host.borrow());
        let asked = [&first[0], &first[1], &port[0], &host[0], &first[2]];
        assert_eq!(asked.map(|head| secrets_in(head)), [3, 3, 0, 0, 0], "{asked:?}");
        assert!(host[0].contains("POST /host ") && host[0].contains("host: 10.0.0.2\r\n"));
        assert!(first[2].contains("GET /back ") && !first[2].contains("content-"), "{}", first[2]);
        // The answers were read to their end, so that one connection is enough for each.
        assert!(first.iter().all(|head| head.starts_with("1 ")), "{first:?}");
        Ok(())
    });
}

#[test]
fn redirects_to_nowhere_and_in_circles_end() {
    run(async |event_loop| {
        let to = [
            "file:///etc/passwd",
            "ftp://10.0.0.1/",
            "gopher://10.0.0.1:11211/",
            "http://user:word@10.0.0.1/",
            "http://",
            "http://10.0.0.1:99999/",
            "//",
        ];
        let answers: Vec<_> = to.iter().map(|to| moved(302, to)).collect();
        let answers: Vec<_> = answers.iter().map(|answer| &**answer).collect();
        script(&event_loop, "10.0.0.1:80", &answers).await?;
        let client = HttpClient::new(&event_loop).max_redirects(5);
        for to in to {
            assert_eq!(ask(&client, "GET").await?, "302 moved", "{to}");
        }
        let circle = vec![moved(302, "http://10.0.0.2/"); 10];
        let circle: Vec<_> = circle.iter().map(|answer| &**answer).collect();
        let asked = script(&event_loop, "10.0.0.2:80", &circle).await?;
        assert_eq!(client.get("http://10.0.0.2/").await?.status(), 302);
        assert_eq!(asked.borrow().len(), 6);
        Ok(())
    });
}

/// An answer to CONNECT that says no may have any content; one that says yes has none, whatever it says of a length.
#[test]
fn answers_of_proxies_are_no_answers_of_servers() {
    run(async |event_loop| {
        let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 47\r\n\r\n\
                       HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
        let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        script(&event_loop, "10.0.0.9:1", &[refusal]).await?;
        script(&event_loop, "10.0.0.9:2", &[chunks, OK]).await?;
        let asked = ask(&HttpClient::new(&event_loop).proxy("10.0.0.9:1"), "GET").await?;
        assert!(asked.contains("proxy") && asked.contains("407"), "{asked}");
        assert_eq!(ask(&HttpClient::new(&event_loop).proxy("10.0.0.9:2"), "GET").await?, "200 ok");
        Ok(())
    });
}

/// CVE-2023-49081 and CVE-2023-49082 of aiohttp, CVE-2019-9740 of urllib: what is asked for cannot be two requests.
#[test]
fn a_request_cannot_be_two() {
    let fields = [("Host", &b"x"[..])];
    let headers = || Headers::new(&fields).unwrap();
    for method in ["GET\r\nA: b", "GET /x HTTP/1.1\r\n\r\nGET", "", "GE T", "GET\0"] {
        assert!(RequestHead::new(method, "/", Version::Http11, headers()).is_err(), "{method:?}");
        assert!(::http::Request::builder().method(method).uri("/").body(()).is_err());
    }
    for target in ["/ HTTP/1.1\r\nA: b", "/a b", "/\r\n", "/\0", "", "/#a", "a\\b"] {
        assert!(RequestHead::new("GET", target, Version::Http11, headers()).is_err(), "{target:?}");
    }
    for host in ["a\r\nB: c", "a b", "a/b", "a@b", "a, b", "a:b"] {
        let fields = [("Host", host.as_bytes())];
        let head = Headers::new(&fields)
            .and_then(|headers| RequestHead::new("GET", "/", Version::Http11, headers).map(drop));
        assert!(head.is_err(), "{host:?}");
    }
}
