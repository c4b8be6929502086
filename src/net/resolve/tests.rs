use proptest::prelude::*;

use super::*;

#[test]
fn hosts_and_ports_are_parsed() {
    for (text, host, port) in [
        ("localhost:80", "localhost", 80),
        ("www.example.org.:443", "www.example.org.", 443),
        ("under_score-and.dash:1", "under_score-and.dash", 1),
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("[::1]:65535", "::1", 65535),
        ("[::ffff:127.0.0.1]:80", "::ffff:127.0.0.1", 80),
        ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
        ("[fe80::1%2]:80", "fe80::1%2", 80),
        (":7000", "", 7000),
        ("*:7000", "", 7000),
        ("bücher.example:80", "bücher.example", 80),
        ("localhost:0080", "localhost", 80),
    ] {
        let parsed: HostPort = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(parsed, HostPort { host: host.to_owned(), port }, "{text}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    for (text, message) in [
        ("", "empty address, expected `host:port`"),
        ("localhost", "missing port in `localhost`"),
        ("localhost:", "missing port in `localhost:`"),
        ("127.0.0.1", "missing port in `127.0.0.1`"),
        ("*", "missing port in `*`"),
        (":", "missing port in `:`"),
        ("[::1]", "missing port in `[::1]`"),
        ("[::1]:", "missing port in `[::1]:`"),
        ("[::1]80", "missing port in `[::1]80`"),
        (
            "localhost:70000",
            "invalid port `70000` in `localhost:70000`, expected a number from 0 to 65535",
        ),
        ("[::1]:+80", "invalid port `+80` in `[::1]:+80`, expected a number from 0 to 65535"),
        ("a:-1", "invalid port `-1` in `a:-1`, expected a number from 0 to 65535"),
        ("a:http", "invalid port `http` in `a:http`, expected a number from 0 to 65535"),
        ("a: 80", "invalid port ` 80` in `a: 80`, expected a number from 0 to 65535"),
        ("::1", "IPv6 address without brackets in `::1`, expected `[address]:port`"),
        ("::", "IPv6 address without brackets in `::`, expected `[address]:port`"),
        ("fe80::1:80", "IPv6 address without brackets in `fe80::1:80`, expected `[address]:port`"),
        (
            "1:2:3:4:5:6:7:8:80",
            "IPv6 address without brackets in `1:2:3:4:5:6:7:8:80`, expected `[address]:port`",
        ),
        (
            "fe80::1%eth0:80",
            "IPv6 address without brackets in `fe80::1%eth0:80`, expected `[address]:port`",
        ),
        ("[::1:80", "missing `]` in `[::1:80`"),
        ("[localhost]:80", "invalid IPv6 address `localhost` in `[localhost]:80`"),
        ("[127.0.0.1]:80", "invalid IPv6 address `127.0.0.1` in `[127.0.0.1]:80`"),
        ("[]:80", "invalid IPv6 address `` in `[]:80`"),
        ("[fe80::1%]:80", "invalid IPv6 address `fe80::1%` in `[fe80::1%]:80`"),
        ("http://localhost:80", "invalid host `http://localhost` in `http://localhost:80`"),
        ("user@localhost:80", "invalid host `user@localhost` in `user@localhost:80`"),
        (" localhost:80", "invalid host ` localhost` in ` localhost:80`"),
        ("local\0host:80", r"invalid host `local\0host` in `local\0host:80`"),
        ("a:1:2", "invalid host `a:1` in `a:1:2`"),
    ] {
        let error = text.parse::<HostPort>().expect_err(text);
        assert_eq!(error.to_string(), message);
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::InvalidInput);
    }
}

#[test]
fn a_client_needs_a_host() {
    let parsed: HostPort = "localhost:80".parse().unwrap();
    assert_eq!(parsed.clone().require_host(), Ok(parsed));
    let error = HostPort { host: String::new(), port: 80 }.require_host().unwrap_err();
    assert_eq!(error.to_string(), "missing host in `*:80`");
}

#[test]
fn ip_literals_and_all_interfaces_need_no_resolver() {
    for (text, addresses) in [
        ("127.0.0.1:80", &["127.0.0.1:80"][..]),
        ("[::1]:80", &["[::1]:80"]),
        (":80", &["0.0.0.0:80", "[::]:80"]),
        ("*:0", &["0.0.0.0:0", "[::]:0"]),
    ] {
        let parsed: HostPort = text.parse().unwrap();
        assert_eq!(parsed.without_resolver(), Some(list(addresses)), "{text}");
        assert_eq!(resolve_blocking(&parsed.host, parsed.port).unwrap(), list(addresses));
    }
    for text in ["localhost:80", "[fe80::1%eth0]:80", "[fe80::1%2]:80", "127.1:80"] {
        let parsed: HostPort = text.parse().unwrap();
        assert_eq!(parsed.without_resolver(), None, "{text}");
    }
}

#[test]
fn localhost_is_resolved() {
    let addresses = resolve_blocking("localhost", 7).unwrap();
    assert!(!addresses.is_empty());
    for address in &addresses {
        assert!(address.ip().is_loopback(), "{address}");
        assert_eq!(address.port(), 7);
    }
    let mut without_duplicates = addresses.clone();
    remove_duplicates(&mut without_duplicates);
    assert_eq!(without_duplicates, addresses);
}

#[test]
#[cfg(target_os = "linux")]
fn the_resolver_knows_zones() {
    let index: u32 =
        std::fs::read_to_string("/sys/class/net/lo/ifindex").unwrap().trim().parse().unwrap();
    let [SocketAddr::V6(address)] = resolve_blocking("fe80::1%lo", 7).unwrap()[..] else {
        panic!("not one IPv6 address")
    };
    assert_eq!(address.scope_id(), index);
}

#[test]
fn a_failure_names_the_host() {
    let error = resolve_blocking("fe80::1%no-such-interface", 7).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("cannot resolve `fe80::1%no-such-interface`: "), "{text}");
}

#[test]
fn an_answer_without_address_is_an_error() {
    let error = check("example.org", Ok(std::iter::empty())).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert_eq!(error.to_string(), "cannot resolve `example.org`: it has no address");
}

#[test]
fn duplicates_are_removed_and_the_order_kept() {
    let answer = list(&["[::1]:1", "127.0.0.1:1", "[::1]:1", "127.0.0.1:2", "127.0.0.1:1"]);
    let addresses = check("example.org", Ok(answer.into_iter())).unwrap();
    assert_eq!(addresses, list(&["[::1]:1", "127.0.0.1:1", "127.0.0.1:2"]));
}

proptest! {
    #[test]
    fn parsing_never_panics(text in "[\\[\\]:%*/@a-f0-9. é]{0,12}") {
        if let Ok(parsed) = text.parse::<HostPort>() {
            // What was parsed is written so that it is parsed again.
            prop_assert_eq!(parsed.to_string().parse::<HostPort>(), Ok(parsed));
        }
    }

    #[test]
    fn what_std_prints_is_parsed(ip: IpAddr, port: u16) {
        let address = SocketAddr::new(ip, port);
        let parsed: HostPort = address.to_string().parse().unwrap();
        prop_assert_eq!(parsed.without_resolver(), Some(vec![address]));
    }
}

fn list(addresses: &[&str]) -> Vec<SocketAddr> {
    addresses.iter().map(|address| address.parse().unwrap()).collect()
}
