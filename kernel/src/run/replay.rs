//! The order of a turn's effects.
//!
//! After a crash an agent's function runs again and asks for its effects again; those that are recorded are answered from
//! the journal. Effects are matched by name and occurrence, and recorded ones must be asked for in the recorded order. An
//! effect that is not recorded may come anywhere: so an agent that gained an unrelated effect still replays, and one whose
//! effects changed places is stopped. It never guesses.

use std::fmt;

use super::{
    event::EffectRef,
    state::{EffectState, Step},
};
use crate::payload::{Digest, Payload};

/// Follows one execution of a turn.
#[derive(Clone, Debug)]
pub struct Replay {
    recorded: Vec<(EffectRef, Digest)>,
    next: usize,
}

/// What the journal holds for an effect that a turn asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// Its answer.
    Answer(Payload),
    /// A write: look at its state.
    Write,
    /// Nothing yet: it is new.
    New,
}

/// Where a turn left the path that the journal has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// Counted from zero, among the recorded effects of the step.
    pub at: usize,
    /// What the journal has there.
    pub recorded: String,
    /// What the turn asked for, or that it ended.
    pub asked: String,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, recorded, asked } = self;
        write!(
            f,
            "the turn diverged from its journal at effect {at}: recorded {recorded}, asked {asked}; nothing was executed. \
             Run it with the agent version that recorded it"
        )
    }
}

impl Replay {
    /// A new execution of the turn of `step`.
    #[must_use]
    pub fn new(step: &Step) -> Self {
        Self {
            recorded: step.effects.iter().map(|effect| (effect.id.clone(), effect.asked)).collect(),
            next: 0,
        }
    }

    /// The turn asks for effect `id` with `asked`.
    ///
    /// # Errors
    ///
    /// [`Divergence`] if the journal has another effect at this place, or another question for this effect.
    pub fn ask(
        &mut self,
        step: &Step,
        id: &EffectRef,
        asked: Digest,
    ) -> Result<Replayed, Divergence> {
        let Some(position) = self.recorded.iter().position(|(recorded, _)| recorded == id) else {
            return Ok(Replayed::New);
        };
        let (expected, digest) = &self.recorded[self.next.min(self.recorded.len() - 1)];
        if position != self.next {
            return Err(self.divergence(expected.to_string(), id.to_string()));
        }
        if *digest != asked {
            let asked = format!("{id} with other arguments ({asked:?})");
            return Err(self.divergence(format!("{expected} ({digest:?})"), asked));
        }
        self.next += 1;
        Ok(match step.effect(id).map(|effect| &effect.state) {
            Some(EffectState::Recorded { answer }) => Replayed::Answer(answer.clone()),
            Some(EffectState::Write(_)) => Replayed::Write,
            None => Replayed::New,
        })
    }

    /// The turn ended.
    ///
    /// # Errors
    ///
    /// [`Divergence`] if the journal has effects that it did not ask for.
    pub fn end(&self) -> Result<(), Divergence> {
        match self.recorded.get(self.next) {
            Some((expected, _)) => {
                Err(self.divergence(expected.to_string(), "the end of the turn".into()))
            }
            None => Ok(()),
        }
    }

    fn divergence(&self, recorded: String, asked: String) -> Divergence {
        Divergence { at: self.next, recorded, asked }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Effect, StepStatus};

    fn id(name: &str) -> EffectRef {
        EffectRef { name: name.parse().unwrap(), occurrence: 0 }
    }

    fn step(names: &[&str]) -> Step {
        let effect = |name: &&str| Effect {
            id: id(name),
            asked: Digest::of(name.as_bytes()),
            state: EffectState::Recorded { answer: Payload::null() },
        };
        let effects = names.iter().map(effect).collect();
        Step { status: StepStatus::Pending, attempt: 1, effects }
    }

    /// Replays `asked` against `recorded`; gives how many were answered, or the divergence.
    #[track_caller]
    fn check(recorded: &[&str], asked: &[&str], expected: Result<usize, (usize, &str, &str)>) {
        let step = step(recorded);
        let mut replay = Replay::new(&step);
        let mut answered = 0;
        let result = asked
            .iter()
            .try_for_each(|name| {
                let replayed = replay.ask(&step, &id(name), Digest::of(name.as_bytes()))?;
                answered += usize::from(replayed != Replayed::New);
                Ok(())
            })
            .and_then(|()| replay.end());
        let expected = expected.map_err(|(at, recorded, asked)| Divergence {
            at,
            recorded: recorded.into(),
            asked: asked.into(),
        });
        assert_eq!(result.map(|()| answered), expected);
    }

    #[test]
    fn the_same_order_replays() {
        check(&["a", "b"], &["a", "b", "c"], Ok(2));
    }

    #[test]
    fn an_added_effect_does_not_diverge() {
        check(&["a", "b"], &["a", "new", "b"], Ok(2));
    }

    #[test]
    fn effects_that_change_places_diverge() {
        check(&["a", "b"], &["b", "a"], Err((0, "a#0", "b#0")));
    }

    #[test]
    fn an_effect_that_is_no_longer_asked_for_diverges() {
        check(&["a", "b"], &["a"], Err((1, "b#0", "the end of the turn")));
        check(&["a", "b", "c"], &["a", "c"], Err((1, "b#0", "c#0")));
    }

    #[test]
    fn the_same_effect_with_other_arguments_diverges() {
        let step = step(&["a"]);
        let divergence = Replay::new(&step).ask(&step, &id("a"), Digest::of(b"other")).unwrap_err();
        assert!(divergence.asked.starts_with("a#0 with other arguments"), "{divergence}");
    }

    #[test]
    fn an_effect_asked_for_twice_diverges() {
        check(&["a"], &["a", "a"], Err((1, "a#0", "a#0")));
    }
}
