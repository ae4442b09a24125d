//! The real binary, built once and found beside the tests.
//!
//! Cargo names a package's own binaries to its tests and no other package's, so the tests ask cargo to build it into the
//! directory they were built into themselves. If it is there and up to date, that takes a moment.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The path of the `soloist` binary.
pub(crate) fn soloist() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let tests = std::env::current_exe().expect("the tests are a file");
        // <target>/<profile>/deps/it-<hash>
        let profile = tests.ancestors().nth(2).expect("cargo puts tests into `deps`");
        build(profile);
        let path = profile.join("soloist");
        assert!(path.exists(), "{} was not built", path.display());
        path
    })
}

fn build(profile: &Path) {
    // Outside cargo there is nothing to build with; then the binary must be there.
    let Some(cargo) = std::env::var_os("CARGO") else { return };
    let name = profile.file_name().and_then(|name| name.to_str()).expect("a profile has a name");
    let target = profile.parent().expect("a profile's folder is in the target folder");
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--package", "soloist", "--bin", "soloist", "--profile"])
        .arg(if name == "debug" { "dev" } else { name })
        .arg("--target-dir")
        .arg(target)
        .current_dir(super::root())
        .status()
        .expect("cargo runs");
    assert!(built.success(), "the soloist binary does not build");
}
