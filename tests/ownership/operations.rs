//! Every operation that can be given up.

use std::fs::File;
use std::future::poll_fn;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use wharf::{
    CapacityLimiter, Child, ChildFd, ConnectionBuilder, Eof, Executor, LoopFuture, ProcessProtocol,
    ProcessTransport, Protocol, Ready, RemoteTask, Result, SendFile, Shield, Task, Transport,
    relay,
};

use crate::serving::Echo;
use crate::stage::{Silent, Stage};

/// An operation that was started, and whose result nobody takes.
pub(crate) trait Started {
    fn is_done(&self) -> bool;
}

pub(crate) type Begin = fn(&Stage) -> Box<dyn Started>;

/// Waits for bytes that never come, and stays until its peer or this side ends it.
struct Idle;

impl Protocol for Idle {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Result<Eof> {
        Ok(Eof::Close)
    }
}

struct Quiet;

impl ProcessProtocol for Quiet {
    fn pipe_data_received(&mut self, _: &dyn ProcessTransport, _: ChildFd, _: &[u8]) -> Result {
        Ok(())
    }
}

/// Those that a loop in memory and one of the system have in common.
pub(crate) fn of_any_loop() -> Vec<(&'static str, Begin)> {
    #[cfg_attr(not(feature = "tls"), expect(unused_mut))]
    let mut operations: Vec<(&'static str, Begin)> = vec![
        ("a connect", |stage| Box::new(connect(stage).start())),
        ("a connect to a name", |stage| {
            let to = ("localhost", stage.tcp.port());
            Box::new(stage.event_loop.create_connection(|| Idle, to).start())
        }),
        ("a race of connects", |stage| {
            let to = [stage.dead, stage.tcp];
            Box::new(stage.event_loop.create_connection(|| Idle, to.as_slice()).start())
        }),
        ("a connect to a Unix socket", |stage| {
            let to = stage.unix.clone();
            Box::new(stage.event_loop.create_unix_connection(|| Idle, to).start())
        }),
        ("a server", |stage| {
            Box::new(stage.event_loop.create_server(|| Echo, "127.0.0.1:0").start())
        }),
        ("a server by name", |stage| {
            Box::new(stage.event_loop.create_server(|| Echo, "localhost:0").start())
        }),
        ("a Unix server", |stage| {
            let path = stage.new_path("another");
            Box::new(stage.event_loop.create_unix_server(|| Echo, path).start())
        }),
        ("a datagram endpoint", |stage| {
            let endpoint = stage.event_loop.create_datagram_endpoint(|| Silent);
            Box::new(endpoint.local_address("127.0.0.1:0").start())
        }),
        ("a datagram endpoint by name", |stage| {
            let to = stage.udp.as_ip().expect("an IP address");
            let endpoint = stage.event_loop.create_datagram_endpoint(|| Silent);
            Box::new(endpoint.peer_address(("localhost", to.port())).start())
        }),
        ("a Unix datagram endpoint", |stage| {
            let path = stage.new_path("datagrams");
            let endpoint = stage.event_loop.create_datagram_endpoint(|| Silent);
            Box::new(endpoint.local_unix_address(path).start())
        }),
        ("a task with a connect", |stage| {
            let connecting = connect(stage);
            Box::new(stage.event_loop.create_task(async move { connecting.await }))
        }),
        ("a task in a task with two connects", |stage| {
            // Taken in one step: a value that the user's own code holds is the user's.
            let (one, two) = (connect(stage).start(), connect(stage).start());
            let inner = async move { (1, vec![Some(Box::new(both(one, two).await))]) };
            let inner = stage.event_loop.create_task(inner);
            Box::new(stage.event_loop.create_task(async move { Some(inner.await) }))
        }),
        ("a task with a server and an endpoint", |stage| {
            let event_loop = stage.event_loop.clone();
            Box::new(stage.event_loop.create_task(async move {
                let endpoint = event_loop.create_datagram_endpoint(|| Silent);
                let endpoint = endpoint.local_address("127.0.0.1:0").start();
                let server = event_loop.create_server(|| Echo, "127.0.0.1:0").start();
                both(endpoint, server).await
            }))
        }),
        ("a relay", |stage| {
            let a = stage.complete(connect(stage).start());
            let b = stage.complete(connect(stage).start());
            // Nobody says anything: it goes on until it is given up.
            Box::new(relay(&a, &b).start())
        }),
        ("a file that is sent", |stage| {
            let connection = stage.complete(connect(stage).start());
            let file = Rc::new(File::open("/proc/self/exe").expect("a file"));
            let sending = connection.handle().send_file(file, 0, Some(300_000));
            then(sending, move || connection.handle().abort())
        }),
        ("a job", |stage| Box::new(stage.event_loop.run_in_executor(|| vec![1; 1000]))),
        ("a job on a pool of its own", |stage| {
            let executor = Executor::new(1);
            Box::new(stage.event_loop.run_in(&executor, || vec![1; 1000]))
        }),
        ("jobs that wait for a token", |stage| {
            let limiter = CapacityLimiter::new(&stage.event_loop, 1);
            let job = || stage.event_loop.create_job(|_| vec![1; 1000]).limiter(&limiter);
            let first = job().start();
            then(job().start(), move || drop(first))
        }),
        ("a token", |stage| {
            let limiter = CapacityLimiter::new(&stage.event_loop, 0);
            let token = limiter.acquire();
            limiter.set_total_tokens(1);
            Box::new(token)
        }),
        ("a future from elsewhere", |stage| {
            Box::new(stage.event_loop.remote().spawn(async |event_loop| {
                let held = vec![1; 1000];
                event_loop.sleep(Duration::from_millis(1)).await;
                held
            }))
        }),
        ("callbacks for messages", |stage| {
            let (sender, receiver) = stage.event_loop.create_channel(4);
            (0..4).for_each(|_| sender.try_send(vec![1; 1000]).expect("room"));
            Box::new(receiver.on_message(drop))
        }),
        ("waiting for a server's end", |stage| {
            let server = stage.event_loop.create_server(|| Echo, "127.0.0.1:0").start();
            let server = stage.complete(server);
            then(server.wait_closed(), move || server.close())
        }),
        ("serving for ever", |stage| {
            let server = stage.event_loop.create_server(|| Echo, "127.0.0.1:0").start();
            Box::new(stage.complete(server).serve_forever())
        }),
        ("a server's shutdown", |stage| {
            let server = stage.event_loop.create_server(|| Echo, "127.0.0.1:0").start();
            Box::new(stage.complete(server).shutdown(Duration::ZERO))
        }),
        ("a sleep", |stage| {
            let sleep = stage.event_loop.sleep(Duration::from_millis(1));
            Box::new(stage.event_loop.create_task(sleep))
        }),
    ];
    operations.extend(of_the_clock());
    operations.extend(of_groups());
    operations.extend(crate::streams::of_any_loop());
    #[cfg(feature = "tls")]
    operations.extend([
        ("a connect under TLS 1.2", (|stage| Box::new(connect_tls(stage, 0).start())) as Begin),
        ("a connect under TLS 1.3", |stage| Box::new(connect_tls(stage, 1).start())),
        ("a task with a connect under TLS", |stage| {
            let connecting = connect_tls(stage, 1);
            Box::new(stage.event_loop.create_task(async move { connecting.await }))
        }),
        ("a server under TLS", |stage| {
            let server = stage.event_loop.create_server(|| Echo, "127.0.0.1:0");
            Box::new(server.tls(&stage.encrypted[1].0.server).start())
        }),
    ]);
    operations
}

/// Those of `timeout` and its kin.
fn of_the_clock() -> Vec<(&'static str, Begin)> {
    const SOON: Duration = Duration::from_millis(1);
    vec![
        ("a timeout that passes", |stage| {
            let never = std::future::pending::<()>();
            Box::new(stage.event_loop.create_task(stage.event_loop.timeout(SOON, never)))
        }),
        ("a connect in a timeout", |stage| {
            let connecting = connect(stage).start();
            let limited = stage.event_loop.timeout(Duration::from_secs(9), connecting);
            Box::new(stage.event_loop.create_task(limited))
        }),
        ("a connect in a cancel scope", |stage| {
            let (scope, connecting) = (stage.event_loop.cancel_scope(), connect(stage).start());
            scope.reschedule_after(Duration::from_secs(9));
            Box::new(stage.event_loop.create_task(async move { scope.run(connecting).await }))
        }),
        ("a cancel scope that is cancelled", |stage| {
            let scope = stage.event_loop.cancel_scope();
            let inside = scope.clone();
            let steps = async move { inside.run(std::future::pending::<()>()).await };
            let task = stage.event_loop.create_task(steps);
            let timer = stage.event_loop.call_later(SOON, move || scope.cancel());
            then(task, move || timer.cancel())
        }),
        ("a shielded connect", |stage| {
            let connecting = connect(stage).start();
            let shielded = stage.event_loop.shield(Duration::from_secs(9), connecting);
            Box::new(stage.event_loop.create_task(shielded))
        }),
        ("a shield that is done", |stage| {
            Box::new(stage.event_loop.shield(Duration::from_secs(9), std::future::ready(7)))
        }),
        ("ticks", |stage| {
            let mut ticks = stage.event_loop.interval(Duration::from_micros(10));
            Box::new(stage.event_loop.create_task(async move {
                for _ in 0..3 {
                    ticks.tick().await;
                }
            }))
        }),
    ]
}

/// Those of groups and scopes.
fn of_groups() -> Vec<(&'static str, Begin)> {
    vec![
        ("a group of two connects", |stage| {
            let (one, two) = (connect(stage).start(), connect(stage).start());
            Box::new(stage.event_loop.create_task(stage.event_loop.task_group(async |group| {
                let one = group.spawn(async { Ok(one.await?) });
                let two = group.spawn_infallible(two);
                group.spawn(async { Ok(()) });
                // Both in one step: a value that the user's own code holds is the user's.
                Ok(both_children(one, two).await)
            })))
        }),
        ("a group whose tasks nobody awaits", |stage| {
            let connecting = connect(stage).start();
            Box::new(stage.event_loop.create_task(stage.event_loop.task_group(async |group| {
                let child = group.spawn(async { Ok(connecting.await?) });
                group.spawn(async { Ok(()) }).await?;
                drop(child);
                Ok(())
            })))
        }),
        ("a group that fails", |stage| {
            let (connecting, event_loop) = (connect(stage).start(), stage.event_loop.clone());
            Box::new(stage.event_loop.create_task(stage.event_loop.task_group(
                async move |group| {
                    group.spawn(async { Ok(connecting.await?) });
                    event_loop.sleep(Duration::from_millis(1)).await;
                    Err::<(), _>("no luck".into())
                },
            )))
        }),
        ("a task that is started", |stage| {
            let connecting = connect(stage).start();
            Box::new(stage.event_loop.create_task(stage.event_loop.task_group(async |group| {
                let connection = group.start(async |ready: Ready<_>| {
                    ready.set(connecting.await?);
                    std::future::pending().await
                });
                let connection = connection.await?;
                group.finish(Some(connection));
                Ok(None)
            })))
        }),
        ("a scope of two connects", |stage| {
            let (one, two) = (connect(stage).start(), connect(stage).start());
            let connecting = stage.event_loop.scope(async |scope| {
                let one = scope.spawn(async { Ok(one.await?) });
                let two = scope.spawn_infallible(two);
                Ok(both_children(one, two).await)
            });
            Box::new(stage.event_loop.create_task(connecting))
        }),
    ]
}

/// Both results, taken in the step in which both are there.
async fn both_children<A, B>(one: Child<'_, A>, two: Child<'_, B>) -> impl Sized + use<A, B> {
    let (mut one, mut two) = (one, two);
    poll_fn(|context| {
        let one_waits = !one.is_done() && Pin::new(&mut one).poll(context).is_pending();
        let two_waits = !two.is_done() && Pin::new(&mut two).poll(context).is_pending();
        if one_waits || two_waits { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    (one.await, two.await)
}

/// Those that take descriptors of the system.
pub(crate) fn of_the_system() -> Vec<(&'static str, Begin)> {
    vec![
        ("a connect on a socket", |stage| {
            let socket = TcpStream::connect(stage.tcp).expect("a socket");
            Box::new(stage.event_loop.create_connection_on(|| Idle, socket).start())
        }),
        ("an accepted socket", |stage| {
            let (ours, theirs) = UnixStream::pair().expect("a pair");
            let accepted = stage.event_loop.connect_accepted_socket(|| Idle, ours).start();
            then(accepted, move || drop(theirs))
        }),
        ("a server on a listener", |stage| {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
            Box::new(stage.event_loop.create_server_on(|| Echo, [listener]).start())
        }),
        ("a server on a Unix listener", |stage| {
            let listener = UnixListener::bind(stage.new_path("given")).expect("a listener");
            Box::new(stage.event_loop.create_server_on(|| Echo, [listener]).start())
        }),
        ("a pipe that is read", |stage| {
            let (reader, writer) = std::io::pipe().expect("a pipe");
            let pipe = stage.event_loop.connect_read_pipe(|| Idle, reader).start();
            then(pipe, move || drop(writer))
        }),
        ("a pipe that is written", |stage| {
            let (reader, writer) = std::io::pipe().expect("a pipe");
            let pipe = stage.event_loop.connect_write_pipe(|| Idle, writer).start();
            then(pipe, move || drop(reader))
        }),
        ("two pipes", |stage| {
            let (reader, mut far) = std::io::pipe().expect("a pipe");
            let (other, writer) = std::io::pipe().expect("a pipe");
            far.write_all(b"unread").expect("room");
            let pipes = stage.event_loop.connect_pipes(|| Idle, reader, writer).start();
            then(pipes, move || drop((far, other)))
        }),
        ("a file that is written", |stage| {
            let file = File::create(stage.path("file")).expect("a file");
            Box::new(stage.event_loop.connect_write_pipe(|| Idle, file).start())
        }),
        ("a FIFO without a reader", |stage| {
            let path = fifo(stage);
            let waiting = stage.event_loop.connect_write_fifo(|| Idle, path);
            Box::new(waiting.timeout(None).start())
        }),
        ("a FIFO that is read", |stage| {
            let path = fifo(stage);
            Box::new(stage.event_loop.connect_read_fifo(|| Idle, path).keep_open(true).start())
        }),
        ("standard output", |stage| Box::new(stage.event_loop.connect_stdout(|| Idle).start())),
        ("a child", |stage| Box::new(stage.event_loop.subprocess_exec(|| Quiet, "cat").start())),
        ("a task with a child", |stage| {
            let child = stage.event_loop.subprocess_exec(|| Quiet, "cat");
            Box::new(stage.event_loop.create_task(async move { child.await }))
        }),
        ("a program to its end", |stage| {
            Box::new(stage.event_loop.run_process("cat").input("hello").start())
        }),
        ("waiting for a child's exit", |stage| {
            let child = stage.event_loop.subprocess_exec(|| Quiet, "cat").start();
            let child = stage.complete(child);
            then(child.wait(), move || drop(child))
        }),
        ("serving until a signal", |stage| {
            let server = stage.event_loop.create_server(|| Echo, "127.0.0.1:0").start();
            let server = stage.complete(server);
            Box::new(server.serve_until([wharf::signal::SIGUSR2], Duration::ZERO))
        }),
        ("receiving from a socket", |stage| {
            let (ours, theirs) = UnixStream::pair().expect("a pair");
            let event_loop = stage.event_loop.clone();
            Box::new(stage.event_loop.create_task(async move {
                let count = event_loop.sock_recv(&ours, &mut [0; 8]).await;
                drop(theirs);
                count
            }))
        }),
        ("accepting from a socket", |stage| {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
            listener.set_nonblocking(true).expect("a mode");
            let client = TcpStream::connect(listener.local_addr().expect("an address"));
            let event_loop = stage.event_loop.clone();
            Box::new(stage.event_loop.create_task(async move {
                let accepted = event_loop.sock_accept(&listener).await;
                (accepted, client, listener)
            }))
        }),
        ("an offer of a handover", |stage| {
            let server =
                stage.complete(stage.event_loop.create_server(|| Echo, "127.0.0.1:0").start());
            let path = stage.new_path("control");
            let offer = stage.event_loop.offer_handover(path, [("echo", &server)]);
            then(offer, move || server.close())
        }),
        ("taking over", |stage| {
            let server =
                stage.complete(stage.event_loop.create_server(|| Echo, "127.0.0.1:0").start());
            let path = stage.new_path("control");
            let offer = stage.event_loop.offer_handover(&path, [("echo", &server)]);
            let offer = stage.complete(offer);
            let inherited = stage.event_loop.take_over(path);
            let end = move || {
                offer.close();
                server.close();
            };
            then(inherited, end)
        }),
        ("serving what was taken over", |stage| {
            let server =
                stage.complete(stage.event_loop.create_server(|| Echo, "127.0.0.1:0").start());
            let path = stage.new_path("control");
            let offer = stage.event_loop.offer_handover(&path, [("echo", &server)]);
            let offer = stage.complete(offer);
            let inherited = stage.complete(stage.event_loop.take_over(path));
            let mut inherited = inherited.expect("a predecessor");
            let listeners = inherited.take_listeners("echo");
            let successor = stage.event_loop.create_server_on(|| Echo, listeners).start();
            let successor = stage.complete(successor);
            let serving = inherited.serving([("echo", &successor)]);
            let end = move || {
                offer.close();
                server.close();
                successor.close();
            };
            then(serving, end)
        }),
    ]
}

fn connect(stage: &Stage) -> ConnectionBuilder<impl Protocol> {
    stage.event_loop.create_connection(|| Idle, stage.tcp)
}

#[cfg(feature = "tls")]
fn connect_tls(stage: &Stage, version: usize) -> ConnectionBuilder<impl Protocol> {
    let (tls, to) = &stage.encrypted[version];
    crate::encryption::connect(Some(tls), stage.event_loop.create_connection(|| Idle, *to))
}

pub(crate) fn fifo(stage: &Stage) -> std::path::PathBuf {
    let path = stage.path("fifo");
    if !path.exists() {
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.is_ok_and(|status| status.success()), "a FIFO");
    }
    path
}

/// Both results, taken in the step in which both are there.
pub(crate) async fn both<A, B>(mut a: LoopFuture<A>, mut b: LoopFuture<B>) -> impl Sized {
    poll_fn(|context| {
        let a_waits = !a.is_done() && Pin::new(&mut a).poll(context).is_pending();
        let b_waits = !b.is_done() && Pin::new(&mut b).poll(context).is_pending();
        if a_waits || b_waits { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    (a.await, b.await)
}

impl<T> Started for LoopFuture<T> {
    fn is_done(&self) -> bool {
        self.is_done()
    }
}

impl<T> Started for Task<T> {
    fn is_done(&self) -> bool {
        self.is_done()
    }
}

impl<T: Send> Started for RemoteTask<T> {
    fn is_done(&self) -> bool {
        self.is_done()
    }
}

impl<T> Started for Shield<T> {
    fn is_done(&self) -> bool {
        self.is_done()
    }
}

impl Started for SendFile {
    fn is_done(&self) -> bool {
        self.is_done()
    }
}

/// An operation, and what is to be done when it was given up.
struct Then<S>(Option<(S, Box<dyn FnOnce()>)>);

fn then<S: Started + 'static>(started: S, end: impl FnOnce() + 'static) -> Box<dyn Started> {
    Box::new(Then(Some((started, Box::new(end)))))
}

impl<S: Started> Started for Then<S> {
    fn is_done(&self) -> bool {
        self.0.as_ref().is_none_or(|(started, _)| started.is_done())
    }
}

impl<S> Drop for Then<S> {
    fn drop(&mut self) {
        if let Some((started, end)) = self.0.take() {
            drop(started);
            end();
        }
    }
}
