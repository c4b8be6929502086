//! TLS with foreign programs.

use wharf_test_support::authority;

mod closing;
mod early_data;
mod ends;
mod exporting;
mod key_updates;
mod keys;
mod peers;
mod pipes;
mod python;
mod renegotiation;
mod resolvers;
mod resumption;
mod servers;
