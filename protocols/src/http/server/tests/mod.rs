//! The server, in memory and in virtual time.

mod asynchronous;
mod callbacks;
mod costs;
mod ends;
mod faults;
mod hostile;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use wharf::Result;
use wharf::testing::{Recorder, settle};

use super::{Exchange, HttpConnection, HttpHandler, HttpServer};
use crate::http::{Headers, HttpError, Limits, RequestHead, Rule};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

fn server() -> HttpServer {
    HttpServer::new().date(false).standard_fields(&[]).unwrap()
}

type Calls = Rc<RefCell<Vec<String>>>;

/// Notes what is called, and does what the path says.
struct Script {
    calls: Calls,
    later: Rc<RefCell<Option<super::Answer>>>,
    is_echo: bool,
}

impl HttpHandler for Script {
    fn request(&mut self, head: &RequestHead<'_>, exchange: &mut Exchange<'_>) -> Result {
        self.calls.borrow_mut().push(format!("{} {}", head.method(), head.target()));
        self.is_echo = head.path() == "/echo";
        match head.path() {
            "/later" => {
                *self.later.borrow_mut() = Some(exchange.later()?);
                // Only one can have it.
                assert_eq!(exchange.later().unwrap_err().rule, Rule::Order);
            }
            "/end" => {}
            "/echo" => exchange.begin(200, &[], None)?,
            "/fail" => return Err("asked to fail".into()),
            "/big" => exchange.respond(200, &[], &vec![b'x'; 1_000_000])?,
            "/close" => exchange.respond(200, &[("Connection", b"close")], b"bye")?,
            "/empty" => exchange.respond(204, &[], b"")?,
            _ => exchange.respond(200, &[], b"hi")?,
        }
        Ok(())
    }

    fn data(&mut self, data: &[u8], exchange: &mut Exchange<'_>) -> Result {
        self.calls.borrow_mut().push(String::from_utf8_lossy(data).into_owned());
        if self.is_echo {
            exchange.write(data)?;
        }
        Ok(())
    }

    fn trailers(&mut self, trailers: Headers<'_>, _: &mut Exchange<'_>) -> Result {
        self.calls.borrow_mut().push(format!("trailers {trailers:?}"));
        Ok(())
    }

    fn end(&mut self, exchange: &mut Exchange<'_>) -> Result {
        self.calls.borrow_mut().push("end".to_owned());
        if self.is_echo {
            exchange.finish_with(&[("Check", b"sum")])?;
        } else if self.later.borrow().is_none() {
            exchange.respond(200, &[], b"at the end")?;
        }
        Ok(())
    }

    fn aborted(&mut self, error: Option<&HttpError>) {
        self.calls.borrow_mut().push(format!("aborted {error:?}"));
    }
}

struct Run {
    recorder: Recorder<HttpConnection<Script>>,
    calls: Calls,
    later: Rc<RefCell<Option<super::Answer>>>,
}

fn run(server: HttpServer) -> Run {
    let (calls, later) = (Calls::default(), Rc::default());
    let script = Script { calls: Rc::clone(&calls), later: Rc::clone(&later), is_echo: false };
    let mut script = Some(script);
    let factory = server.serve_with(move || script.take().unwrap());
    Run { recorder: Recorder::new(factory).unwrap(), calls, later }
}

impl Run {
    /// What is sent for it, as text.
    fn sends(&mut self, input: impl AsRef<[u8]>) -> String {
        self.recorder.receive(input.as_ref()).unwrap();
        self.sent()
    }

    fn sent(&mut self) -> String {
        settle(self.recorder.event_loop()).unwrap();
        String::from_utf8(self.recorder.sent().unwrap()).unwrap()
    }

    fn calls(&self) -> Vec<String> {
        self.calls.take()
    }

    fn advance(&mut self, seconds: u64) {
        self.recorder.advance(Duration::from_secs(seconds)).unwrap();
    }
}

fn limits() -> Limits {
    Limits { max_head: 200, max_fields: 4, max_content: 100, ..Limits::default() }
}
