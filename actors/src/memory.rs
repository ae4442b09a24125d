//! The memory actor: the one that appends facts.

use std::sync::Arc;

use soloist_kernel::{
    id::StreamId,
    journal::{AppendError, StreamSeq},
};
use soloist_memory::{Assertion, Decided, Fact, Provenance, STREAM, decide};
use tokio::sync::oneshot;

use crate::{
    actor::{Address, Behaviour, Error},
    context::Context,
};

/// What the memory actor is asked.
pub(crate) enum Message {
    /// Assert a fact.
    Remember { assertion: Box<Assertion>, reply: oneshot::Sender<Result<Fact, String>> },
}

/// Asserts a fact through `memory`, and returns once it is fsynced.
pub(crate) async fn remember(
    memory: &Address<Message>,
    assertion: Assertion,
) -> Result<Fact, String> {
    let (reply, answer) = oneshot::channel();
    let restarting = || "memory is restarting; try again".to_owned();
    let message = Message::Remember { assertion: Box::new(assertion), reply };
    memory.send(message).map_err(|_| restarting())?;
    answer.await.unwrap_or_else(|_| Err(restarting()))
}

pub(crate) struct MemoryActor {
    context: Arc<Context>,
    stream_seq: StreamSeq,
}

impl Behaviour for MemoryActor {
    type Message = Message;
    type Arguments = Arc<Context>;

    fn label(message: &Message) -> &'static str {
        match message {
            Message::Remember { .. } => "remember",
        }
    }

    async fn start(context: Arc<Context>, me: Address<Message>) -> Result<Self, Error> {
        let stream = StreamId::new(STREAM)?;
        let stream_seq = context.journal.stream_head(&stream)?;
        context.registry.set_memory(me);
        Ok(Self { context, stream_seq })
    }

    async fn handle(&mut self, message: Message) -> Result<(), Error> {
        match message {
            Message::Remember { assertion, reply } => {
                let answer = self.remember(*assertion).await?;
                let _ = reply.send(answer);
            }
        }
        Ok(())
    }
}

impl MemoryActor {
    /// The outer error is the actor's: its place in the stream is in doubt, so it starts again from the journal.
    async fn remember(&mut self, assertion: Assertion) -> Result<Result<Fact, String>, Error> {
        let memory = &self.context.memory;
        let current = memory.fact(&assertion.subject, &assertion.name)?;
        let by_same_effect = match &assertion.provenance {
            Provenance::Agent { effect, .. } => memory.asserted_by(effect)?,
            Provenance::Operator { .. } => None,
        };
        let next = StreamSeq(self.stream_seq.0 + 1);
        match decide(assertion, current.as_ref(), by_same_effect, next, self.context.env.now()) {
            Err(error) => Ok(Err(error.to_string())),
            Ok(Decided::Already(fact)) => Ok(Ok(fact)),
            // Durable, so that the next assertion's read sees this one.
            Ok(Decided::New(fact, append)) => match self.context.log.durable(*append).await {
                Ok(_) => {
                    self.stream_seq = next;
                    Ok(Ok(fact))
                }
                Err(AppendError::TooLarge { bytes, .. }) => {
                    Ok(Err(format!("the fact has {bytes} bytes: too large")))
                }
                Err(error @ AppendError::Stopped(_)) => {
                    self.context.halt(&error.to_string());
                    Ok(Err(error.to_string()))
                }
                Err(error) => Err(error.into()),
            },
        }
    }
}
