//! Programs in another language talk to a coordinator: the worker and the client in `python/`.
#![forbid(unsafe_code)]

use std::process::{Child, Command, Stdio};

use wharf::{EventLoop, Result};
use wharf_executor::Function;
use wharf_executor::client::{Client, ClientError, ClientOptions};
use wharf_executor::serve::{CoordinatorServer, ServeOptions};
use wharf_executor::store::DiskStore;

const ADD: Function<(i64, i64), i64> = Function::new("py.add");
const REVERSE: Function<Vec<i64>, Vec<i64>> = Function::new("py.reverse");

/// A program that ends with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn python(script: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.arg(format!("{}/python/{script}", env!("CARGO_MANIFEST_DIR"))).args(arguments);
    command
}

fn is_there() -> bool {
    let found = Command::new("python3").arg("--version").output().is_ok();
    assert!(found || std::env::var_os("CI").is_none(), "this test needs python3");
    if !found {
        eprintln!("python3 is missing: nothing is tested");
    }
    found
}

async fn serve(event_loop: &EventLoop, directory: &tempfile::TempDir) -> Result<String> {
    let store = DiskStore::open(&directory.path().join("tasks"))?;
    let server = CoordinatorServer::new(event_loop, store, ServeOptions::default())?;
    let factory = move || server.protocol();
    let listening = event_loop.create_server(factory, "127.0.0.1:0").await?;
    Ok(listening.local_address()?.to_string())
}

#[test]
fn a_worker_and_a_client_in_python_take_part() {
    if !is_there() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let test = async |event_loop: EventLoop| -> Result {
        let address = serve(&event_loop, &directory).await?;
        let (host, port) = address.split_once(':').ok_or("no port")?;
        let worker = python("worker.py", &[host, port]).stdin(Stdio::null()).spawn()?;
        let _worker = Ends(worker);
        let client = Client::start(&event_loop, [&*address], ClientOptions::default())?;
        assert_eq!(client.call(&ADD, &(1, 2)).await?, 3);
        let chain = client.chain(&REVERSE, &vec![1, 2, 3]).then(&REVERSE).submit().await?;
        assert_eq!(chain.result().await?, [1, 2, 3]);
        let group = client.group(&ADD).submit((0..100).map(|number| (number, 1))).await?;
        let all = group.then(&REVERSE).await?;
        assert_eq!(all, (1..=100).rev().collect::<Vec<_>>());
        let failed = client.task("py.add", &7).submit().await?.result::<i64>().await;
        assert!(matches!(failed, Err(ClientError::Failed(_))), "{failed:?}");
        for (arguments, result, says) in [
            ("[40, 2]", "42\n", ""),
            ("[\"a\", \"b\"]", "\"ab\"\n", ""),
            ("7", "", "failed: 'int' object is not subscriptable\n"),
        ] {
            let mut command = python("client.py", &[host, port, "py.add", arguments]);
            let output = event_loop.run_in_executor(move || command.output()).await??;
            let told = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
            assert_eq!(told, (result.to_owned(), says.to_owned()));
        }
        Ok(())
    };
    wharf::run(async |event_loop| {
        wharf::timeout(std::time::Duration::from_secs(60), test(event_loop)).await?
    })
    .unwrap();
}
