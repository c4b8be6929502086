//! Names that can be looked up without a network.

use std::fs;
use std::net::Ipv6Addr;

/// Where the system keeps names that it need not ask anybody for.
const HOSTS: &str = "/etc/hosts";

/// Whether the system's resolver answers without asking another host. Reads a file.
pub(super) fn is_local(host: &str) -> bool {
    is_address(host)
        || is_localhost(host)
        || fs::read(HOSTS).is_ok_and(|hosts| is_listed(&hosts, host))
}

/// An address in a form that the resolver knows: with a zone, or with fewer than four numbers.
fn is_address(host: &str) -> bool {
    if let Some((address, _)) = host.split_once('%') {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let is_number = |part: &str| {
        let part = part.to_ascii_lowercase();
        match part.strip_prefix("0x") {
            Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
            None => !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()),
        }
    };
    host.split('.').all(is_number)
}

/// RFC 6761, section 6.3.
fn is_localhost(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let last = name.rsplit('.').next().unwrap_or_default();
    last.eq_ignore_ascii_case("localhost")
}

/// Whether a file of hosts (hosts(5)) has the name.
fn is_listed(hosts: &[u8], host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).as_bytes();
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

    #[test]
    fn names_in_a_hosts_file_are_found() {
        let hosts = b"127.0.0.1 localhost\n# 10.0.0.1 commented\n\n10.0.0.2\tone.example\tTwo # three\n10.0.0.3";
        for (host, listed) in [
            ("localhost", true),
            ("one.example", true),
            ("ONE.example.", true),
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

    #[test]
    fn addresses_in_unusual_forms_are_local() {
        for host in ["fe80::1%eth0", "fe80::1%2", "127.1", "0x7f.1", "2130706433", "localhost"] {
            assert!(is_local(host), "{host}");
        }
        for host in ["example.invalid", "1.2.example.invalid", "", "a%b", "fe80.example.invalid"] {
            assert!(!is_local(host), "{host}");
        }
    }
}
