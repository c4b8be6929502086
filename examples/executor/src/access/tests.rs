//! TLS between clients, workers and their coordinator, over a network in memory; and tokens.

use std::fs;
use std::time::Duration;

use redb::backends::InMemoryBackend;
use wharf::testing::MemoryNetwork;
use wharf::{EventLoop, Result, TlsClient, TlsServer};
use wharf_test_support::authority::Authority;

use super::Tokens;
use crate::client::{Client, ClientError, ClientOptions};
use crate::serve::{CoordinatorServer, ServeOptions};
use crate::store::DiskStore;
use crate::work::{Functions, Worker, WorkerOptions};

const ADDRESS: &str = "192.0.2.1:7000";

async fn serve(event_loop: &EventLoop, tokens: Tokens, tls: Option<&TlsServer>) -> Result {
    let store = DiskStore::open_in(InMemoryBackend::new())?;
    let options = ServeOptions { tokens, ..ServeOptions::default() };
    let coordinator = CoordinatorServer::new(event_loop, store, options)?;
    let server = event_loop.create_server(move || coordinator.protocol(), ADDRESS);
    match tls {
        Some(tls) => server.tls(tls).await?,
        None => server.await?,
    };
    Ok(())
}

fn client(event_loop: &EventLoop, tls: TlsClient) -> Result<Client> {
    let options = ClientOptions { tls: Some(tls), ..ClientOptions::default() };
    Client::start(event_loop, [ADDRESS], options)
}

fn functions() -> Functions {
    let mut functions = Functions::new();
    functions.add("square", |number: u64, _| Ok::<_, String>(number * number)).unwrap();
    functions
}

fn run(test: impl AsyncFnOnce(EventLoop) -> Result) {
    let event_loop = MemoryNetwork::new().event_loop();
    // Handshakes that fail are reported to it.
    event_loop.set_exception_handler(|_, _| {});
    event_loop.run(test).unwrap();
}

#[test]
fn peers_without_a_certificate_of_the_authority_are_refused() {
    let (servers, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let server = servers.issue(&["192.0.2.1"]).identity();
    let server = TlsServer::builder().identity(server).client_ca_file(clients.file());
    let server = server.build().unwrap();
    let trusting = || TlsClient::builder().ca_file(servers.file());
    let known = trusting().identity(clients.issue(&["worker"]).identity()).build().unwrap();
    let stranger = trusting().identity(strangers.issue(&["stranger"]).identity()).build().unwrap();
    let nobody = trusting().build().unwrap();
    run(async move |event_loop| {
        serve(&event_loop, Tokens::default(), Some(&server)).await?;
        let options =
            WorkerOptions { tls: Some(known.clone()), slots: 1, ..WorkerOptions::default() };
        let _worker = Worker::start(&event_loop, [ADDRESS], functions(), options)?;
        let client = client(&event_loop, known)?;
        assert_eq!(client.submit("square", &12).await?.result::<u64>().await?, 144);
        for tls in [Some(nobody), Some(stranger), None] {
            let options = ClientOptions { tls, ..ClientOptions::default() };
            let refused = Client::start(&event_loop, [ADDRESS], options)?;
            let submitted = wharf::timeout(Duration::from_secs(60), refused.submit("square", &1));
            assert!(submitted.await.is_err_and(|error| error.is_timeout()));
        }
        Ok(())
    });
}

#[test]
fn a_coordinator_of_another_authority_is_told_nothing() {
    let (own, other) = (Authority::new(), Authority::new());
    let server = TlsServer::builder().identity(other.issue(&["192.0.2.1"]).identity());
    let server = server.build().unwrap();
    let wrong_name = TlsServer::builder().identity(own.issue(&["192.0.2.9"]).identity());
    let wrong_name = wrong_name.build().unwrap();
    for tls in [server, wrong_name] {
        let trusting = TlsClient::builder().ca_file(own.file()).build().unwrap();
        run(async move |event_loop| {
            serve(&event_loop, Tokens::default(), Some(&tls)).await?;
            let client = client(&event_loop, trusting)?;
            let submitted = wharf::timeout(Duration::from_secs(60), client.submit("square", &1));
            assert!(submitted.await.is_err_and(|error| error.is_timeout()));
            Ok(())
        });
    }
}

#[test]
fn certificates_are_read_again_and_connections_stay() {
    let (old, new) = (Authority::new(), Authority::new());
    let files = old.issue(&["192.0.2.1"]);
    let server = TlsServer::builder().identity(files.identity()).build().unwrap();
    let trusting = |authority: &Authority| TlsClient::builder().ca_file(authority.file()).build();
    let (before, after) = (trusting(&old).unwrap(), trusting(&new).unwrap());
    run(async move |event_loop| {
        serve(&event_loop, Tokens::default(), Some(&server)).await?;
        let old_client = client(&event_loop, before)?;
        old_client.submit("square", &1).await?;
        let renewed = new.issue(&["192.0.2.1"]);
        fs::copy(&renewed.chain, &files.chain)?;
        fs::copy(&renewed.key, &files.key)?;
        server.reload()?;
        let new_client = client(&event_loop, after)?;
        new_client.submit("square", &2).await?;
        // It could not connect again: it is still connected.
        old_client.submit("square", &3).await?;
        Ok(())
    });
}

#[test]
fn a_token_that_only_submits_submits_and_one_that_only_works_works() {
    run(async |event_loop| {
        let token = |text: &str| Some(Box::from(text));
        let tokens = Tokens { all: token("a"), submit: token("s"), work: token("w") };
        serve(&event_loop, tokens, None).await?;
        let client = |text: &str| {
            let options = ClientOptions { token: token(text), ..ClientOptions::default() };
            Client::start(&event_loop, [ADDRESS], options)
        };
        let worker = |text: &str| {
            let options =
                WorkerOptions { token: token(text), slots: 1, ..WorkerOptions::default() };
            Worker::start(&event_loop, [ADDRESS], functions(), options)
        };
        let submits = client("s")?;
        let task = submits.submit("square", &3).await?;
        let no_worker = worker("s")?;
        event_loop.sleep(Duration::from_secs(1)).await;
        assert_eq!(no_worker.refused().as_deref(), Some("the token is for something else"));
        let no_client = client("w")?.submit("square", &1).await;
        assert!(
            matches!(no_client, Err(ClientError::NotAdmitted(why)) if *why == *"the token is for something else")
        );
        let _worker = worker("w")?;
        assert_eq!(task.result::<u64>().await?, 9);
        assert!(matches!(submits.drain(true).await, Err(ClientError::Refused(_))));
        client("a")?.drain(true).await?;
        Ok(())
    });
}

#[test]
fn who_does_not_say_who_it_is_is_not_kept_and_tokens_change_for_those_who_come_later() {
    run(async |event_loop| {
        let store = DiskStore::open_in(InMemoryBackend::new())?;
        let tokens = Tokens::one(Box::from("old"));
        let options = ServeOptions { tokens, ..ServeOptions::default() };
        let coordinator = CoordinatorServer::new(&event_loop, store, options)?;
        let serving = coordinator.clone();
        event_loop.create_server(move || serving.protocol(), ADDRESS).await?;
        let (mut stranger, writer) = event_loop.open_connection(ADDRESS).await?;
        let began = event_loop.time();
        // What it says bit by bit is no greeting.
        let babbling = async {
            for byte in [0, 1, 0, 0].into_iter().chain([b' '; 20]) {
                let _ = writer.write_all(&[byte]).await;
                event_loop.sleep(Duration::from_secs(1)).await;
            }
        };
        let ended = stranger.read_chunk();
        futures_util::future::select(Box::pin(babbling), Box::pin(ended)).await;
        assert_eq!((event_loop.time() - began).as_secs(), 10);

        let client = |text: &str| {
            let options = ClientOptions { token: Some(text.into()), ..ClientOptions::default() };
            Client::start(&event_loop, [ADDRESS], options)
        };
        let old = client("old")?;
        old.submit("square", &1).await?;
        coordinator.set_tokens(Tokens::one(Box::from("new")));
        assert!(client("old")?.submit("square", &1).await.is_err());
        client("new")?.submit("square", &1).await?;
        event_loop.sleep(Duration::from_secs(60)).await;
        old.submit("square", &1).await?;
        Ok(())
    });
}
