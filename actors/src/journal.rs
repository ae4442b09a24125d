//! The journal's actor: it wakes those who wait for an fsync. Everything in the tree depends on it, so it is the first; when it
//! dies, everything after it starts again from what is on disk.
//!
//! The store and its writer thread outlive the actor: an error of theirs means that nobody knows what is on disk, and that
//! ends the process instead (see `Context::halt`).

use std::sync::Arc;

use crate::{
    actor::{Address, Behaviour, Error},
    context::Context,
    log::Notifier,
};

/// Nothing is asked of it: the journal's thread wakes it.
pub(crate) enum Message {}

pub(crate) struct JournalActor {
    _notifier: Notifier,
}

impl Behaviour for JournalActor {
    type Message = Message;
    type Arguments = Arc<Context>;

    fn label(message: &Message) -> &'static str {
        match *message {}
    }

    async fn start(context: Arc<Context>, _me: Address<Message>) -> Result<Self, Error> {
        Ok(Self { _notifier: context.log.notifier() })
    }

    async fn handle(&mut self, message: Message) -> Result<(), Error> {
        match message {}
    }
}
