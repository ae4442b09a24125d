//! The connectors: whether the other side of each is well.

use serde_json::{Value, json};
use soloist_actors::{CheckError, Soloist};

use crate::request::Problem;

/// What was found is an answer, also if it is not well; what could not be asked is none.
pub(super) async fn check(soloist: &Soloist, name: &str) -> Result<Value, Problem> {
    match soloist.check_connector(name).await {
        Ok(health) => Ok(json!({ "name": name, "ok": true, "health": health, "problem": null })),
        Err(CheckError::Fault(fault)) => {
            let problem = fault.to_string();
            Ok(json!({ "name": name, "ok": false, "health": "unusable", "problem": problem }))
        }
        Err(error) => Err(Problem::new(error)),
    }
}
