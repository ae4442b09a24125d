//! Any text is a workflow or an error, and what is a workflow comes back from its canonical text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use soloist_kernel::workflow::Workflow;

fuzz_target!(|text: &str| {
    if let Ok(workflow) = Workflow::parse("fuzzed.toml", text) {
        let again = Workflow::parse("canonical.toml", &workflow.to_toml())
            .expect("what was accepted is accepted again");
        assert!(workflow.diff(&again).is_empty());
    }
});
