//! The dashboard: a page that shows what an executor does, with `/metrics` for Prometheus and `/healthz`.
//!
//! It is served with wharf's own HTTP and WebSocket. What it shows comes from a [`Source`], which the
//! [coordinator](crate::serve::CoordinatorServer) is; elsewhere, as on NATS, a [`ClientSource`] is.
//!
//! ```no_run
//! use wharf::{EventLoop, Result};
//! use wharf_executor::dashboard::{Dashboard, DashboardOptions};
//! use wharf_executor::serve::CoordinatorServer;
//!
//! async fn serve(event_loop: &EventLoop, coordinator: &CoordinatorServer) -> Result {
//!     let address = "127.0.0.1:8080";
//!     let options = DashboardOptions::default();
//!     let dashboard = Dashboard::new(event_loop, coordinator.clone(), address, options)?;
//!     let server = event_loop.create_server(dashboard.factory(), address).await?;
//!     server.serve_forever().await?;
//!     Ok(())
//! }
//! ```
//!
//! # Who may look
//! Without a token, only those on the same machine: an address that others reach is refused. Browsers sign in with the token,
//! and programs send it as `Authorization: Bearer`. A page of somebody else cannot reach it through a visitor's browser:
//! requests must name this host, nothing is changed but over the WebSocket, and that is opened for its own page only.
//!
//! A wrong token is answered after half a second, and there are 256 connections at most: of more, one goes that has shown
//! no token, and of those the one that has been idle the longest.

mod access;
mod answers;
mod client_source;
mod history;
mod hub;
mod metrics;
mod pages;
mod sections;
mod server;
mod session;
mod site;
mod source;
#[cfg(test)]
mod tests;
mod visitors;

pub use access::AccessError;
pub use client_source::ClientSource;
pub use server::{Dashboard, DashboardOptions};
pub use source::{Detail, Future, Source};
