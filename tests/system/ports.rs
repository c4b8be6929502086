//! Local ports, where there are few of them.

use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};

use wharf::Transport;

use crate::needs::missing;
use crate::process::{Guard, PASSED, role};
use crate::serving::{Echo, run};

/// How many local ports the network of the test has.
const PORTS: usize = 100;

/// A connect from a local address without a port takes none that another connection to somewhere
/// else could not have as well.
#[test]
fn connects_from_a_local_address_share_ports_among_servers() {
    let name = "ports::connects_from_a_local_address_share_ports_among_servers";
    if role().is_some() {
        connect_more_often_than_there_are_ports();
        std::process::exit(PASSED);
    }
    // A network of its own, which goes with the process.
    let script = "ip link set lo up && \
                  echo 40000 40099 > /proc/sys/net/ipv4/ip_local_port_range && exec \"$0\" \"$@\"";
    let own = crate::process::command(name, "alone");
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--net", "sh", "-c", script]).arg(own.get_program());
    command.args(own.get_args());
    for (variable, value) in own.get_envs() {
        if let Some(value) = value {
            command.env(variable, value);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
    let Ok(child) = command.spawn() else {
        return not_tested();
    };
    let status = Guard(child).wait();
    match status.code() {
        Some(PASSED) => {}
        Some(101) => panic!("the process of {name} failed"),
        _ => not_tested(),
    }
}

/// `options` reads the option back where this cannot be.
fn not_tested() {
    missing("a network namespace (unshare and ip of util-linux and iproute2, and the right to it)");
}

fn connect_more_often_than_there_are_ports() {
    run(async |event_loop| {
        let servers: Vec<TcpListener> = (0..4)
            .map(|number| TcpListener::bind(("127.0.0.1", 30_000 + number)))
            .collect::<Result<_, _>>()?;
        let addresses: Vec<SocketAddr> =
            servers.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
        let mut clients = Vec::new();
        let mut accepted = Vec::new();
        for _ in 0..PORTS / 2 {
            for (server, address) in servers.iter().zip(&addresses) {
                let client = event_loop
                    .create_connection(|| Echo, *address)
                    .local_address("127.0.0.1:0")
                    .await?;
                let info = client.handle().info();
                let port = info.local_address().and_then(wharf::Address::as_ip).map(|ip| ip.port());
                assert!(port.is_some_and(|port| (40_000..40_100).contains(&port)), "{port:?}");
                clients.push(client);
                accepted.push(server.accept()?);
            }
        }
        assert_eq!(clients.len(), 2 * PORTS);
        Ok(())
    });
}
