//! WebSocket servers that echo: wharf's beside tokio-tungstenite and fastwebsockets, and with compressed messages beside
//! yawc, as those two have none.

use super::Bench;
use super::protocols::{Comparison, Limit, Row};
use crate::Result;
use crate::contender;

/// What is sent.
const ROWS: [Row; 3] = [
    Row {
        name: "64 B, 50 connections",
        load: "websocket --size 64 --warm-up 1000",
        timed: 60_000,
        counted: (1_000, 11_000),
    },
    Row {
        name: "64 B, 50 connections, 16 in flight",
        load: "websocket --size 64 --in-flight 16 --warm-up 4000",
        timed: 300_000,
        counted: (4_000, 24_000),
    },
    Row {
        name: "64 KiB, 50 connections",
        load: "websocket --size 65536 --warm-up 500",
        timed: 6_000,
        counted: (500, 2_500),
    },
];

const DEFLATED: [Row; 2] = [
    Row {
        name: "64 B, 50 connections",
        load: "websocket --deflate --size 64 --warm-up 1000",
        timed: 30_000,
        counted: (500, 2_500),
    },
    Row {
        name: "64 KiB, 50 connections",
        load: "websocket --deflate --size 65536 --warm-up 200",
        timed: 1_000,
        counted: (100, 300),
    },
];

pub(super) fn measure(bench: &mut Bench) -> Result {
    let plain = ["tokio-tungstenite", "fastwebsockets", "wharf"];
    let limits = &[("wharf", "tokio-tungstenite", 0.7), ("wharf", "fastwebsockets", 1.0)];
    compare(bench, "WebSocket", &plain, limits, &ROWS)?;
    let limits = &[("wharf", "yawc", 1.0)];
    compare(bench, "WebSocket, deflate", &["yawc", "wharf"], limits, &DEFLATED)
}

fn compare(
    bench: &mut Bench,
    title: &'static str,
    names: &[&'static str],
    limits: &'static [Limit],
    rows: &[Row],
) -> Result {
    let contenders = contender::websocket(names, title.ends_with("deflate"))?;
    let contenders = bench.chosen(contenders);
    let comparison =
        Comparison { title, unit: "message", option: "--messages", contenders, limits };
    comparison.measure(bench, rows)
}
