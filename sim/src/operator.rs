//! The simulated operator: somebody with little time, who looks into the inbox now and then and decides.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde_json::Value;
use soloist_actors::{Soloist, views};
use soloist_kernel::{
    budget::{Account, Cost},
    effect::{Decision, WriteState},
    inbox::{self, Item, Kind as ItemKind, Waiting},
    incident::What as Incident,
    run::Run,
};

use crate::{
    chance::Chance,
    check::journal::question_place,
    plan::Kind,
    trace::What,
    world::{Access, Strike, World},
};

type Decide = Arc<dyn Fn(&Item, &mut Chance) -> Option<Decision> + Send + Sync>;
type Change = Arc<dyn Fn(&Item, &mut Chance) -> Option<Value> + Send + Sync>;

/// An operator. He says of a doubtful write what really happened, because he can look.
#[derive(Clone)]
pub struct Operator {
    decide: Decide,
    change: Change,
    /// What he raises a budget by that is used up.
    more: Cost,
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
    /// these he says what happened. Nor are runs that were set aside: these go on, sooner or later.
    #[must_use]
    pub fn deciding(
        decide: impl Fn(&Item, &mut Chance) -> Option<Decision> + Send + Sync + 'static,
    ) -> Self {
        Self { decide: Arc::new(decide), change: Arc::new(|_, _| None), more: Cost::CALL }
    }

    /// And who first changes what some writes say: to these arguments, which lets them happen.
    #[must_use]
    pub fn changing(
        self,
        change: impl Fn(&Item, &mut Chance) -> Option<Value> + Send + Sync + 'static,
    ) -> Self {
        Self { change: Arc::new(change), ..self }
    }

    /// And who raises a budget by this when he is told that it is used up.
    #[must_use]
    pub fn raising(self, more: Cost) -> Self {
        Self { more, ..self }
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
        let mut runs = BTreeMap::new();
        for run in items.iter().filter_map(|item| item.run.as_ref()) {
            runs.entry(run.clone()).or_insert_with(|| soloist.folded(run).ok().flatten());
        }
        let run_of = |item: &Item| runs.get(item.run.as_ref()?)?.as_ref();
        let places: Vec<Option<String>> =
            items.iter().map(|item| sees(run_of(item), access, item)).collect();
        let mut decided = false;
        for (item, place) in items.iter().zip(&places) {
            let Some(number) = access.with(|state| {
                let number = state.decisions;
                state.decisions += 1;
                state.strike(&Strike::Decision(number));
                number
            }) else {
                return decided;
            };
            self.misbehave(soloist, access, item).await;
            decided |= self.decides(soloist, access, item, place.as_deref(), number).await;
        }
        decided
    }

    /// Decides about `item`, which waits at `place`, or leaves it.
    async fn decides(
        &self,
        soloist: &Soloist,
        access: &Access,
        item: &Item,
        place: Option<&str>,
        number: u32,
    ) -> bool {
        if let Some(account) = over_budget(soloist, item) {
            return self.raises(soloist, access, &account).await;
        }
        let mut chance = access.world().chance("operator", u64::from(number));
        let approval = item.kind == ItemKind::Approval && item.digest.is_some();
        let change = approval.then(|| (self.change)(item, &mut chance)).flatten();
        let (word, answer) = if let Some(arguments) = change {
            ("modify", soloist.modify(item.id.as_str(), &arguments).await)
        } else {
            let decision = match item.kind {
                ItemKind::Ambiguous => resolved(soloist, access.world(), item),
                ItemKind::Incident if is_set_aside(item) => {
                    chance.percent(50).then_some(Decision::Retry)
                }
                _ => (self.decide)(item, &mut chance),
            };
            let Some(decision) = decision else { return false };
            (decision.word(), soloist.decide(item.id.as_str(), decision).await)
        };
        access.with(|state| {
            let text = answer.as_ref().map_or_else(ToString::to_string, |()| "taken".into());
            let (id, title) = (&item.id, &item.title);
            state.line("operator", What::Operator, format_args!("{word} {id} ({title}): {text}"));
            if answer.is_ok() {
                state.saw(&format!("the operator said {word}"));
                if state.deployed && word == "approve" && item.digest.is_some() {
                    state.saw(APPROVED_LATER);
                }
                let unsynced = place.and_then(|place| state.watch.decided_unsynced(place));
                state.acknowledged(format_args!("`{word}` of {id}"), unsynced);
            }
        });
        true
    }

    /// Lets what waits for a budget have some more.
    async fn raises(&self, soloist: &Soloist, access: &Access, account: &Account) -> bool {
        let Account { budget, run, .. } = account;
        // From the moment on at which he says so, it may be spent.
        access.with(|state| state.paid.raises(budget, self.more));
        let raised = soloist.raise_budget(budget, run.as_ref(), self.more, "go on").await;
        access.with(|state| {
            let text = raised.as_ref().map_or_else(ToString::to_string, |_| "raised".into());
            state.line("operator", What::Operator, format_args!("budget {account}: {text}"));
            if raised.is_ok() {
                state.saw("the operator raised a budget");
            }
        });
        true
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
                Kind::DecidesLate => decides_late(soloist, access, item).await,
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

/// He says yes to `item` when its deadline is up: at that very moment, beside the timer that rings then, or after the machine has
/// slept until then, when no timer has rung. If it has no deadline he waits for one that has.
async fn decides_late(soloist: &Soloist, access: &Access, item: &Item) {
    let Some(deadline) = item.deadline else {
        access.with(|state| state.moods.push(Kind::DecidesLate));
        return;
    };
    let decision = match item.kind {
        ItemKind::Question => Decision::Answer { value: "yes".into() },
        _ => Decision::Approve,
    };
    let wait = access.wall().until(deadline);
    let (soloist, id) = (soloist.clone(), item.id.clone());
    let decide = async move { drop(soloist.decide(id.as_str(), decision).await) };
    let world = access.world();
    if world.chance("decides late", world.now_ms()).percent(50) {
        access.with(|state| state.jump(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)));
        decide.await;
    } else {
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            decide.await;
        });
    }
}

/// What is seen when he approves of a write after a deployment.
pub(crate) const APPROVED_LATER: &str = "a write was approved after a deployment";

/// The account that `item` says is used up, if it is about one.
fn over_budget(soloist: &Soloist, item: &Item) -> Option<Account> {
    let incident = views::incident(soloist.journal(), &item.id).ok()??;
    match incident.what {
        Incident::OverBudget { account, .. } => Some(account),
        Incident::Quarantined { .. } | Incident::GaveUp { .. } => None,
    }
}

/// Whether `item` is about a run that was set aside: of all incidents this one can go on.
pub(crate) fn is_set_aside(item: &Item) -> bool {
    item.kind == ItemKind::Incident && item.choices.iter().any(|choice| choice.word == "retry")
}

/// The operator has `item` before him: what of it he has seen counts, and it is what he will have seen under its id for ever.
/// Returns where a decision about it, in its `run`, shows in the journal.
fn sees(run: Option<&Run>, access: &Access, item: &Item) -> Option<String> {
    let waiting = run.and_then(|run| Some((run, inbox::find(run, &item.id)?)));
    access.with(|state| {
        if let Some((run, Waiting::Write(step, effect, write))) = &waiting {
            state.told.shown(run.key(step, effect).as_str(), write.proposal.digest);
        }
        if let Some(before) = state.told.item(&item.id, item.digest.as_deref()) {
            let what = format!("{} showed {before}, and shows something else now", item.id);
            state.violated("item-stays", what);
        }
    });
    waiting.and_then(|(run, waiting)| match waiting {
        Waiting::Write(step, effect, _) => Some(run.key(step, effect).to_string()),
        Waiting::Question(step, effect, _) => Some(question_place(&run.id, step, effect)),
        Waiting::Escalation(..) | Waiting::Incident | Waiting::Late => None,
    })
}

/// What really became of the doubtful write that `item` is about.
fn resolved(soloist: &Soloist, world: &World, item: &Item) -> Option<Decision> {
    let run = soloist.folded(item.run.as_ref()?).ok()??;
    let (step, effect, _) = run.writes().find(|(step, _, write)| {
        Some(*step) == item.step.as_ref() && matches!(write.state, WriteState::Ambiguous { .. })
    })?;
    let key = run.key(step, effect);
    let happened = world.state().has_happened(key.as_str());
    Some(Decision::Resolve { happened })
}
