//! Any text is a policy or an error.

#![no_main]

use libfuzzer_sys::fuzz_target;
use soloist_kernel::policy::Policy;

fuzz_target!(|text: &str| {
    drop(Policy::parse("fuzzed.toml", text));
});
