//! Servers of HTTP/1.1: a short text, asked for again and again. hyper on wharf beside hyper on tokio, and the server of
//! `wharf-protocols` beside a loop by hand, nginx and hyper.

use super::Bench;
use super::protocols::{Comparison, Limit, Row};
use crate::Result;
use crate::contender::{self, NGINX};

pub(super) fn measure_hyper(bench: &mut Bench) -> Result {
    let rows = [
        Row {
            name: "1 connection",
            load: "http --connections 1 --warm-up 1024",
            timed: 10_000,
            counted: (500, 3_500),
        },
        Row {
            name: "50 connections",
            load: "http --connections 50 --warm-up 1024",
            timed: 60_000,
            counted: COUNTED,
        },
    ];
    let limits = &[("hyper-wharf", "hyper-tokio", 1.0)];
    measure(bench, "hyper", &["hyper-tokio", "hyper-wharf"], limits, &rows)
}

pub(super) fn measure_http(bench: &mut Bench) -> Result {
    let names = ["raw-mio", NGINX, "hyper-tokio", "wharf", "wharf-async"];
    let one = Row {
        name: "64 connections",
        load: "http --connections 64 --warm-up 1024",
        timed: 60_000,
        counted: COUNTED,
    };
    let limits =
        &[("wharf", "raw-mio", 1.05), ("wharf", "hyper-tokio", 1.0), ("wharf", NGINX, 1.0)];
    measure(bench, "HTTP", &names, limits, &[one])?;
    let pipelined = Row {
        name: "64 connections, 16 in flight",
        load: "http --connections 64 --in-flight 16 --warm-up 1024",
        timed: 300_000,
        counted: COUNTED,
    };
    let limits = &[("wharf", "raw-mio", 1.2), ("wharf", "hyper-tokio", 0.7), ("wharf", NGINX, 1.0)];
    measure(bench, "HTTP, pipelined", &names, limits, &[pipelined])
}

const COUNTED: (u64, u64) = (1_024, 11_264);

fn measure(
    bench: &mut Bench,
    title: &'static str,
    names: &[&'static str],
    limits: &'static [Limit],
    rows: &[Row],
) -> Result {
    let contenders = bench.chosen(contender::http(names)?);
    let comparison =
        Comparison { title, unit: "request", option: "--requests", contenders, limits };
    comparison.measure(bench, rows)
}
