//! What the tests share: the binary and a directory to run it in, mails to feed it, a server that takes its answers, and
//! the campaign that kills it.

pub(crate) mod binary;
pub(crate) mod campaign;
pub(crate) mod company;
pub(crate) mod ledger;
pub(crate) mod mails;
pub(crate) mod serving;
pub(crate) mod smtp;
pub(crate) mod xorshift;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

pub(crate) use company::Company;

/// How long a test waits for what must come. Generous: a machine that is busy is not a defect.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Returns once `condition` holds.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("the package lies in the workspace").to_owned()
}
