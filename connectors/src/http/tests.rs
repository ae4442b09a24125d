//! Tests against real servers on this machine, which count what reaches them: faults, the guard, cassettes.

mod cassette;
mod faults;
mod guard;
mod secrets;
pub(crate) mod server;
mod tls;
