//! The simulated operator: somebody with little time, who looks into the inbox now and then and decides.

use std::{fmt, sync::Arc};

use soloist_actors::Soloist;
use soloist_kernel::{
    effect::{Decision, WriteState},
    inbox::{Item, Kind as ItemKind},
};

use crate::{
    chance::Chance,
    plan::Kind,
    trace::What,
    world::{Access, Strike, World},
};

type Decide = Arc<dyn Fn(&Item, &mut Chance) -> Option<Decision> + Send + Sync>;

/// An operator. He says of a doubtful write what really happened, because he can look.
#[derive(Clone)]
pub struct Operator {
    decide: Decide,
}

impl Default for Operator {
    fn default() -> Self {
        Self::deciding(|item, chance| usual(item, chance, 80))
    }
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator").finish_non_exhaustive()
    }
}

/// What is usually decided: `percent` of what wants approval is approved.
fn usual(item: &Item, chance: &mut Chance, percent: u64) -> Option<Decision> {
    match item.kind {
        ItemKind::Approval if chance.percent(percent) => Some(Decision::Approve),
        ItemKind::Approval => Some(Decision::Abort { reason: "not like this".into() }),
        ItemKind::Question => Some(Decision::Answer { value: "yes".into() }),
        ItemKind::Escalation if chance.percent(70) => Some(Decision::Retry),
        ItemKind::Escalation => Some(Decision::Fail),
        ItemKind::Incident => Some(Decision::Abort { reason: "seen".into() }),
        ItemKind::Ambiguous => None,
    }
}

impl Operator {
    /// An operator who decides so; what gets no decision waits until the next look. Doubtful writes are not asked about: of
    /// these he says what happened.
    #[must_use]
    pub fn deciding(
        decide: impl Fn(&Item, &mut Chance) -> Option<Decision> + Send + Sync + 'static,
    ) -> Self {
        Self { decide: Arc::new(decide) }
    }

    /// An operator who approves of everything, and lets failed steps be tried again.
    #[must_use]
    pub fn approving() -> Self {
        Self::deciding(|item, chance| match item.kind {
            ItemKind::Escalation => Some(Decision::Retry),
            _ => usual(item, chance, 100),
        })
    }

    /// Looks into the inbox, and decides about what is there. Returns whether there was anything.
    pub(crate) async fn look(&self, soloist: &Soloist, access: &Access) -> bool {
        let Ok(items) = soloist.inbox() else { return false };
        let mut decided = false;
        for item in items {
            let Some(number) = access.with(|state| {
                let number = state.decisions;
                state.decisions += 1;
                state.strike(&Strike::Decision(number));
                number
            }) else {
                return decided;
            };
            self.misbehave(soloist, access, &item).await;
            let mut chance = access.world().chance("operator", u64::from(number));
            let decision = match item.kind {
                ItemKind::Ambiguous => resolved(soloist, access.world(), &item),
                _ => (self.decide)(&item, &mut chance),
            };
            let Some(decision) = decision else { continue };
            decided = true;
            let answer = soloist.decide(item.id.as_str(), decision.clone()).await;
            access.with(|state| {
                let text = answer.as_ref().map_or_else(ToString::to_string, |()| "taken".into());
                let (id, title, word) = (&item.id, &item.title, decision.word());
                state.line(
                    "operator",
                    What::Operator,
                    format_args!("{word} {id} ({title}): {text}"),
                );
                if answer.is_ok() {
                    state.saw(&format!("the operator said {word}"));
                }
            });
        }
        decided
    }

    /// What the plan wants the operator to do wrong.
    async fn misbehave(&self, soloist: &Soloist, access: &Access, item: &Item) {
        let moods = access.with(|state| std::mem::take(&mut state.moods)).unwrap_or_default();
        for mood in moods {
            match mood {
                Kind::DecidesTwice => {
                    let again = (soloist.clone(), item.id.clone());
                    tokio::spawn(async move { drop(again.0.approve(again.1.as_str()).await) });
                }
                Kind::DecidesStale => drop(soloist.approve("0123456789").await),
                Kind::Cancels => {
                    if let Some(run) = &item.run {
                        let ended = soloist.abort_run(run.as_str(), "changed my mind").await;
                        access.with(|state| {
                            let text =
                                ended.map_or_else(|error| error.to_string(), |()| "ended".into());
                            state.line(
                                "operator",
                                What::Operator,
                                format_args!("abort run {run}: {text}"),
                            );
                        });
                    }
                }
                Kind::Deploys => drop(access.with(|state| state.die(Kind::Deploys))),
                _ => {}
            }
        }
    }
}

/// What really became of the doubtful write that `item` is about.
fn resolved(soloist: &Soloist, world: &World, item: &Item) -> Option<Decision> {
    let run = soloist.folded(item.run.as_ref()?).ok()??;
    let (step, effect, _) = run.writes().find(|(step, _, write)| {
        Some(*step) == item.step.as_ref() && matches!(write.state, WriteState::Ambiguous { .. })
    })?;
    let key = run.effect_id(step, effect).key();
    let happened = world.state().has_happened(key.as_str());
    Some(Decision::Resolve { happened })
}
