//! The one seam to the world, and the adapters behind it.
//!
//! Its rule: **a connector makes one attempt and says honestly what came of it**. It never retries, never decides whether
//! something may happen and keeps no cursor; the kernel does all three, from what the connector declares in its
//! [`Manifest`]. Everything a connector takes from the world, it takes through [`Env`].
//!
//! [`contract`] is what a connector is, [`arguments`] checks what it is given, [`mod@env`] is the seam, [`net`] and
//! [`mod@http`] its parts that lead to other machines, [`hints`] reads what the other side says of its limits, and each system
//! has a module: [`declared`] is any system that speaks JSON over HTTP, declared in TOML; [`mail`] reads a Maildir or a folder of `.eml` files and sends by SMTP or into a Maildir outbox; [`sandbox`]
//! is a small company in a directory or in memory, to run workflows against with nothing outside. [`conformance`] checks any
//! of them, and yours. `soloist-actors` wraps each connector in an actor with a governor; `soloist-kernel` decides what its
//! faults mean.

pub mod arguments;
pub mod clock;
pub mod contract;
pub mod declared;
pub mod env;
pub mod hints;
pub mod http;
pub mod mail;
pub mod net;
pub mod sandbox;

pub mod conformance;

pub use arguments::Arguments;
pub use contract::{
    Argument, Change, Compensation, Connector, Done, Health, Intent, Manifest, Observed, Operation,
    OperationKind, Page, Plan, Probe, Rate, Seen,
};
pub use env::{Clock, Env};
pub use hints::{Hints, Remaining};
pub use net::Network;
