//! The server: a [`Protocol`](wharf::Protocol) on the codec.

mod answer;
mod body;
mod config;
mod connection;
mod core;
mod deadlines;
mod exchange;
mod handler;
mod request_body;
mod service;
#[cfg(test)]
mod tests;
mod worker;

pub use answer::Answer;
pub use body::{Body, BodyWriter};
pub use config::HttpServer;
pub use connection::HttpConnection;
pub use exchange::Exchange;
pub use handler::HttpHandler;
pub use request_body::RequestBody;
pub use service::{AsyncHandler, HttpService, IntoAnswer};
