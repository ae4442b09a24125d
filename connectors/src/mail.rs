//! Mail: what arrives is read from files, what leaves goes by SMTP or into a Maildir.
//!
//! Its rule: **nothing of a mail is lost and nothing of it is trusted**. The files of a source are never changed; a mail
//! that cannot be used is quarantined with its reason; all that is read from one is bounded and free of control
//! characters. What leaves is composed once, from the intent alone, so that the operator approves the bytes that leave.
//!
//! [`connector`] joins a source and a way out. Reading is [`source`] (which files are new), [`mod@parse`] (bytes to a
//! [`Mail`]) and [`record`] (what a [`Mail`] is); writing is [`message`] (an intent to bytes), then [`outbox`] or [`smtp`].

pub mod connector;
pub mod record;

pub mod parse;
pub mod source;

pub mod message;
pub mod outbox;
pub mod smtp;

pub use connector::{MailConfig, MailConfigError, MailConnector, OutgoingConfig};
pub use message::Sender;
pub use outbox::MaildirOutbox;
pub use parse::{Unreadable, parse};
pub use record::{Attachment, Mail, Mailbox};
pub use smtp::{Password, Smtp, SmtpConfig, Tls};
pub use source::{Layout, MailSource, MailSourceConfig};
