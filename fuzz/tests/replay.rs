//! Runs each fuzz target over its seeds and over the inputs that once failed.
#![forbid(unsafe_code)]

#[test]
fn executor_coordinator() {
    wharf_fuzz::replay("executor_coordinator", wharf_fuzz::executor::coordinator);
}

#[test]
fn executor_decisions() {
    wharf_fuzz::replay("executor_decisions", wharf_fuzz::executor::decisions);
}

#[test]
fn executor_peers() {
    wharf_fuzz::replay("executor_peers", wharf_fuzz::executor::peers);
}

#[test]
fn executor_texts() {
    wharf_fuzz::replay("executor_texts", wharf_fuzz::executor::texts);
}

#[test]
fn handover() {
    wharf_fuzz::replay("handover", wharf_fuzz::handover::run);
}

#[test]
fn http_chunked() {
    wharf_fuzz::replay("http_chunked", wharf_fuzz::http::chunked);
}

#[test]
fn http_request() {
    wharf_fuzz::replay("http_request", wharf_fuzz::http::requests);
}

#[test]
fn http_response() {
    wharf_fuzz::replay("http_response", wharf_fuzz::http::responses);
}

#[test]
fn http_server() {
    wharf_fuzz::replay("http_server", wharf_fuzz::http::server);
}

#[test]
fn length_prefix() {
    wharf_fuzz::replay("length_prefix", wharf_fuzz::length_prefix::run);
}

#[test]
fn line() {
    wharf_fuzz::replay("line", wharf_fuzz::line::run);
}

#[test]
fn nats() {
    wharf_fuzz::replay("nats_client", wharf_fuzz::nats::client);
    wharf_fuzz::replay("nats_server", wharf_fuzz::nats::server);
}

#[test]
fn netstring() {
    wharf_fuzz::replay("netstring", wharf_fuzz::netstring::run);
}

#[test]
fn simulation() {
    wharf_fuzz::replay("simulation", wharf_fuzz::simulation::run);
}

#[test]
fn stream() {
    wharf_fuzz::replay("stream", wharf_fuzz::stream::run);
}

#[test]
fn tls() {
    wharf_fuzz::replay("tls", wharf_fuzz::tls::run);
}

#[test]
fn websocket() {
    wharf_fuzz::replay("websocket", wharf_fuzz::websocket::run);
}

#[test]
fn websocket_server() {
    wharf_fuzz::replay("websocket_server", wharf_fuzz::websocket_server::run);
}
