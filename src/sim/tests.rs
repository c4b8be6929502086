//! Simulations of small programs.
