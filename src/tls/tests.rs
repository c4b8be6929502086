//! Tests of the TLS configuration.
