//! Requests that smuggled something past other servers, or kept them busy, tried on this one.

use wharf::Result;
use wharf::testing::Recorder;

use super::*;

/// What each of these was: a request that two programs took for different ones. Here each is refused, however it comes, by
/// the rule that it breaks.
#[test]
fn requests_that_were_smuggled_past_others_are_refused() {
    let cases: [(&str, &str, Rule); 36] = [
        // CVE-2021-21299 of hyper, CVE-2020-8287 of Node.js.
        (
            "two codings",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            Rule::TransferCoding,
        ),
        (
            "another one",
            "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
            Rule::TransferCoding,
        ),
        (
            "and another",
            "Transfer-Encoding: chunked\r\nTransfer-encoding: cow",
            Rule::TransferCoding,
        ),
        // CVE-2019-16786 of waitress, CVE-2024-1135 of gunicorn, CVE-2022-32213 of Node.js.
        ("a list", "Transfer-Encoding: gzip, chunked", Rule::TransferCoding),
        ("its end", "Transfer-Encoding: chunked, identity", Rule::TransferCoding),
        ("itself", "Transfer-Encoding: chunked, chunked", Rule::TransferCoding),
        ("an empty element", "Transfer-Encoding: ,chunked", Rule::TransferCoding),
        ("a parameter", "Transfer-Encoding: chunked;q=1", Rule::TransferCoding),
        ("a longer word", "Transfer-Encoding: chunkedchunked", Rule::TransferCoding),
        ("quotes", "Transfer-Encoding: \"chunked\"", Rule::TransferCoding),
        ("nothing", "Transfer-Encoding:", Rule::TransferCoding),
        ("another white space", "Transfer-Encoding: \x0bchunked", Rule::FieldValue),
        ("a letter that looks like it", "Transfer-Encoding: chun\u{212a}ed", Rule::TransferCoding),
        // CVE-2019-16869 and CVE-2019-20445 of Netty, CVE-2021-22959 of llhttp.
        ("a space", "Transfer-Encoding : chunked", Rule::FieldName),
        ("a tab", "Content-Length\t: 5", Rule::FieldName),
        ("both", "Content-Length: 5\r\nTransfer-Encoding: chunked", Rule::LengthAndCoding),
        ("both, turned", "Transfer-Encoding: chunked\r\nContent-Length: 5", Rule::LengthAndCoding),
        // CVE-2019-20444 of Netty, CVE-2022-35256 and CVE-2023-30589 of llhttp, CVE-2025-23167 of Node.js.
        ("no colon", "Content-Length 5", Rule::FieldName),
        ("CR alone", "A: b\rContent-Length: 5", Rule::BareCarriageReturn),
        ("CR before a name", "A: b\r\n\rContent-Length: 5", Rule::BareCarriageReturn),
        // CVE-2022-32215 of llhttp: what is folded is the field's value for some, and another line for others.
        ("a fold", "Transfer-Encoding:\r\n chunked", Rule::ObsoleteFold),
        ("a fold before all", " Content-Length: 5", Rule::ObsoleteFold),
        // CVE-2023-25725 of HAProxy.
        ("an empty name", ": x\r\nContent-Length: 5", Rule::FieldName),
        ("NUL", "Content-Length\0: 5", Rule::FieldName),
        // CVE-2023-40225 of HAProxy, CVE-2023-40175 of Puma.
        ("no length", "Content-Length: ", Rule::ContentLength),
        // CVE-2021-32715 of hyper, CVE-2018-7159 of Node.js, GHSA-qppv-j76h-2rpx of Tornado, CVE-2023-47627 of aiohttp.
        ("a sign", "Content-Length: +5", Rule::ContentLength),
        ("a minus", "Content-Length: -5", Rule::ContentLength),
        ("two words", "Content-Length: 5 5", Rule::ContentLength),
        ("an underscore", "Content-Length: 1_0", Rule::ContentLength),
        ("another base", "Content-Length: 0x5", Rule::ContentLength),
        ("a fraction", "Content-Length: 5.0", Rule::ContentLength),
        ("other digits", "Content-Length: \u{665}", Rule::ContentLength),
        ("a list of lengths", "Content-Length: 5, 5", Rule::ContentLengthRepeated),
        ("two lengths", "Content-Length: 5\r\nContent-Length: 5", Rule::ContentLengthRepeated),
        ("one beyond 64 bits", "Content-Length: 18446744073709551617", Rule::ContentLength),
        // "HTTP/1.1 must die" (2025): what is no expectation, but looks like one.
        ("an expectation", "Expect: y 100-continue\r\nContent-Length: 5", Rule::Expectation),
    ];
    for (what, fields, rule) in cases {
        let text = format!("POST / HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n");
        assert_eq!(request_error(&text).map(|(rule, _)| rule), Some(rule), "{what}: {text:?}");
    }
}

#[test]
fn contents_that_were_smuggled_past_others_are_refused() {
    let cases = [
        // CVE-2021-32714 of hyper.
        ("a size beyond 64 bits", "f0000000000000003\r\nabc\r\n0\r\n\r\n", Rule::ChunkSize),
        ("a sign", "+5\r\nhello\r\n0\r\n\r\n", Rule::ChunkSize),
        ("another base", "0x5\r\nhello\r\n0\r\n\r\n", Rule::ChunkSize),
        ("no size", "\r\nhello\r\n0\r\n\r\n", Rule::ChunkSize),
        ("a space before it", " 5\r\nhello\r\n0\r\n\r\n", Rule::ChunkSize),
        ("a space behind it", "5 \r\nhello\r\n0\r\n\r\n", Rule::ChunkExtension),
        ("CR in it", "5\rX\nhello\r\n0\r\n\r\n", Rule::BareCarriageReturn),
        ("CR alone behind it", "5\r\rhello\r\n0\r\n\r\n", Rule::BareCarriageReturn),
        // CVE-2025-43859 of h11, and "funky chunks" (2025).
        ("what is no line end", "5\r\nhelloXX0\r\n\r\n", Rule::ChunkEnd),
        ("more than announced", "5\r\nhello!\r\n0\r\n\r\n", Rule::ChunkEnd),
        ("a line end less", "5\r\nhello0\r\n\r\n", Rule::ChunkEnd),
        // CVE-2023-40175 of Puma, CVE-2025-53643 of aiohttp.
        ("trailers without a colon", "0\r\nGET / HTTP/1.1\r\n\r\n", Rule::FieldName),
        ("trailers that end with LF", "0\r\nA: b\n\r\n", Rule::BareLineFeed),
        ("a coding behind it", "0\r\nTransfer-Encoding: chunked\r\n\r\n", Rule::TrailerNotAllowed),
        ("who asks", "0\r\nAuthorization: x\r\n\r\n", Rule::TrailerNotAllowed),
        ("a session", "0\r\nCookie: x\r\n\r\n", Rule::TrailerNotAllowed),
        ("a folded trailer", "0\r\nA: b\r\n c\r\n\r\n", Rule::ObsoleteFold),
    ];
    for (what, content, rule) in cases {
        let text =
            format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{content}");
        assert_eq!(request_error(&text).map(|(rule, _)| rule), Some(rule), "{what}: {content:?}");
    }
}

/// Whom a request is for: what one takes for the host must not be another's for the next.
#[test]
fn hosts_that_others_read_differently_are_refused() {
    let cases = [
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Rule::HostRepeated),
        ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", Rule::HostMalformed),
        ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", Rule::HostMalformed),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Rule::HostMalformed),
        ("GET / HTTP/1.1\r\nHost: a:80:90\r\n\r\n", Rule::HostMalformed),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Rule::HostMalformed),
        ("GET / HTTP/1.1\r\nHost: a?b\r\n\r\n", Rule::HostMalformed),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", Rule::FieldName),
        ("GET http://user@a/ HTTP/1.1\r\nHost: a\r\n\r\n", Rule::Target),
        ("GET http://a\\@b/ HTTP/1.1\r\nHost: a\r\n\r\n", Rule::Target),
        ("GET http:///path HTTP/1.1\r\nHost: a\r\n\r\n", Rule::Target),
        ("GET path HTTP/1.1\r\nHost: a\r\n\r\n", Rule::Target),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", Rule::Target),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", Rule::Version),
        ("GET /\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n", Rule::Target),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Rule::Target),
        ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", Rule::Method),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", Rule::Version),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", Rule::Version),
        ("GET / HTTP/01.1\r\nHost: a\r\n\r\n", Rule::Version),
    ];
    for (text, rule) in cases {
        assert_eq!(request_error(text).map(|(rule, _)| rule), Some(rule), "{text:?}");
    }
}

/// Answers each request at once by what it is, whether it has content or not.
struct Early;

impl HttpHandler for Early {
    fn request(&mut self, head: &RequestHead<'_>, exchange: &mut Exchange<'_>) -> Result {
        Ok(exchange.respond(200, &[], head.target().as_bytes())?)
    }
}

fn answers(input: &str) -> (Vec<String>, bool) {
    let server = HttpServer::new().date(false).standard_fields(&[]).unwrap();
    let mut recorder = Recorder::new(server.serve_with(|| Early)).unwrap();
    recorder.receive(input.as_bytes()).unwrap();
    let sent = String::from_utf8(recorder.sent().unwrap()).unwrap();
    let of_one = |answer: &str| answer.rsplit("\r\n").next().unwrap().to_owned();
    (sent.split("HTTP/1.1 ").skip(1).map(of_one).collect(), recorder.is_closing())
}

/// "CL.0" and "TE.0" (2022 and 2024): servers that leave content out of account where they expect none, and take it for the
/// next request.
#[test]
fn content_is_no_request_whatever_the_method() {
    let inner = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    for method in ["GET", "HEAD", "OPTIONS", "DELETE", "TRACE", "POST", "get"] {
        let length = inner.len();
        let sized =
            format!("{method} /a HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{inner}");
        let chunked = format!(
            "{method} /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{inner}\r\n0\r\n\r\n"
        );
        let (seen, is_closing) =
            answers(&format!("{sized}{chunked}GET /c HTTP/1.1\r\nHost: x\r\n\r\n"));
        let expected = if method == "HEAD" { ["", "", "/c"] } else { ["/a", "/b", "/c"] };
        assert_eq!((&*seen, is_closing), (&expected.map(str::to_owned)[..], false), "{method}");
    }
    // CONNECT has none.
    let text = "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(request_error(text).map(|(rule, _)| rule), Some(Rule::ContentNotAllowed));
}

/// CVE-2022-22720 of Apache, CVE-2024-49768 of waitress: what follows a request that was refused was served.
#[test]
fn nothing_behind_a_refused_request_is_served() {
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    for refused in [
        "GET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    ] {
        let (seen, is_closing) = answers(&format!("{refused}{smuggled}"));
        assert!(is_closing && seen.len() == 1 && seen[0] != "/smuggled", "{refused:?}: {seen:?}");
    }
    // Nor behind the last one.
    let last = "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert_eq!(answers(&format!("{last}{smuggled}")), (vec!["/last".to_owned()], true));
    let last = "GET /last HTTP/1.0\r\n\r\n";
    assert_eq!(answers(&format!("{last}{smuggled}")), (vec!["/last".to_owned()], true));
}

/// CVE-2024-22019 of Node.js, CVE-2023-39326 of Go: extensions without end, in chunks of one byte or in one line.
#[test]
fn endless_extensions_and_trailers_end() {
    let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let cases = [
        ("1;aaaaaaaaaaaaaaaa=bbbbbbbbbbbbbbbb\r\nx\r\n", Rule::ChunkExtensionsTooLarge),
        (";a", Rule::ChunkExtensionsTooLarge),
        ("A: b\r\n", Rule::TrailersTooLarge),
    ];
    for (part, rule) in cases {
        let mut decoder = RequestDecoder::new();
        let start = match part.as_bytes()[0] {
            b';' => "1",
            b'A' => "0\r\n",
            _ => "",
        };
        let mut taken = 0;
        let input = format!("{head}{start}");
        let mut input = input.as_bytes();
        let error = loop {
            match decoder.decode(&mut input) {
                Ok(Some(_)) => {}
                Ok(None) => {
                    input = part.as_bytes();
                    taken += input.len();
                    assert!(taken < 100_000, "{part:?} has no end");
                }
                Err(error) => break error,
            }
        };
        assert_eq!(error.rule, rule, "{part:?}");
        assert!(decoder.buffer_capacity() <= 16 * 1024);
    }
}
