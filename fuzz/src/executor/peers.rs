use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use wharf::{EventLoop, Result, Task, Transport as _};
use wharf_executor::client::{Client, ClientOptions};
use wharf_executor::coordinator::Filter;
use wharf_executor::task::TaskId;
use wharf_executor::wire::{Ask, Hello, Role, ToCoordinator, decode};
use wharf_executor::work::Worker;

use super::coordinator::serve;
use super::ear::Ear;
use super::{
    ADDRESS, DOUBLE, LONGEST, Line, MOST_TASKS, TOKEN, frame, functions, lines, number,
    worker_options,
};

/// A coordinator that says anything, to a client that waits for all kinds of answers, and to a worker. Then there is one
/// that talks sense, which they find, and whose tasks are submitted and run. At no time has the worker more than it takes.
///
/// Options, in the first byte: in the upper four bits, in which parts bytes are sent: 0: whole. A line begins with the one
/// who hears it: `c`, the client, or another byte, the worker; and goes on:
///
/// | byte | what is said |
/// |---|---|
/// | `w` | that it is welcome, with this lease |
/// | `s` | this, as the answer to the oldest request that has none; to the worker, this of an assignment |
/// | `a` | an assignment with this fence, of what the worker can do |
/// | `m` | this message |
/// | `r` | these bytes |
/// | `p`, `x` | this side ends; it is aborted |
/// | `t` | nothing, for so many milliseconds |
///
/// # Panics
/// If a promise does not hold.
pub fn run(data: &[u8]) {
    let Some((&options, script)) = data.split_first() else { return };
    let part = match options >> 4 {
        0 => usize::MAX,
        part => usize::from(part),
    };
    super::play(async move |event_loop| {
        let anything = Anything::serve(&event_loop, part).await?;
        let worker = Worker::start(&event_loop, [ADDRESS], functions(), worker_options())?;
        let token = Some(TOKEN.into());
        let client =
            Client::start(&event_loop, [ADDRESS], ClientOptions { token, ..Default::default() })?;
        let client = Rc::new(client);
        ask(&event_loop, &client);
        let reads = read(&event_loop, &client);
        event_loop.sleep(Duration::from_millis(1)).await;
        let mut waited = Duration::ZERO;
        for line in lines(script) {
            anything.says(line, &mut waited).await?;
            assert!(worker.tasks() <= MOST_TASKS, "{} tasks", worker.tasks());
        }
        drop(reads);
        anything.end();

        let _server = serve(&event_loop).await?;
        let sense = async {
            // It may be told still that the one before did not want it.
            loop {
                match client.call(&DOUBLE, &21).await {
                    Ok(result) => return result,
                    Err(_) => wharf::sleep(Duration::from_secs(1)).await,
                }
            }
        };
        assert_eq!(wharf::timeout(Duration::from_secs(300), sense).await?, 42);
        // It keeps its lease: the connection stays. What it was told before is forgotten.
        let lost = Rc::new(Cell::new(false));
        let tells = Rc::clone(&lost);
        worker.on_connection(move |connected| tells.set(tells.get() || connected.is_err()));
        event_loop.sleep(Duration::from_secs(120)).await;
        assert_eq!(client.overview().await?.workers.len(), 1);
        assert!(!lost.get(), "the worker's connection was lost");
        assert_eq!(worker.tasks(), 0);
        worker.shutdown(Duration::from_secs(1)).await?;
        Ok(())
    });
}

/// All kinds of requests, whose answers may be anything.
fn ask(event_loop: &EventLoop, client: &Rc<Client>) {
    let one = Rc::clone(client);
    event_loop
        .create_task(async move {
            let Ok(task) = one.submit(DOUBLE.name(), &1).await else { return };
            let _ = task.result::<u64>().await;
            let _ = task.ended().await;
        })
        .detach();
    let one = Rc::clone(client);
    event_loop
        .create_task(async move {
            let _ = one.overview().await;
            let _ = one.list(Filter::default(), 10, None).await;
            let _ = one.drain(false).await;
        })
        .detach();
    let one = Rc::clone(client);
    event_loop
        .create_task(async move {
            let _ = one.call(&DOUBLE, &2).unique_id("watched").await;
        })
        .detach();
}

/// Requests whose answers come in parts. Nobody waits for them any more when this is dropped.
fn read(event_loop: &EventLoop, client: &Rc<Client>) -> [Task<()>; 2] {
    let one = Rc::clone(client);
    let output = event_loop.create_task(async move {
        let Ok(id) = TaskId::new("x") else { return };
        let mut output = one.find(id).output();
        while let Ok(Some(_)) = output.next().await {}
    });
    let one = Rc::clone(client);
    let copy = event_loop.create_task(async move {
        let mut copy = Vec::new();
        if let Ok(length) = one.back_up(&mut copy).await {
            assert_eq!(copy.len() as u64, length);
        }
    });
    [output, copy]
}

/// A coordinator that says anything.
struct Anything {
    event_loop: EventLoop,
    server: wharf::Server,
    ears: Rc<RefCell<Vec<Ear>>>,
    part: usize,
    client: RefCell<Known>,
    worker: RefCell<Known>,
}

/// Who was found out to be there, on the connection that was last.
#[derive(Default)]
struct Known {
    ear: Option<Ear>,
    unanswered: Vec<u64>,
}

impl Anything {
    async fn serve(event_loop: &EventLoop, part: usize) -> Result<Self> {
        let ears = Rc::<RefCell<Vec<Ear>>>::default();
        let made = Rc::clone(&ears);
        let factory = move || {
            let ear = Ear::default();
            made.borrow_mut().push(ear.clone());
            ear
        };
        let server = event_loop.create_server(factory, ADDRESS).await?;
        let (event_loop, client, worker) =
            (event_loop.clone(), RefCell::default(), RefCell::default());
        Ok(Self { event_loop, server, ears, part, client, worker })
    }

    /// Listens to whoever is there: all that they say are messages.
    fn listen(&self) {
        self.ears.borrow_mut().retain(|ear| !ear.is_lost());
        for ear in self.ears.borrow().iter() {
            while let Some(message) = ear.message() {
                match decode::<ToCoordinator>(&message) {
                    Ok(ToCoordinator::Hello(Hello { role: Role::Client, .. })) => {
                        *self.client.borrow_mut() =
                            Known { ear: Some(ear.clone()), unanswered: Vec::new() };
                    }
                    Ok(ToCoordinator::Hello(_)) => {
                        *self.worker.borrow_mut() =
                            Known { ear: Some(ear.clone()), unanswered: Vec::new() };
                    }
                    Ok(ToCoordinator::Request(asked)) => {
                        let is_told_at_once = matches!(asked.ask, Ask::Unwatch(_));
                        if !is_told_at_once {
                            self.client.borrow_mut().unanswered.push(asked.number);
                        }
                    }
                    Ok(_) => {}
                    Err(error) => panic!("{}: {error}", message.escape_ascii()),
                }
            }
        }
    }

    async fn says(&self, line: Line<'_>, waited: &mut Duration) -> Result {
        self.listen();
        let is_client = line.who == b'c';
        let known = if is_client { &self.client } else { &self.worker };
        let text = line.text;
        let message = |parts: &[&[u8]]| frame(&parts.concat());
        let bytes = match line.what {
            b'w' => message(&[br#"{"welcome":{"lease":"#, text, b"}}"]),
            b's' if is_client => {
                let mut known = known.borrow_mut();
                let oldest =
                    if known.unanswered.is_empty() { 0 } else { known.unanswered.remove(0) };
                let number = oldest.to_string();
                message(&[
                    br#"{"answer":{"number":"#,
                    number.as_bytes(),
                    br#","answer":"#,
                    text,
                    b"}}",
                ])
            }
            b'a' => message(&[
                br#"{"assign":{"id":"x","fence":"#,
                text,
                br#","attempt":1,"spec":{"kind":""#,
                DOUBLE.name().as_bytes(),
                br#"","args":1}}}"#,
            ]),
            b'm' | b's' => frame(text),
            b'r' => text.to_vec(),
            _ => Vec::new(),
        };
        let ear = known.borrow().ear.clone().unwrap_or_default();
        match line.what {
            b'p' => ear.with(|transport| transport.write_eof()),
            b'x' => ear.with(|transport| transport.abort()),
            b't' => {
                let wait = Duration::from_millis(number(text)).min(LONGEST - *waited);
                *waited += wait;
                self.event_loop.sleep(wait).await;
            }
            _ => super::say(&self.event_loop, &ear, &bytes, self.part).await,
        }
        self.event_loop.sleep(Duration::from_millis(1)).await;
        Ok(())
    }

    fn end(self) {
        self.listen();
        self.server.close();
        self.server.close_clients();
    }
}
