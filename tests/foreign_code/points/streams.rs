//! Protocols of connections and pipes, and what makes them.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use wharf::bytes::Bytes;
use wharf::{Buffered, Protocol, Transport, relay, with_info};

use super::actor::{Actor, At, By};
use crate::bomb::{DropError, Owner, TextError};
use crate::stage::{Point, Stage, blow_up, connect, elsewhere, reported};

fn says_hello(client: &mut TcpStream) {
    // The other end may be gone already.
    let _ = client.write_all(b"hello");
}

fn says_hello_and_ends(client: &mut TcpStream) {
    says_hello(client);
    let _ = client.shutdown(Shutdown::Write);
}

fn at(stage: &Stage, at: At, by: By) {
    // A connection that closes is not told of its marks any more, nor that it is idle.
    let stays = matches!(at, At::Pause | At::Resume | At::TimedOut);
    let talk = if stays { says_hello } else { says_hello_and_ends };
    stage.serve(Actor::new(stage, at, by), talk);
}

fn buffered(stage: &Stage, at: At, by: By) {
    let mut make = Actor::new(stage, at, by);
    let ends = matches!(at, At::Eof | At::Lost);
    let talk = if ends { says_hello_and_ends } else { says_hello };
    stage.serve(move || Buffered(make()), talk);
}

/// Asks a server's only connection to come to its end.
fn shuts_down<P: Protocol>(stage: &Stage, factory: impl FnMut() -> P + 'static) {
    let before = stage.bomb.count();
    let serving = stage.event_loop.create_server(factory, "127.0.0.1:0").start();
    let server = stage.complete(serving).expect("a server");
    let client = connect(&server);
    stage.until("the connection", || server.connections() == 1);
    stage.shut_down(&server);
    stage.until_reached(before);
    drop(client);
}

/// A server that refuses who comes, by an error.
fn refuse(stage: &Stage, text: bool, handles: bool) {
    let bomb = stage.bomb.clone();
    let factory = move |_: &wharf::Info| -> wharf::Result<Actor> {
        if text {
            Err(TextError(bomb.clone()).into())
        } else {
            Err(DropError(bomb.on_drop()).into())
        }
    };
    let mut builder = stage.event_loop.create_server(with_info(factory), "127.0.0.1:0");
    if handles {
        builder = builder.on_accept_error(|_| {});
    }
    let server = stage.complete(builder.start()).expect("a server");
    stage.talk_to(&server, |_| {});
}

const CALLBACKS: &[Point] = &[
    reported("connection_made", |stage| at(stage, At::Made, By::Panic)),
    reported("data_received", |stage| at(stage, At::Data, By::Panic)),
    reported("eof_received", |stage| at(stage, At::Eof, By::Panic)),
    reported("pause_writing", |stage| at(stage, At::Pause, By::Panic)),
    reported("resume_writing", |stage| at(stage, At::Resume, By::Panic)),
    reported("timed_out", |stage| at(stage, At::TimedOut, By::Panic)),
    reported("connection_lost", |stage| at(stage, At::Lost, By::Panic)),
    reported("shutting_down", |stage| {
        shuts_down(stage, Actor::new(stage, At::ShuttingDown, By::Panic));
    }),
    reported("a buffered protocol's shutting_down", |stage| {
        let mut make = Actor::new(stage, At::ShuttingDown, By::Panic);
        shuts_down(stage, move || Buffered(make()));
    }),
    reported("the drop of shutting_down's error", |stage| {
        shuts_down(stage, Actor::new(stage, At::ShuttingDown, By::DroppedError));
    }),
    reported("the drop of timed_out's error", |stage| at(stage, At::TimedOut, By::DroppedError)),
    reported("the drop of eof_received's error", |stage| at(stage, At::Eof, By::DroppedError)),
    reported("the drop of pause_writing's error", |stage| at(stage, At::Pause, By::DroppedError)),
    reported("get_buffer", |stage| buffered(stage, At::GetBuffer, By::Panic)),
    reported("buffer_updated", |stage| buffered(stage, At::BufferUpdated, By::Panic)),
    reported("a buffered protocol's connection_made", |stage| {
        buffered(stage, At::Made, By::Panic);
    }),
    reported("a buffered protocol's eof_received", |stage| buffered(stage, At::Eof, By::Panic)),
    reported("a buffered protocol's pause_writing", |stage| {
        buffered(stage, At::Pause, By::Panic);
    }),
    reported("a buffered protocol's resume_writing", |stage| {
        buffered(stage, At::Resume, By::Panic);
    }),
    reported("a buffered protocol's timed_out", |stage| {
        buffered(stage, At::TimedOut, By::Panic);
    }),
    reported("a buffered protocol's connection_lost", |stage| {
        buffered(stage, At::Lost, By::Panic);
    }),
    reported("descriptors_received", |stage| {
        let make = Actor::new(stage, At::Descriptors, By::Panic);
        passes_descriptors(stage, make);
    }),
    reported("a buffered protocol's descriptors_received", |stage| {
        let mut make = Actor::new(stage, At::Descriptors, By::Panic);
        passes_descriptors(stage, move || Buffered(make()));
    }),
    reported("the drop of descriptors_received's error", |stage| {
        let make = Actor::new(stage, At::Descriptors, By::DroppedError);
        passes_descriptors(stage, make);
    }),
    reported("the drop of a protocol", |stage| {
        stage.serve(Actor::dropped(stage), says_hello_and_ends);
    }),
    reported("the drop of a buffered protocol", |stage| {
        let mut make = Actor::dropped(stage);
        stage.serve(move || Buffered(make()), says_hello_and_ends);
    }),
];

const ERRORS: &[Point] = &[
    reported("the drop of connection_made's error", |stage| at(stage, At::Made, By::DroppedError)),
    reported("the drop of data_received's error", |stage| at(stage, At::Data, By::DroppedError)),
    reported("the drop of eof_received's error", |stage| at(stage, At::Eof, By::DroppedError)),
    reported("the drop of connection_lost's error", |stage| at(stage, At::Lost, By::DroppedError)),
    reported("the drop of buffer_updated's error", |stage| {
        buffered(stage, At::BufferUpdated, By::DroppedError);
    }),
    // The default handler prints to standard error.
    elsewhere("the text of data_received's error", |stage| {
        // It is the default handler that shows it.
        stage.event_loop.reset_exception_handler();
        at(stage, At::Data, By::ErrorsText);
    }),
    elsewhere("the text of connection_lost's error", |stage| {
        // It is the default handler that shows it.
        stage.event_loop.reset_exception_handler();
        at(stage, At::Lost, By::ErrorsText);
    }),
    reported("the drop of a factory's error", |stage| refuse(stage, false, false)),
    reported("the drop of a factory's error that on_accept_error is told", |stage| {
        refuse(stage, false, true);
    }),
    elsewhere("the text of a factory's error", |stage| {
        // It is the default handler that shows it.
        stage.event_loop.reset_exception_handler();
        refuse(stage, true, false);
    }),
];

const FACTORIES: &[Point] = &[
    reported("a server's factory", |stage| {
        let (bomb, mut make) = (stage.bomb.clone(), Actor::new(stage, At::Nowhere, By::Panic));
        let factory = move || {
            bomb.tick();
            make()
        };
        stage.serve(factory, says_hello);
    }),
    reported("the drop of a server's factory", |stage| {
        let (guard, mut make) = (stage.bomb.on_drop(), Actor::new(stage, At::Nowhere, By::Panic));
        let factory = move || {
            let _ = &guard;
            make()
        };
        stage.serve(factory, says_hello_and_ends);
    }),
    reported("on_accept_error", |stage| {
        let bomb = stage.bomb.clone();
        let factory = |_: &wharf::Info| -> wharf::Result<Actor> { Err("nobody comes in".into()) };
        let builder = stage.event_loop.create_server(with_info(factory), "127.0.0.1:0");
        let serving = builder.on_accept_error(move |_| bomb.tick()).start();
        let server = stage.complete(serving).expect("a server");
        stage.talk_to(&server, |_| {});
    }),
    reported("the drop of on_accept_error", |stage| {
        let guard = stage.bomb.on_drop();
        let make = Actor::new(stage, At::Nowhere, By::Panic);
        let builder = stage.event_loop.create_server(make, "127.0.0.1:0");
        let serving = builder
            .on_accept_error(move |_| {
                let _ = &guard;
            })
            .start();
        let server = stage.complete(serving).expect("a server");
        stage.talk_to(&server, says_hello_and_ends);
    }),
    elsewhere("a client's factory", |stage| {
        let server = stage
            .event_loop
            .create_server(Actor::new(stage, At::Nowhere, By::Panic), "127.0.0.1:0");
        let server = stage.complete(server.start()).expect("a server");
        let (bomb, mut make) = (stage.bomb.clone(), Actor::new(stage, At::Nowhere, By::Panic));
        let factory = move || {
            bomb.tick();
            make()
        };
        let to = server.addresses()[0].to_string();
        let connected = stage.complete(stage.event_loop.create_connection(factory, to).start());
        if let Ok(connection) = connected {
            connection.handle().close();
        }
        stage.shut_down(&server);
    }),
];

const VALUES: &[Point] = &[
    reported("the done callback of a hot restart", |stage| {
        let before = stage.bomb.count();
        let name = format!("wharf-foreign-{}-{:p}-{before}", std::process::id(), stage);
        let control = std::env::temp_dir().join(name);
        let event_loop = &stage.event_loop;
        let make = Actor::new(stage, At::Nowhere, By::Panic);
        let serving = event_loop.create_server(make, "127.0.0.1:0").start();
        let server = stage.complete(serving).expect("a server");
        let offer = stage.complete(event_loop.offer_handover(&control, [("echo", &server)]));
        let offer = offer.expect("an offer");
        let bomb = stage.bomb.clone();
        offer.taken().add_done_callback(move |_| bomb.tick());
        let taken = stage.complete(event_loop.take_over(&control)).expect("to take over");
        let mut taken = taken.expect("a predecessor");
        let listeners = taken.take_listeners("echo");
        let make = Actor::new(stage, At::Nowhere, By::Panic);
        let next = stage.complete(event_loop.create_server_on(make, listeners).start());
        let next = next.expect("a successor");
        let offer = stage.complete(taken.serving([("echo", &next)])).expect("to serve");
        stage.until_reached(before);
        offer.close();
        stage.shut_down(&server);
        stage.shut_down(&next);
        stage.until("the end", || event_loop.statistics().sources == 0);
        let _ = std::fs::remove_file(control);
    }),
    reported("the drop of written bytes", |stage| at(stage, At::Data, By::WrittenBytes)),
    reported("the drop of bytes left over", |stage| at(stage, At::Data, By::Leftover)),
    reported("the drop of bytes given to a connection that is gone", |stage| {
        let handle = gone(stage);
        let bytes = || Bytes::from_owner(Owner(vec![7; 20], stage.bomb.on_drop()));
        handle.write_bytes(bytes());
        let next = Actor::new(stage, At::Nowhere, By::Panic)();
        handle.set_protocol(Box::new(next), bytes());
        handle.set_protocol(Box::new(Actor::dropped(stage)()), Bytes::new());
    }),
    reported("the drop of a protocol that another took the place of before it began", |stage| {
        let make = Actor::dropped(stage);
        let handle = living(stage);
        let mut make = make;
        handle.set_protocol(Box::new(make()), Bytes::new());
        let mut plain = Actor::new(stage, At::Nowhere, By::Panic);
        handle.set_protocol(Box::new(plain()), Bytes::new());
        end(stage, &handle);
    }),
    reported("the drop of a protocol that a relay takes the place of", |stage| {
        let (a, b) = (living_with(stage, Actor::dropped(stage)()), living(stage));
        let before = stage.bomb.count();
        let relayed = relay(&a, &b).start();
        stage.until_reached(before);
        a.abort();
        b.abort();
        let _ = stage.complete(relayed);
        // The relay has told connection_lost to neither protocol: they were replaced.
        stage.counts.lost.set(stage.counts.made.get());
    }),
    reported("a relay's done callback", |stage| {
        let (a, b) = (living(stage), living(stage));
        let before = stage.bomb.count();
        let bomb = stage.bomb.clone();
        relay(&a, &b).start().add_done_callback(move |_| bomb.tick());
        a.abort();
        stage.until_reached(before);
        end(stage, &b);
        stage.counts.lost.set(stage.counts.made.get());
    }),
    reported("the drop of what a relay gives that nobody takes", |stage| {
        let (a, b) = (living(stage), living(stage));
        let before = stage.bomb.count();
        let (bomb, outcome) = (stage.bomb.on_drop(), relay(&a, &b).start());
        stage.event_loop.create_task(async move { (outcome.await, bomb) }).detach();
        a.abort();
        stage.until_reached(before);
        end(stage, &b);
        stage.until("the task's end", || stage.event_loop.statistics().tasks == 0);
        stage.counts.lost.set(stage.counts.made.get());
    }),
    reported("the drop of a relay's leftovers", |stage| {
        let (a, b) = (living(stage), living(stage));
        let before = stage.bomb.count();
        let bytes = || Bytes::from_owner(Owner(vec![7; 20], stage.bomb.on_drop()));
        let outcome = relay(&a, &b).leftovers(bytes(), bytes()).start();
        stage.until_reached(before + 1);
        a.abort();
        b.abort();
        let _ = stage.complete(outcome);
        end(stage, &a);
        stage.counts.lost.set(stage.counts.made.get());
    }),
    reported("the drop of leftovers of a relay that cannot be", |stage| {
        let (a, b) = (gone(stage), living(stage));
        let before = stage.bomb.count();
        let bytes = || Bytes::from_owner(Owner(vec![7; 20], stage.bomb.on_drop()));
        let refused = stage.complete(relay(&a, &b).leftovers(bytes(), bytes()).start());
        assert!(refused.is_err_and(|error| error.is_closed()));
        stage.until_reached(before + 1);
        end(stage, &b);
    }),
    reported("a file's done callback", |stage| {
        let handle = living(stage);
        let before = stage.bomb.count();
        let file = Rc::new(std::fs::File::open("Cargo.toml").expect("a file"));
        let bomb = stage.bomb.clone();
        handle.send_file(file, 0, None).add_done_callback(move |_| bomb.tick());
        stage.until_reached(before);
        end(stage, &handle);
    }),
    reported("the closure of post", |stage| {
        let connection = connection(stage, Actor::new(stage, At::Nowhere, By::Panic)());
        let before = stage.bomb.count();
        let bomb = stage.bomb.clone();
        connection.post(move |_, _| bomb.tick());
        stage.until_reached(before);
        end(stage, connection.handle());
    }),
    elsewhere("the closure of with", |stage| {
        let connection = connection(stage, Actor::new(stage, At::Nowhere, By::Panic)());
        let call = || connection.with(|_, _| stage.bomb.tick());
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call));
        end(stage, connection.handle());
    }),
];

/// Sends a descriptor to what `receiver` makes, over a pair of Unix sockets.
fn passes_descriptors<P: Protocol>(stage: &Stage, receiver: impl FnMut() -> P + 'static) {
    let before = stage.bomb.count();
    let (near, far) = UnixStream::pair().expect("a pair");
    let quiet = Actor::new(stage, At::Nowhere, By::Panic);
    let sending = stage.event_loop.create_connection_on(quiet, near).start();
    let sender = stage.complete(sending).expect("a sender");
    let receiving = stage.event_loop.connect_accepted_socket(receiver, far);
    let receiving = receiving.receive_descriptors(2).start();
    let receiver = stage.complete(receiving).expect("a receiver");
    let file = std::fs::File::open("Cargo.toml").expect("a file");
    sender.handle().write_with_descriptors(b"one", vec![file.into()]).expect("to write");
    // A handle would keep the error that ends the connection.
    drop(receiver);
    stage.until_reached(before);
    sender.handle().abort();
    stage.until("the end", || stage.event_loop.statistics().connections_open == 0);
}

/// One end of a pair whose other end only counts.
fn connection(stage: &Stage, near: Actor) -> wharf::Connection<Actor> {
    let far = Actor::new(stage, At::Nowhere, By::Panic)();
    let (near, _) = wharf::testing::pair(&stage.event_loop, 1 << 20, near, far).expect("a pair");
    near
}

fn living_with(stage: &Stage, near: Actor) -> wharf::TransportHandle {
    connection(stage, near).handle().clone()
}

fn living(stage: &Stage) -> wharf::TransportHandle {
    living_with(stage, Actor::new(stage, At::Nowhere, By::Panic)())
}

fn end(stage: &Stage, handle: &wharf::TransportHandle) {
    handle.abort();
    stage.until("the end", || stage.event_loop.statistics().connections_open == 0);
}

fn gone(stage: &Stage) -> wharf::TransportHandle {
    let handle = living(stage);
    end(stage, &handle);
    handle
}

#[test]
fn a_panic_in_any_callback_of_a_protocol_ends_its_connection_alone() {
    blow_up(CALLBACKS);
}

#[test]
fn errors_of_users_may_panic_when_they_are_shown_or_dropped() {
    blow_up(ERRORS);
}

#[test]
fn factories_and_what_they_hold_may_panic() {
    blow_up(FACTORIES);
}

#[test]
fn values_that_connections_hold_may_panic() {
    blow_up(VALUES);
}
