//! The integration tests, one module per theme: they run the real binary, and the library as an embedder would.

mod support;

mod cli;
mod demo;
mod kill;
mod kill_outbox;
mod library;
mod serve;
mod tidy;
