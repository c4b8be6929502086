//! Server and client as a program: see the README.
#![forbid(unsafe_code)]

use std::time::Duration;

use custom_protocol::{Client, Counters, server};
use wharf::Result;
use wharf::signal::{SIGINT, SIGTERM};

const USAGE: &str = "usage: custom_protocol serve ADDRESS
       custom_protocol add ADDRESS NAME AMOUNT
       custom_protocol get ADDRESS NAME";

fn main() -> Result {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    wharf::run(async |event_loop| {
        match arguments[..] {
            ["serve", address] => {
                let counters = Counters::default();
                let server = event_loop.create_server(move || server(&counters), address).await?;
                println!("listening on {}", server.local_address()?);
                server.serve_until([SIGINT, SIGTERM], Duration::from_secs(1)).await?;
            }
            ["add", address, name, amount] => {
                let mut client = Client::connect(&event_loop, address).await?;
                println!("{}", client.add(name, amount.parse()?).await?);
            }
            ["get", address, name] => {
                let mut client = Client::connect(&event_loop, address).await?;
                println!("{}", client.get(name).await?);
            }
            ["--help" | "-h"] => println!("{USAGE}"),
            _ => {
                eprintln!("{USAGE}");
                std::process::exit(2);
            }
        }
        Ok(())
    })
}
