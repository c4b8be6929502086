//! The fuzz targets over changes of their seeds: what stable Rust can do without a fuzzer.
#![forbid(unsafe_code)]

use wharf_fuzz::{
    executor, handover, http, length_prefix, line, mutations, nats, netstring, websocket,
    websocket_server,
};

/// How many inputs each target of a codec gets, and which; both can be set, as `WHARF_FUZZ_RUNS` and `WHARF_FUZZ_SEED`.
const RUNS: usize = 50;
const SEED: u64 = 1;

/// A server takes that much longer.
const SERVERS_PART: usize = 8;

/// And so does one with a store.
const EXECUTORS_PART: usize = 32;

#[test]
fn no_change_of_a_seed_breaks_a_codec() {
    change("handover", "", 1, handover::run);
    change("http_chunked", "http", 1, http::chunked);
    change("http_request", "http", 1, http::requests);
    change("http_response", "http", 1, http::responses);
    change("length_prefix", "framing", 1, length_prefix::run);
    change("line", "line", 1, line::run);
    change("nats_client", "nats", 1, nats::client);
    change("nats_server", "nats", 1, nats::server);
    change("netstring", "framing", 1, netstring::run);
    change("websocket", "websocket", 1, websocket::run);
}

#[test]
fn no_change_of_a_seed_breaks_a_server() {
    change("http_server", "http", SERVERS_PART, http::server);
    change("websocket_server", "websocket", SERVERS_PART, websocket_server::run);
}

#[test]
fn no_change_of_a_seed_breaks_the_executor() {
    change("executor_coordinator", "executor", EXECUTORS_PART, executor::coordinator);
    change("executor_decisions", "", 1, executor::decisions);
    change("executor_peers", "executor", EXECUTORS_PART, executor::peers);
    change("executor_texts", "executor", 1, executor::texts);
}

/// Runs a target over a `part`-th of the inputs that are asked for.
fn change(target: &str, dictionary: &str, part: usize, run: fn(&[u8])) {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
    };
    let runs = number("WHARF_FUZZ_RUNS", RUNS as u64) as usize;
    eprintln!("{target}");
    mutations(target, dictionary)
        .seed(number("WHARF_FUZZ_SEED", SEED))
        .run(runs.div_ceil(part), run);
}
