//! The crawler, with a server of few pages.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use crate::program::{Ending, PATIENCE, Program};

/// What a page is, by its path: the rest of an answer behind `HTTP/1.1 `.
type Pages = BTreeMap<&'static str, String>;

fn html(text: &str) -> String {
    format!("200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{text}")
}

/// Serves each request on a thread of its own, with what `answer` gives for its path; its URL.
fn serve(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            thread::spawn(move || serve_one(stream, &*answer));
        }
    });
    url
}

fn serve_one(mut stream: TcpStream, answer: &dyn Fn(&str) -> String) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        request.extend_from_slice(&byte);
    }
    let request = String::from_utf8(request).unwrap();
    let answer = answer(request.split(' ').nth(1).unwrap());
    // The crawler may have given up.
    let _ = stream.write_all(format!("HTTP/1.1 {answer}").as_bytes());
}

fn serve_pages(pages: Pages) -> String {
    serve(move |path| pages.get(path).cloned().unwrap_or_else(|| "404 Not Found\r\n\r\n".into()))
}

fn crawl(arguments: &[&str]) -> Ending {
    Program::example("crawler", arguments).end()
}

/// What it says of the pages, sorted, as they come in any order.
fn lines(ending: &Ending, url: &str) -> Vec<String> {
    let mut lines: Vec<_> = ending.output.iter().map(|line| line.replace(url, "/")).collect();
    lines.sort();
    lines
}

#[test]
fn crawler_follows_the_links_of_one_server_once_each() {
    let url = serve_pages(Pages::from([
        (
            "/",
            html(
                "<a href=\"one\"><a href='/two?a=b&amp;c'><a href=\"/one#part\">
                 <a href=\"http://192.0.2.1/\"><a href=\"mailto:a@b\"><a href=\"/text\">",
            ),
        ),
        ("/one", html("<a href=\"/\">")),
        ("/two?a=b&c", "301 Moved\r\nLocation: /three\r\n\r\n".to_owned()),
        ("/three", html("three")),
        ("/text", "200 OK\r\nContent-Type: text/plain\r\n\r\n<a href=\"/four\">".to_owned()),
    ]));
    let ending = crawl(&[&url]);
    assert_eq!((ending.code, &*ending.errors), (Some(0), ""), "{ending:?}");
    let lines = lines(&ending, &url);
    let paths: Vec<_> = lines.iter().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(paths, ["/three", "/one", "/text", "/", "/two?a=b&c"]);
    assert_eq!(lines[0], "200        5 /three");
    assert!(lines[4].starts_with("301 "), "{lines:?}");
}

#[test]
fn crawler_goes_on_where_a_page_fails_and_says_so() {
    let url = serve(|path| match path {
        "/" => html("<a href=\"/long\"><a href=\"/missing\"><a href=\"/short\">"),
        "/short" => html("x"),
        "/long" => html(&"x".repeat(101)),
        _ => "404 Not Found\r\n\r\n".to_owned(),
    });
    let ending = crawl(&["--limit", "100", "--progress", &url]);
    assert_eq!(ending.code, Some(1));
    let too_long = "---        - /long (the input is longer than 100 bytes)";
    assert_eq!(
        lines(&ending, &url),
        [too_long, "200        1 /short", "200       52 /", "404        0 /missing"]
    );
    let last = ending.errors.rsplit('\r').next().unwrap();
    assert_eq!(last, "4 of 4 pages, 0 under way, 2 failed\x1b[K\n");
}

#[test]
fn crawler_gives_up_on_a_page_that_takes_too_long() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let ending = crawl(&["--timeout", "0.05", &url]);
    assert_eq!((ending.code, &*ending.errors), (Some(1), ""), "{ending:?}");
    assert_eq!(ending.output, [format!("---        - {url} (it took too long)")]);
}

#[test]
fn crawler_fetches_so_many_pages_and_so_many_at_once() {
    let (under_way, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let (both, seen) = (Barrier::new(2), Arc::new(Mutex::new(Vec::new())));
    let url = {
        let (most, seen) = (Arc::clone(&most), Arc::clone(&seen));
        serve(move |path| {
            seen.lock().unwrap().push(path.to_owned());
            if path == "/" {
                return html(
                    &(0..20).map(|page| format!("<a href=\"{page}\">")).collect::<String>(),
                );
            }
            most.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            // One at a time would wait here until it is out of time.
            both.wait();
            under_way.fetch_sub(1, Ordering::SeqCst);
            html("")
        })
    };
    let ending = crawl(&["--pages", "7", "--at-once", "2", &url]);
    assert_eq!((ending.code, ending.output.len()), (Some(0), 7), "{ending:?}");
    assert_eq!((most.load(Ordering::SeqCst), seen.lock().unwrap().len()), (2, 7));
}
