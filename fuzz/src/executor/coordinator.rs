use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use redb::backends::InMemoryBackend;
use wharf::{EventLoop, Result, Transport as _};
use wharf_executor::access::Tokens;
use wharf_executor::client::{Client, ClientOptions};
use wharf_executor::serve::{CoordinatorServer, ServeOptions};
use wharf_executor::store::DiskStore;
use wharf_executor::task::Timestamp;
use wharf_executor::wire::{FromCoordinator, decode};
use wharf_executor::work::Worker;

use super::ear::Ear;
use super::{
    ADDRESS, DOUBLE, LONGEST, Line, TOKEN, frame, functions, lines, number, worker_options,
};

/// Conversations with a coordinator, beside a client and a worker that talk sense.
///
/// Options, in the first byte: bit 0: peers may operate the coordinator; bit 1: the script is played again with its bytes
/// in parts, whose length is in the upper four bits, and peers must hear the same. A line begins with a peer (of eight),
/// who connects if not connected, and goes on:
///
/// | byte | what the peer does |
/// |---|---|
/// | `c` | says that it is a client |
/// | `w` | says that it is a worker for two tasks of the kinds `a` and `b`, with these fences |
/// | `q` | asks this, with the number 1 |
/// | `f`, `F` | reports this of the oldest assignment that it has; with `F` it keeps that |
/// | `o` | says this of that assignment's output |
/// | `m` | says this message |
/// | `r` | sends these bytes |
/// | `d`, `h` | does not read any more; reads again |
/// | `p`, `x` | ends its side; aborts |
/// | `t` | waits for so many milliseconds |
///
/// # Panics
/// If a promise does not hold.
pub fn run(data: &[u8]) {
    let Some((&options, script)) = data.split_first() else { return };
    let whole = conversations(options, script, usize::MAX);
    if options & 2 != 0 {
        let part = usize::from(options >> 4) + 1;
        let split = conversations(options, script, part);
        assert_eq!(split, whole, "in parts of {part} bytes, and whole");
    }
}

/// What peers have heard after each line, in any order.
type Told = Vec<(usize, Vec<String>)>;

fn conversations(options: u8, script: &[u8], part: usize) -> Told {
    let told = Rc::new(RefCell::new(Told::new()));
    let tells = Rc::clone(&told);
    super::play(async move |event_loop| {
        let server = serve(&event_loop).await?;
        let _worker = Worker::start(&event_loop, [ADDRESS], functions(), worker_options())?;
        let token = Some(TOKEN.into());
        let client =
            Client::start(&event_loop, [ADDRESS], ClientOptions { token, ..Default::default() })?;
        assert_eq!(good_task(&client, "first-1b0bbe5a", 1).await?, 2);
        event_loop.sleep(Duration::from_millis(1)).await;
        let before = server.held();

        // It is due in the middle of the script.
        let beside = client.call(&DOUBLE, &2).unique_id("second-97c1b5d2");
        let beside = beside.delay(Duration::from_millis(3)).submit().await?;
        let mut crowd = Crowd::new(&event_loop, options & 1 != 0, part);
        for line in lines(script) {
            crowd.does(line).await?;
            tells.borrow_mut().extend(crowd.heard());
        }
        crowd.leave().await;

        client.drain(false).await?;
        let both =
            async { Ok((beside.result().await?, good_task(&client, "third-0c5a", 3).await?)) };
        let both: Result<_> = wharf::timeout(LONGEST, both).await?;
        assert_eq!(both?, (4, 6));
        event_loop.sleep(Duration::from_millis(1)).await;
        for ((what, now), (_, before)) in server.held().into_iter().zip(before) {
            assert!(now <= before, "{what}: {now} are left, and there were {before}");
        }
        Ok(())
    });
    told.take()
}

async fn good_task(client: &Client, id: &str, number: u64) -> Result<u64> {
    Ok(client.call(&DOUBLE, &number).unique_id(id).await?)
}

/// A coordinator with a store in memory.
pub(super) async fn serve(event_loop: &EventLoop) -> Result<CoordinatorServer> {
    let store = DiskStore::open_in(InMemoryBackend::new())?;
    let (clock, began) = (event_loop.clone(), event_loop.time());
    let tokens = Tokens {
        all: Some(TOKEN.into()),
        submit: Some("submit".into()),
        work: Some("work".into()),
    };
    let mut options = ServeOptions {
        tokens,
        clock: Box::new(move || Timestamp(1_800_000_000_000).after(clock.time() - began)),
        ..ServeOptions::default()
    };
    options.random.seed(1);
    let server = CoordinatorServer::new(event_loop, store, options)?;
    let factory = server.clone();
    event_loop.create_server(move || factory.protocol(), ADDRESS).await?;
    Ok(server)
}

/// Those of the script.
struct Crowd {
    event_loop: EventLoop,
    may_operate: bool,
    part: usize,
    peers: [Option<Peer>; 8],
    waited: Duration,
}

struct Peer {
    ear: Ear,
    fences: VecDeque<u64>,
    is_deaf: bool,
    is_refused: bool,
}

impl Crowd {
    fn new(event_loop: &EventLoop, may_operate: bool, part: usize) -> Self {
        let (event_loop, waited) = (event_loop.clone(), Duration::ZERO);
        Self { event_loop, may_operate, part, peers: Default::default(), waited }
    }

    async fn does(&mut self, line: Line<'_>) -> Result {
        let (submit, work) = if self.may_operate { (TOKEN, TOKEN) } else { ("submit", "work") };
        let place = &mut self.peers[usize::from(line.who % 8)];
        if place.as_ref().is_none_or(|peer| peer.ear.is_lost()) {
            let ear = Ear::default();
            let given = ear.clone();
            self.event_loop.create_connection(move || given, ADDRESS).await?;
            *place = Some(Peer { ear, fences: VecDeque::new(), is_deaf: false, is_refused: false });
        }
        let Some(peer) = place else { return Ok(()) };
        let fence = match line.what {
            b'f' => peer.fences.pop_front(),
            _ => peer.fences.front().copied(),
        };
        let fence = fence.unwrap_or(7).to_string();
        let text = line.text;
        let message = |parts: &[&[u8]]| frame(&parts.concat());
        let bytes = match line.what {
            b'c' => message(&[
                br#"{"hello":{"version":1,"token":""#,
                submit.as_bytes(),
                br#"","role":"client"}}"#,
            ]),
            b'w' => message(&[
                br#"{"hello":{"version":1,"token":""#,
                work.as_bytes(),
                br#"","role":{"worker":{"name":"w","kinds":["a","b"],"capacity":2,"fences":["#,
                text,
                b"]}}}}",
            ]),
            b'q' => message(&[br#"{"request":{"number":1,"ask":"#, text, b"}}"]),
            b'f' | b'F' => message(&[
                br#"{"report":{"fence":"#,
                fence.as_bytes(),
                br#","outcome":"#,
                text,
                b"}}",
            ]),
            b'o' => message(&[br#"{"output":{"fence":"#, fence.as_bytes(), b",", text, b"}}"]),
            b'm' => frame(text),
            b'r' => text.to_vec(),
            b'd' => {
                peer.is_deaf = true;
                peer.ear.with(|transport| transport.pause_reading());
                Vec::new()
            }
            b'h' => {
                peer.is_deaf = false;
                peer.ear.with(|transport| transport.resume_reading());
                Vec::new()
            }
            b'p' => {
                peer.ear.with(|transport| transport.write_eof());
                Vec::new()
            }
            b'x' => {
                peer.ear.with(|transport| transport.abort());
                Vec::new()
            }
            b't' => {
                let wait = Duration::from_millis(number(text)).min(LONGEST - self.waited);
                self.waited += wait;
                self.event_loop.sleep(wait).await;
                Vec::new()
            }
            _ => Vec::new(),
        };
        super::say(&self.event_loop, &peer.ear, &bytes, self.part).await;
        self.event_loop.sleep(Duration::from_millis(1)).await;
        Ok(())
    }

    /// What each has heard that is new: messages, and nothing after the one that it is refused.
    fn heard(&mut self) -> Told {
        let mut told = Told::new();
        for (number, peer) in self.peers.iter_mut().enumerate() {
            let Some(peer) = peer else { continue };
            let mut messages = Vec::new();
            while let Some(message) = peer.ear.message() {
                assert!(!peer.is_refused, "{number} hears more than that it is refused");
                match decode::<FromCoordinator>(&message) {
                    Ok(FromCoordinator::Assign(assign)) => peer.fences.push_back(assign.fence),
                    Ok(FromCoordinator::Refused(_)) => peer.is_refused = true,
                    Ok(_) => {}
                    Err(error) => panic!("{number} hears {}: {error}", message.escape_ascii()),
                }
                messages.push(String::from_utf8_lossy(&message).into_owned());
            }
            if !peer.is_deaf && !peer.ear.is_lost() {
                assert_eq!(peer.ear.rest(), 0, "{number} has heard a half of a message");
            }
            messages.sort();
            if !messages.is_empty() {
                told.push((number, messages));
            }
        }
        told
    }

    /// Half of them end, the others are gone.
    async fn leave(self) {
        for (number, peer) in self.peers.iter().enumerate() {
            if let Some(peer) = peer {
                peer.ear.with(|transport| match number % 2 {
                    0 => transport.abort(),
                    _ => {
                        transport.resume_reading();
                        transport.close();
                    }
                });
            }
        }
        self.event_loop.sleep(Duration::from_secs(1)).await;
    }
}
