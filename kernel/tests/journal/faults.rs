//! Stands in front of the C library's `fsync`, `fdatasync` and `write` and makes them fail for the paths of one test.

use std::{
    ffi::{c_int, c_void},
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Which system calls fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `fsync` and `fdatasync` fail with `EIO`.
    Fsync,
    /// `write` fails with `ENOSPC`.
    Write,
}

static FAULTS: Mutex<Vec<(PathBuf, Fault)>> = Mutex::new(Vec::new());
/// Lets the many calls of tests without faults pass without a look at the list.
static ACTIVE: AtomicUsize = AtomicUsize::new(0);

/// The fault lasts as long as this.
pub(crate) struct Faulty(PathBuf);

/// Makes calls fail for files below `path`.
pub(crate) fn inject(path: &Path, fault: Fault) -> Faulty {
    FAULTS.lock().unwrap().push((path.to_owned(), fault));
    ACTIVE.fetch_add(1, Ordering::SeqCst);
    Faulty(path.to_owned())
}

impl Drop for Faulty {
    fn drop(&mut self) {
        ACTIVE.fetch_sub(1, Ordering::SeqCst);
        FAULTS.lock().unwrap().retain(|(path, _)| *path != self.0);
    }
}

fn fails(fd: c_int, fault: Fault) -> bool {
    if ACTIVE.load(Ordering::SeqCst) == 0 {
        return false;
    }
    let Ok(path) = fs::read_link(format!("/proc/self/fd/{fd}")) else { return false };
    FAULTS.lock().unwrap().iter().any(|(below, which)| *which == fault && path.starts_with(below))
}

fn fail(code: c_int) -> c_int {
    #[expect(unsafe_code, reason = "errno is how a system call says why it failed")]
    // SAFETY: the location is this thread's own and always valid.
    unsafe {
        *libc::__errno_location() = code;
    }
    -1
}

#[unsafe(no_mangle)]
#[expect(
    unsafe_code,
    reason = "takes the place of the C library's function in this test binary only"
)]
extern "C" fn fsync(fd: c_int) -> c_int {
    if fails(fd, Fault::Fsync) {
        return fail(libc::EIO);
    }
    // SAFETY: passes on what it was given.
    unsafe { libc::syscall(libc::SYS_fsync, fd) as c_int }
}

#[unsafe(no_mangle)]
#[expect(
    unsafe_code,
    reason = "takes the place of the C library's function in this test binary only"
)]
extern "C" fn fdatasync(fd: c_int) -> c_int {
    if fails(fd, Fault::Fsync) {
        return fail(libc::EIO);
    }
    // SAFETY: passes on what it was given.
    unsafe { libc::syscall(libc::SYS_fdatasync, fd) as c_int }
}

#[unsafe(no_mangle)]
#[expect(
    unsafe_code,
    reason = "takes the place of the C library's function in this test binary only"
)]
extern "C" fn write(fd: c_int, bytes: *const c_void, len: usize) -> isize {
    if fails(fd, Fault::Write) {
        return fail(libc::ENOSPC) as isize;
    }
    // SAFETY: passes on what it was given.
    unsafe { libc::syscall(libc::SYS_write, fd, bytes, len) as isize }
}
