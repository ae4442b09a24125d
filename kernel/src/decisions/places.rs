//! Where writes have landed, folded from the records: what the projections
//! [`REACHED`](crate::run::project::REACHED) and [`REACHED_DAYS`](crate::run::project::REACHED_DAYS) held at any moment.

use std::collections::BTreeMap;

use crate::{
    effect::Proposal,
    id::{ConnectorName, RunId},
    journal::Seq,
    policy::Reached,
    run::project::REACHED_COUNT_MAX,
    time::Timestamp,
};

/// Most landings of the moment that a judgement is looked at without. More of them at one place while one write is judged mean
/// a place that many runs write to, where one more or less decides nothing.
const MOMENT_MAX: usize = 16;

/// Every place that a write has landed at.
#[derive(Debug, Default)]
pub(super) struct Places {
    reached: BTreeMap<(ConnectorName, String), BTreeMap<String, Vec<Landing>>>,
}

#[derive(Debug)]
struct Landing {
    seq: Seq,
    at: Timestamp,
    run: RunId,
}

impl Places {
    /// A write as `proposal` says has landed in `run`, by record `seq`.
    pub(super) fn landed(&mut self, proposal: &Proposal, run: &RunId, seq: Seq, at: Timestamp) {
        for (argument, value) in &proposal.routing {
            let place = (proposal.connector.clone(), argument.clone());
            let landings = self.reached.entry(place).or_default().entry(value.clone()).or_default();
            landings.push(Landing { seq, at, run: run.clone() });
        }
    }

    /// What had landed before record `before` where `proposal` would go, as it is known at `at`.
    pub(super) fn reached(
        &self,
        proposal: &Proposal,
        before: Seq,
        at: Timestamp,
    ) -> BTreeMap<String, Reached> {
        let known = proposal.routing.iter().filter_map(|(argument, value)| {
            let landings = self.at(proposal, argument, value);
            let landings = &landings[..landings.partition_point(|landing| landing.seq < before)];
            let last = landings.last()?;
            let same_day = landings.iter().filter(|landing| landing.at.day() == at.day());
            let today = same_day.count().min(REACHED_COUNT_MAX);
            let today = u32::try_from(today).unwrap_or(u32::MAX);
            Some((argument.clone(), Reached { at: last.at, today }))
        });
        known.collect()
    }

    /// The records after `after` by which writes of other runs than `run` have landed where `proposal` would go, latest first.
    pub(super) fn since(&self, proposal: &Proposal, run: &RunId, after: Seq) -> Vec<Seq> {
        let landings = proposal.routing.iter().flat_map(|(argument, value)| {
            let landings = self.at(proposal, argument, value).iter().rev();
            landings.take_while(|landing| landing.seq > after).filter(|landing| landing.run != *run)
        });
        let mut records: Vec<Seq> = landings.map(|landing| landing.seq).collect();
        records.sort_unstable_by(|a, b| b.cmp(a));
        records.dedup();
        records.truncate(MOMENT_MAX);
        records
    }

    fn at(&self, proposal: &Proposal, argument: &str, value: &str) -> &[Landing] {
        let place = (proposal.connector.clone(), argument.to_owned());
        let values = self.reached.get(&place);
        values.and_then(|values| values.get(value)).map_or(&[], Vec::as_slice)
    }
}
