//! The deterministic simulator: the whole kernel in one seeded world, with the faults of its APIs, its disk and its
//! power supply as data.
//!
//! Its rule is that production and simulation differ in nothing but the `Env` of `soloist-connectors`. The in-memory
//! journal with crash and power-loss semantics that it will run on is in `soloist_kernel::journal::memory`; the actors it
//! drives are in `soloist-actors`.
