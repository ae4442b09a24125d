//! The runs beneath a run. The beginning of each is in the same batch as the record that asks for it: a crash leaves both or
//! neither, and its id comes from the effect, so there is never a second one.

use soloist_kernel::{
    id::{Actor, RunId, WorkflowRef},
    journal::{Append, StreamSeq},
    run::{self, Awaits, Beginning, Child, ChildOf, EffectRef, Event, Parent, Run},
    time::Timestamp,
    workflow::Library,
};

use super::active::{Active, add_record};
use crate::context::Counters;

impl Active {
    /// Adds the beginnings of the runs that `events` of `next` ask for to `append`, and those that these ask for; gives their
    /// ids.
    pub(super) fn begin_children(
        &self,
        next: &Run,
        events: &[Event],
        now: Timestamp,
        append: &mut Append,
    ) -> Vec<RunId> {
        let mut begun = vec![];
        let mut waiting: Vec<(Parent, Child, Run)> =
            asked_for(next, events).map(|(parent, child)| (parent, child, next.clone())).collect();
        while let Some((parent, child, above)) = waiting.pop() {
            let id = child.run.clone();
            let Some((events, mut run)) = self.begin_child(parent, child, &above, now) else {
                tracing::error!(run = %id, "its definition is missing, so it cannot begin");
                continue;
            };
            run.stream_seq = StreamSeq(1);
            append.projections.extend(run::project::project(None, &run, &events));
            add_record(append, &run, &events, now, Actor::kernel());
            Counters::add(&self.context.counters.runs_started);
            let beneath =
                asked_for(&run, &events).map(|(parent, child)| (parent, child, run.clone()));
            waiting.extend(beneath.collect::<Vec<_>>());
            begun.push(id);
        }
        begun
    }

    fn begin_child(
        &self,
        parent: Parent,
        child: Child,
        above: &Run,
        now: Timestamp,
    ) -> Option<(Vec<Event>, Run)> {
        let (library, id) = (self.context.library(), child.run.clone());
        let (workflow, body) = match child.of {
            ChildOf::Body => (above.workflow.clone(), Some(parent.step.clone())),
            ChildOf::Workflow(workflow) => (workflow, None),
            ChildOf::Agent(agent) => (WorkflowRef::of_agent(&agent), None),
        };
        let definition = library.resolve(&workflow, body.as_ref())?;
        // A round has the agents that its run is pinned to.
        let mut agents = self.context.pin(&definition, &id);
        if body.is_some() {
            agents.extend(above.agents.clone());
        }
        let beginning =
            Beginning { workflow, body, agents, parent: Some(parent), input: child.input };
        Some(
            self.context
                .decides(None, now, |env| run::start(child.run, beginning, definition, env)),
        )
    }
}

/// The runs that `events` of `run` ask for.
fn asked_for(run: &Run, events: &[Event]) -> impl Iterator<Item = (Parent, Child)> {
    let asked = events.iter().filter_map(|event| match event {
        Event::Awaited { step, effect, what, .. } => match &**what {
            Awaits::Child(child) => Some((step, effect, child)),
            _ => None,
        },
        _ => None,
    });
    asked.map(|(step, effect, child)| {
        let effect: EffectRef = effect.clone();
        (Parent { run: run.id.clone(), step: step.clone(), effect }, child.clone())
    })
}
