//! What a fork does otherwise when it takes a run up: an attempt that the copy ends in the midst of is not in doubt, since the
//! recording goes on.

use soloist_kernel::effect::WriteState;

use super::active::Active;
use crate::actor::Error;

impl Active {
    /// Gives each attempt under way the answer that it had in the original. In a kernel that is no fork there is none.
    pub(super) async fn answer_from_recording(&mut self) -> Result<(), Error> {
        let (Some(stage), Some(run)) = (self.context.stage.clone(), &self.run) else {
            return Ok(());
        };
        let under_way = run.writes().filter(|(_, _, write)| write.state == WriteState::Attempting);
        let answers: Vec<_> = under_way
            .filter_map(|(step, effect, write)| {
                let end = stage.ended(&run.effect_id(step, effect).key(), &write.proposal)?;
                Some((step.clone(), effect.clone(), write.attempts, end))
            })
            .collect();
        for (step, effect, attempt, end) in answers {
            let result = self.answered(step, effect, attempt, end).await;
            self.tolerate(result)?;
        }
        Ok(())
    }
}
