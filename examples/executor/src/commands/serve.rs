use std::fs::DirBuilder;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use futures_util::future::{Either, select};
use serde_json::json;
use wharf::signal::{SIGHUP, SIGINT, SIGTERM, SIGUSR2};
use wharf::{EventLoop, InheritedSockets, Result, SignalStream, TlsServer, inherited_sockets};

use super::dashboard::Http;
use super::listening::{Listener, Listening};
use super::output::{Output, say};
use super::restart::{CHECKED, DRAINING, Successor, sockets_of};
use super::secrets::Demands;
use super::service::Manager;
use super::{descriptors, parse};
use crate::coordinator::Settings;
use crate::serve::{CoordinatorServer, ServeOptions};
use crate::store::{DiskStore, FORMAT};

#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    listening: Listening,
    #[command(flatten)]
    demands: Demands,
    /// Where the tasks are kept
    #[arg(long, default_value = "wharf-executor.data")]
    data: PathBuf,
    #[command(flatten)]
    http: Http,
    /// Begins without taking new tasks or giving any to workers, as after `drain`
    #[arg(long, env = DRAINING, hide_env = true)]
    draining: bool,
    /// A worker of which nothing was heard for so long is lost
    #[arg(long, default_value = "15s", value_parser = parse::duration)]
    lease: Duration,
    /// How long after a restart workers may come back to what they were running
    #[arg(long, default_value = "30s", value_parser = parse::duration)]
    return_within: Duration,
    /// How long connections and the disk have when the coordinator is to end; a second signal ends it at once
    #[arg(long, default_value = "5s", value_parser = parse::duration)]
    grace: Duration,
    /// Only looks whether it could start in the place of a running one
    #[arg(long, hide = true)]
    check: bool,
}

impl Serve {
    fn options(&self) -> Result<ServeOptions> {
        let (lease, return_within) = (self.lease, self.return_within);
        Ok(ServeOptions {
            settings: Settings { lease, return_within, ..Settings::default() },
            tokens: self.demands.tokens()?,
            is_draining: self.draining,
            directory: Some(self.data.clone()),
            ..ServeOptions::default()
        })
    }
}

/// What listens, by the names that a successor knows.
type Sockets = Vec<(&'static str, OwnedFd)>;

/// What a successor gets, if there is to be one.
type Legacy = Option<(Sockets, bool)>;

pub(super) fn run(arguments: Serve, output: Output) -> Result {
    if arguments.check {
        arguments.demands.tls()?;
        arguments.demands.tokens()?;
        return say(format_args!("{CHECKED}{FORMAT}"));
    }
    // Before there is a thread: it changes the environment.
    let inherited = inherited_sockets()?;
    let successor = Successor::new()?;
    descriptors::allow_most();
    // Its end closes the store and all connections.
    let legacy = wharf::run(async |event_loop| {
        serve(&event_loop, &arguments, output, inherited, &successor).await
    })?;
    match legacy {
        Some((sockets, is_draining)) => successor.execute(sockets, is_draining),
        None => Ok(()),
    }
}

async fn serve(
    event_loop: &EventLoop,
    arguments: &Serve,
    output: Output,
    inherited: InheritedSockets,
    successor: &Successor,
) -> Result<Legacy> {
    let manager = Manager::new()?;
    let mut signals = event_loop.signals([SIGINT, SIGTERM, SIGHUP, SIGUSR2])?;
    let Serve { listening, demands, http, .. } = arguments;
    let tls = demands.tls()?;
    let coordinator =
        CoordinatorServer::new(event_loop, open(&arguments.data)?, arguments.options()?)?;
    let listeners = listening.start(event_loop, &coordinator, demands, tls.as_ref(), inherited);
    let listeners = listeners.await?;
    for address in listeners.iter().flat_map(|listener| listener.server.addresses()) {
        let address = address.to_string();
        output.print(&json!({"listening": address}), format_args!("listening on {address}"))?;
    }
    let dashboard = match http.address() {
        Some(address) => {
            let (source, token) = (coordinator.clone(), demands.token_of_dashboard()?);
            let serving = http.serve(event_loop, source, address, token, tls.as_ref(), output);
            Some(serving.await?)
        }
        None => None,
    };
    manager.is_ready();
    manager.watch(event_loop);
    let failed = Box::pin(coordinator.failed());
    let running = Running {
        event_loop,
        manager: &manager,
        tls: tls.as_ref(),
        demands,
        coordinator: &coordinator,
        listeners: &listeners,
        successor,
    };
    let ended = running.until_the_end(&mut signals);
    let inherits = match select(failed, Box::pin(ended)).await {
        // Whoever starts it again finds what was acknowledged.
        Either::Left((error, _)) => return Err(error.into()),
        Either::Right((inherits, _)) => inherits,
    };
    let legacy = inherits.map(|sockets| (sockets, coordinator.is_draining()));
    let restarts = legacy.is_some();
    if !restarts {
        manager.stops();
    }
    // A path goes only with the last process that listens there.
    listeners.iter().for_each(|listener| listener.close(restarts));
    let leaving = Box::pin(wharf::timeout(arguments.grace, coordinator.leave(restarts)));
    if let Either::Left((Err(_), _)) = select(leaving, Box::pin(signals.next())).await {
        eprintln!("what is not on the disk yet is lost: it was not acknowledged");
    }
    let servers = listeners.iter().map(|Listener { server, .. }| server);
    for server in servers.chain(&dashboard) {
        let ending = server.shutdown(arguments.grace);
        select(ending, Box::pin(signals.next())).await;
    }
    Ok(legacy)
}

/// The store in a directory, which is made if it is not there, for this user alone.
fn open(directory: &Path) -> Result<DiskStore> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    Ok(DiskStore::open(&directory.join("tasks.redb"))?)
}

/// A coordinator that serves.
struct Running<'a> {
    event_loop: &'a EventLoop,
    manager: &'a Manager,
    tls: Option<&'a TlsServer>,
    demands: &'a Demands,
    coordinator: &'a CoordinatorServer,
    listeners: &'a [Listener],
    successor: &'a Successor,
}

impl Running<'_> {
    /// Waits for the signal to end, and gives what a coordinator that follows gets, if one does.
    async fn until_the_end(&self, signals: &mut SignalStream) -> Option<Sockets> {
        loop {
            match signals.next().await {
                SIGHUP => {
                    self.manager.reloads();
                    self.reload();
                    self.manager.is_ready();
                }
                SIGUSR2 => match self.prepare_restart().await {
                    Ok(sockets) => {
                        self.manager.reloads();
                        return Some(sockets);
                    }
                    Err(error) => eprintln!("no restart: {error}"),
                },
                _ => return None,
            }
        }
    }

    /// All that could fail comes before the first thing that ends.
    async fn prepare_restart(&self) -> Result<Sockets> {
        // First: while the program is looked at, connections may take the last descriptors.
        let sockets = sockets_of(self.listeners)?;
        self.successor.check(self.event_loop).await?;
        Ok(sockets)
    }

    /// New connections get the certificates and need the tokens that are in the files now; those that are there stay.
    fn reload(&self) {
        match self.demands.tokens() {
            Ok(tokens) => self.coordinator.set_tokens(tokens),
            Err(error) => eprintln!("the tokens stay as they were: {error}"),
        }
        if let Some(Err(error)) = self.tls.map(TlsServer::reload) {
            eprintln!("the certificates stay as they were: {error}");
        }
    }
}
