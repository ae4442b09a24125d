//! The commands, a file each.

pub(crate) mod ask;
pub(crate) mod bench;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod serve;
