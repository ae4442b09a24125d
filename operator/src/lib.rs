//! What the operator sees and decides.
//!
//! Its rule: **one handler**. Every question and decision is a [`Request`]; [`read`] answers those that need only the
//! journal, [`act`] those that need a running kernel. The command line calls them, and so does the control socket of a
//! running `soloist serve`, so that the same command works whether a server runs or not.
//!
//! [`request`] is what can be asked, [`handler`] answers, [`socket`] carries both over a Unix socket that only its owner can
//! open. The console and the HTTP surface will stand beside it, on the same handler.

pub mod handler;
pub mod request;
pub mod socket;

pub use handler::{act, hold, read, travel};
pub use request::{PolicyText, Problem, Request};
pub use socket::{Client, Server};
