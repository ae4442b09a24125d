//! The order of a turn's effects.
//!
//! After a crash an agent's function runs again and asks for its effects again; those that are recorded are answered from
//! the journal. Effects are matched by name and occurrence, and recorded ones must be asked for in the recorded order. An
//! effect that is not recorded may come anywhere: so an agent that gained an unrelated effect still replays, and one whose
//! effects changed places is stopped. It never guesses. The branches of a `join` have an order each, because which of them
//! is faster may differ from one execution to the next.

use std::{collections::BTreeMap, fmt};

use super::{
    event::EffectRef,
    step::{EffectState, Step},
};
use crate::{
    labels::Labeled,
    payload::{Digest, Payload},
};

/// Follows one execution of a turn.
#[derive(Clone, Debug)]
pub struct Replay {
    recorded: Vec<(EffectRef, Digest)>,
    /// How many of the recorded effects of a branch were asked for.
    next: BTreeMap<String, usize>,
}

/// What a turn asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Something that is answered at once.
    Effect,
    /// A write.
    Write,
    /// Something that takes its time.
    Wait,
}

/// What the journal holds for an effect that a turn asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// Its answer.
    Answer(Labeled<Payload>),
    /// It was asked for, and its answer is still to come: look at its state.
    UnderWay,
    /// Nothing yet: it is new.
    New,
}

/// Where a turn left the path that the journal has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// Counted from zero, among the recorded effects of the branch.
    pub at: usize,
    /// What the journal has there.
    pub recorded: String,
    /// What the turn asked for, or that it ended.
    pub asked: String,
    /// The order that the journal has.
    pub recorded_order: Vec<String>,
    /// The order in which the turn asked.
    pub asked_order: Vec<String>,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, recorded, asked, recorded_order, asked_order } = self;
        write!(
            f,
            "the turn diverged from its journal at effect {at}: recorded {recorded}, asked {asked}; nothing was executed. \
             Recorded order: {}. Asked order: {}. Run it with the agent version that recorded it",
            recorded_order.join(", "),
            asked_order.join(", ")
        )
    }
}

impl Replay {
    /// A new execution of the turn of `step`.
    #[must_use]
    pub fn new(step: &Step) -> Self {
        let own = |effect: &&super::step::Effect| !is_kernels(&effect.id);
        let recorded = step.effects.iter().filter(own);
        Self {
            recorded: recorded.map(|effect| (effect.id.clone(), effect.asked)).collect(),
            next: BTreeMap::new(),
        }
    }

    /// The recorded effects of `branch`, in their order.
    fn of_branch(&self, branch: &str) -> Vec<&(EffectRef, Digest)> {
        self.recorded.iter().filter(|(id, _)| id.branch() == branch).collect()
    }

    /// The turn asks for effect `id` with `asked`.
    ///
    /// # Errors
    ///
    /// [`Divergence`] if the journal has another effect at this place, another question for this effect, or an effect of
    /// another kind.
    pub fn ask(
        &mut self,
        step: &Step,
        id: &EffectRef,
        kind: Asked,
        asked: Digest,
    ) -> Result<Replayed, Divergence> {
        let branch = id.branch();
        let recorded = self.of_branch(branch);
        let Some(position) = recorded.iter().position(|(known, _)| known == id) else {
            return Ok(Replayed::New);
        };
        let next = self.next.get(branch).copied().unwrap_or(0);
        let (expected, digest) = recorded[next.min(recorded.len() - 1)];
        if position != next {
            return Err(self.divergence(branch, expected.to_string(), id.to_string()));
        }
        if *digest != asked {
            let asked = format!("{id} with other arguments ({asked:?})");
            return Err(self.divergence(branch, format!("{expected} ({digest:?})"), asked));
        }
        let state = step.effect(id).map(|effect| &effect.state);
        let replayed = match (state, kind) {
            (None, _) => Replayed::New,
            (Some(EffectState::Recorded { answer }), Asked::Effect) => {
                Replayed::Answer(answer.clone())
            }
            (Some(EffectState::Write(_)), Asked::Write)
            | (Some(EffectState::Awaited(_)), Asked::Wait) => Replayed::UnderWay,
            (Some(state), kind) => {
                let recorded = format!("{id} as {}", word(state));
                return Err(self.divergence(branch, recorded, format!("{id} as {}", kind.word())));
            }
        };
        self.next.insert(branch.to_owned(), next + 1);
        Ok(replayed)
    }

    /// The turn ended.
    ///
    /// # Errors
    ///
    /// [`Divergence`] if the journal has effects that it did not ask for.
    pub fn end(&self) -> Result<(), Divergence> {
        for (id, _) in &self.recorded {
            let branch = id.branch();
            let next = self.next.get(branch).copied().unwrap_or(0);
            if let Some((expected, _)) = self.of_branch(branch).get(next) {
                let asked = "the end of the turn".into();
                return Err(self.divergence(branch, expected.to_string(), asked));
            }
        }
        Ok(())
    }

    fn divergence(&self, branch: &str, recorded: String, asked: String) -> Divergence {
        let at = self.next.get(branch).copied().unwrap_or(0);
        let order: Vec<String> =
            self.of_branch(branch).iter().map(|(id, _)| id.to_string()).collect();
        let mut asked_order = order[..at.min(order.len())].to_vec();
        asked_order.push(asked.clone());
        Divergence { at, recorded, asked, recorded_order: order, asked_order }
    }
}

/// Whether the kernel itself gave the effect to the step.
fn is_kernels(id: &EffectRef) -> bool {
    matches!(id.branch(), super::step::UNDO | super::step::DECIDE | "kernel")
}

fn word(state: &EffectState) -> &'static str {
    match state {
        EffectState::Recorded { .. } => Asked::Effect.word(),
        EffectState::Write(_) => Asked::Write.word(),
        EffectState::Awaited(_) => Asked::Wait.word(),
    }
}

impl Asked {
    fn word(self) -> &'static str {
        match self {
            Self::Effect => "an effect",
            Self::Write => "a write",
            Self::Wait => "a wait",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Effect;

    fn id(name: &str) -> EffectRef {
        EffectRef { name: name.parse().unwrap(), occurrence: 0 }
    }

    fn step(names: &[&str]) -> Step {
        let effect = |name: &&str| Effect {
            id: id(name),
            asked: Digest::of(name.as_bytes()),
            state: EffectState::Recorded { answer: Labeled::default() },
        };
        let effects = names.iter().map(effect).collect();
        Step { attempt: 1, effects, ..Step::pending() }
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
                let replayed =
                    replay.ask(&step, &id(name), Asked::Effect, Digest::of(name.as_bytes()))?;
                answered += usize::from(replayed != Replayed::New);
                Ok(())
            })
            .and_then(|()| replay.end());
        let told = result.as_ref().map(|()| answered).map_err(|divergence| {
            (divergence.at, divergence.recorded.as_str(), divergence.asked.as_str())
        });
        assert_eq!(told, expected);
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
        let divergence = Replay::new(&step)
            .ask(&step, &id("a"), Asked::Effect, Digest::of(b"other"))
            .unwrap_err();
        assert!(divergence.asked.starts_with("a#0 with other arguments"), "{divergence}");
    }

    #[test]
    fn an_effect_asked_for_twice_diverges() {
        check(&["a"], &["a", "a"], Err((1, "a#0", "a#0")));
    }

    #[test]
    fn branches_of_a_join_have_an_order_each() {
        check(&["0:a", "1:x", "0:b"], &["1:x", "0:a", "0:b"], Ok(3));
        check(&["0:a", "1:x", "0:b"], &["0:b", "1:x"], Err((0, "0:a#0", "0:b#0")));
    }

    #[test]
    fn a_divergence_shows_both_orders() {
        let step = step(&["a", "b", "c"]);
        let mut replay = Replay::new(&step);
        replay.ask(&step, &id("a"), Asked::Effect, Digest::of(b"a")).unwrap();
        let divergence = replay.ask(&step, &id("c"), Asked::Effect, Digest::of(b"c")).unwrap_err();
        assert_eq!(divergence.recorded_order, ["a#0", "b#0", "c#0"]);
        assert_eq!(divergence.asked_order, ["a#0", "c#0"]);
    }

    #[test]
    fn an_answer_that_is_asked_for_as_a_write_diverges_at_its_place() {
        let step = step(&["a", "b"]);
        let mut replay = Replay::new(&step);
        replay.ask(&step, &id("a"), Asked::Effect, Digest::of(b"a")).unwrap();
        let divergence = replay.ask(&step, &id("b"), Asked::Write, Digest::of(b"b")).unwrap_err();
        assert_eq!((divergence.at, divergence.asked.as_str()), (1, "b#0 as a write"));
    }
}
