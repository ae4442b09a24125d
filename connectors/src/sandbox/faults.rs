//! Faults to order: how the next call of an operation is to end.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use soloist_kernel::fault::{Fault, FaultClass, Phase};

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Nothing leaves.
    Before,
    /// The system answers no, and does nothing.
    BeforeAnswered(FaultClass),
    /// The system does it, and the answer is lost.
    AfterLanding,
    /// The request is lost on its way, which the caller cannot tell from a lost answer.
    MaybeNotLanded,
}

/// What was ordered of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Injected {
    Fails(How),
    Hangs,
}

/// What was ordered and has not happened yet, by operation.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults(Arc<Mutex<BTreeMap<String, VecDeque<Injected>>>>);

impl Faults {
    pub(super) fn inject(&self, operation: &str, injected: Injected) {
        let mut ordered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ordered.entry(operation.to_owned()).or_default().push_back(injected);
    }

    /// What this call of `operation` is to do, if anything was ordered.
    pub(super) fn take(&self, operation: &str) -> Option<Injected> {
        let mut ordered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ordered.get_mut(operation)?.pop_front()
    }
}

impl Injected {
    /// The fault that keeps a call from having an effect.
    pub(super) fn before(self) -> Option<Fault> {
        match self {
            Self::Fails(How::Before) => Some(Fault::new(
                FaultClass::Transient,
                Phase::NotSent,
                "ordered: the system cannot be reached",
            )),
            Self::Fails(How::BeforeAnswered(class)) => {
                Some(Fault::new(class, Phase::Answered, "ordered: the system answers no"))
            }
            Self::Fails(How::MaybeNotLanded) => Some(lost()),
            Self::Fails(How::AfterLanding) | Self::Hangs => None,
        }
    }

    /// What becomes of the answer of a call that had its effect.
    pub(super) async fn after(self) -> Fault {
        if self == Self::Hangs {
            std::future::pending::<()>().await;
        }
        lost()
    }
}

/// The same words whether it landed or not: the caller cannot know.
fn lost() -> Fault {
    Fault::new(FaultClass::Transient, Phase::MaybeSent, "ordered: the connection was lost")
}
