//! `http_client` with foreign servers.

use rustix::process::Signal;

use crate::authority::{Authority, text};
use crate::program::{Ending, Program};
use crate::serving::Directory;

fn ask(arguments: &[&str]) -> Ending {
    Program::example("http_client", arguments).end()
}

#[test]
fn http_client_asks_pythons_http_server() {
    const SERVER: &str = r#"
import http.server, sys

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/chunked")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        text = f"port {self.client_address[1]}\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(text), text))

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"#;
    let Some(server) = Program::foreign("python3", &["-c", SERVER]) else { return };
    let url = |path: &str, port: &str| format!("http://127.0.0.1:{port}{path}");
    let port = server.line();

    let ending = ask(&["--repeat", "3", &url("/", &port)]);
    assert_eq!((ending.code, &*ending.errors), (Some(0), ""));
    let ports: Vec<_> = ending.output.iter().filter(|line| line.starts_with("port ")).collect();
    assert_eq!((ports.len(), ports[0], ports[0]), (3, ports[1], ports[2]), "one connection");

    let ending = ask(&["--data", "hello", &url("/", &port)]);
    assert_eq!(ending.output.last().unwrap(), "hello");
    let ending = ask(&[&url("/moved", &port)]);
    assert_eq!(ending.output[0], "HTTP/1.1 302 Found");
    let ending = ask(&["--redirects", "1", &url("/moved", &port)]);
    assert_eq!(ending.output[0], "HTTP/1.1 200 OK");
}

#[test]
fn http_client_asks_node() {
    const SERVER: &str = r#"
const http = require("http");
const server = http.createServer((request, response) => {
  if (request.method !== "HEAD") response.setHeader("Trailer", "Check");
  response.write("one,");
  request.on("data", () => {});
  request.on("end", () => {
    if (request.method !== "HEAD") response.addTrailers({ Check: "sum" });
    response.end("two");
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
"#;
    let Some(server) = Program::foreign("node", &["-e", SERVER]) else { return };
    let url = format!("http://127.0.0.1:{}/", server.line());
    let ending = ask(&["--repeat", "2", "--data", "x", &url]);
    assert_eq!((ending.code, &*ending.errors), (Some(0), ""));
    assert_eq!(ending.output.last().unwrap(), "one,two");
    assert_eq!(ask(&["--method", "HEAD", &url]).code, Some(0));
}

#[test]
fn http_client_asks_http_server_under_tls() {
    let (authority, directory) = (Authority::new(), Directory::new());
    std::fs::write(directory.join("page"), "one\n").unwrap();
    let (files, place) =
        (authority.issue(&["localhost"]), directory.join("").display().to_string());
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--files",
        &place,
        "--cert",
        text(&files.chain),
        "--key",
        text(&files.key),
    ];
    let server = Program::example("http_server", &arguments);
    let port = server.address().rsplit_once(':').unwrap().1.to_owned();
    let url = format!("https://localhost:{port}/page");
    let ca = authority.file();
    let ending = ask(&["--ca", text(&ca), "--repeat", "2", &url]);
    assert_eq!((ending.code, &*ending.errors), (Some(0), ""));
    assert_eq!(ending.output.last().unwrap(), "one");
    let stranger = Authority::new();
    assert_eq!(ask(&["--ca", text(&stranger.file()), &url]).code, Some(1));
    server.signal(Signal::TERM);
    assert_eq!(server.end().code, Some(0));
}

#[test]
fn http_client_tells_of_failures() {
    let ending = ask(&["ftp://127.0.0.1/"]);
    assert_eq!(
        (ending.code, &*ending.errors),
        (Some(1), "http_client: neither http nor https: ftp://127.0.0.1/\n")
    );
    assert_eq!(ask(&[]).code, Some(2));
}
