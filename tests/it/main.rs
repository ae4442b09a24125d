//! The integration tests, one module per theme: they run the real binary, and the library as an embedder would.

mod support;

mod approvals;
mod archive;
mod cli;
mod connectors;
mod control;
mod decisions;
mod declared;
mod definitions;
mod demo;
mod incidents;
mod kill;
mod kill_outbox;
mod library;
mod money;
mod runs;
mod scenarios;
mod serve;
mod sim;
mod tidy;
mod travel;
mod tree;
mod versions;
