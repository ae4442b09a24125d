//! The run at its own boundary: commands in, events and actions out.

mod bench;
mod control;
mod graph;
mod money;
mod pairs;
mod parked;
mod random;
mod saga;
mod world;
mod writes;
