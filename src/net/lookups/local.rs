//! Names that can be looked up without a network.

use std::fs;
use std::net::Ipv6Addr;

/// Where the system keeps names that it need not ask anybody for.
const HOSTS: &str = "/etc/hosts";

/// Whether the system's resolver answers without asking another host. Reads a file.
pub(super) fn is_local(host: &str) -> bool {
    is_address(host)
        || host.eq_ignore_ascii_case("localhost")
        || fs::read(HOSTS).is_ok_and(|hosts| is_listed(&hosts, host))
}

/// An address in a form that the resolver knows: IPv6 with a zone, or what `inet_aton` takes.
fn is_address(host: &str) -> bool {
    match host.split_once('%') {
        Some((address, _)) => address.parse::<Ipv6Addr>().is_ok(),
        None => is_inet_aton(host),
    }
}

/// Up to four numbers: all but the last are bytes, the last has the bytes that are left.
///
/// Anything else is a name as far as the resolver is concerned, and it asks the network for it.
fn is_inet_aton(host: &str) -> bool {
    let parts = host.split('.').count();
    let room = |position: usize| match position + 1 {
        last if last == parts => u32::MAX.checked_shr(8 * position as u32).unwrap_or(0),
        _ => 255,
    };
    let fits = |(position, part)| number(part).is_some_and(|number| number <= room(position));
    parts <= 4 && host.split('.').enumerate().all(fits)
}

/// A number as in C: decimal, octal after a 0, hexadecimal after 0x.
fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    let is_unsigned = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    // `from_str_radix` would take a sign.
    if is_unsigned { u32::from_str_radix(digits, radix).ok() } else { None }
}

/// Whether a file of hosts (hosts(5)) has the name.
fn is_listed(hosts: &[u8], host: &str) -> bool {
    let host = host.as_bytes();
    hosts.split(|&byte| byte == b'\n').any(|line| {
        let line = line.split(|&byte| byte == b'#').next().unwrap_or_default();
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let has_address = words.next().is_some();
        has_address && words.any(|name| name.eq_ignore_ascii_case(host))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::resolve::resolve_blocking;

    #[test]
    fn names_in_a_hosts_file_are_found() {
        let hosts = b"127.0.0.1 localhost\n# 10.0.0.1 commented\n\n10.0.0.2\tone.example\tTwo # three\n10.0.0.3";
        for (host, listed) in [
            ("localhost", true),
            ("one.example", true),
            ("ONE.example", true),
            // The system's resolver asks the network for it.
            ("one.example.", false),
            ("two", true),
            ("three", false),
            ("commented", false),
            ("10.0.0.2", false),
            ("10.0.0.3", false),
            ("example", false),
            ("", false),
        ] {
            assert_eq!(is_listed(hosts, host), listed, "{host}");
        }
    }

    /// Forms that are addresses, each as the resolver has it.
    const ADDRESSES: [(&str, &str); 13] = [
        ("127.1", "127.0.0.1"),
        ("127.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0X7F000001", "127.0.0.1"),
        ("0177.0.0.01", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("00", "0.0.0.0"),
        ("0x0", "0.0.0.0"),
        ("4294967295", "255.255.255.255"),
        ("1.16777215", "1.255.255.255"),
        ("1.2.65535", "1.2.255.255"),
        ("fe80::1%1", "fe80::1"),
    ];

    #[test]
    fn addresses_in_unusual_forms_are_local_and_resolve_without_a_network() {
        for (host, address) in ADDRESSES {
            assert!(is_local(host), "{host}");
            let resolved = resolve_blocking(host, 0).unwrap_or_default();
            let resolved = resolved.iter().any(|found| found.ip().to_string() == address);
            assert!(resolved, "{host}");
        }
        assert!(is_local("localhost") && is_local("LocalHost"));
    }

    #[test]
    fn names_that_only_look_like_addresses_are_not_local() {
        for host in [
            "1.2.3.4.5",
            "99999999999",
            "4294967296",
            "1.16777216",
            "1.2.65536",
            "1.2.3.256",
            "256.1",
            "0x",
            "0x.1",
            "08",
            "0x7g",
            "1..2",
            "1.",
            ".1",
            "+1",
            "-1",
            " 1",
            "0x+1",
            "0+1",
            "a.localhost",
            "localhost.",
            ".localhost",
            "1.2.example.invalid",
            "",
            "a%b",
            "fe80.example.invalid",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }
}
