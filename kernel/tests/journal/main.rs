//! What a journal on disk survives: cuts, flipped bits, lost sectors, lost files, failing disks, second openers.
//!
//! Its rule: **repaired with nothing synced lost, or refused with a clear message; never silently shorter.** Each module
//! breaks one thing. `support.rs` holds what they share, `faults.rs` makes system calls fail.

#[expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
mod archive;
mod cuts;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
mod faults;
mod flips;
mod grouping;
mod losses;
mod measure;
mod openers;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
mod sameness;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
mod stops;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
mod support;
mod versions;
