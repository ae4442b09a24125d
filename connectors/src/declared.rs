//! A connector that is declared in TOML: any system that is spoken to in JSON over HTTP, without a line of Rust.
//!
//! The rule: **what leaves is byte for byte what was planned, plus the credential**. A declaration says how a request is made of
//! arguments, what its answer means, and how a write is found again or taken back; `plan` writes the whole request down,
//! `execute` sends that and nothing else. What a declaration cannot say is no business of it: where requests may go is the
//! transport's, retries and limits are the kernel's.
//!
//! `read.rs` reads the file, `operation.rs` and `semantics.rs` what is declared of each operation and whether it fits together;
//! `text.rs` has the values with holes in them, `request.rs` makes requests of them, `secret.rs` the credential. `answer.rs` says
//! what an answer means and `pages.rs` where the list goes on. `connector.rs` is the connector that comes of it.
//!
//! ```
//! use soloist_connectors::{Connector, declared::Declared};
//!
//! let crm = Declared::parse(
//!     "crm.toml",
//!     r#"
//!     name = "crm"
//!     system = "the CRM of the studio"
//!     base = "https://api.crm.example/v3"
//!     credential = { bearer = { env = "CRM_TOKEN" } }
//!
//!     [[operation]]
//!     name = "contact"
//!     summary = "Look a contact up by address"
//!     kind = "read"
//!     method = "GET"
//!     path = "/contacts/{{ arguments.email }}"
//!     arguments.email = { role = "routing", schema = { type = "string", format = "email" } }
//!     "#,
//! );
//! let crm = crm.unwrap();
//! assert_eq!(crm.name(), "crm");
//! assert_eq!(crm.manifest().operations.len(), 1);
//!
//! let problems = Declared::parse("crm.toml", "name = 'crm'\nbase = 'ftp://x'").unwrap_err();
//! assert!(problems.iter().any(|problem| problem.field.as_deref() == Some("base")));
//! ```

mod answer;
mod connector;
mod fields;
mod operation;
mod pages;
mod problem;
mod read;
mod request;
mod secret;
mod semantics;
mod text;

pub use connector::Declared;
pub use problem::Problem;
pub use read::DECLARATION_BYTES_MAX;

#[cfg(test)]
mod tests;
