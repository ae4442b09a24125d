//! What must hold: as it happens, after each recovery, and when everything has come to rest.
//!
//! `journal.rs` watches the protocol at the journal, `call.rs` at the connectors, `finale.rs` looks at the end. The names of
//! the invariants are listed in [`INVARIANTS`], with what each says.

pub(crate) mod finale;
pub(crate) mod journal;

/// The invariants, and what each says.
pub const INVARIANTS: &[(&str, &str)] = &[
    ("effect-once", "the other side counts a write with one identity once"),
    (
        "key-one-payload",
        "what has happened under an identity is never asked for again with another content",
    ),
    ("intent-durable", "no write leaves before its intent is fsynced"),
    ("approved", "no write is attempted that policy has not allowed and nobody has approved"),
    ("landed-happened", "what is recorded as landed has happened, or the operator said so"),
    ("rate", "no more calls leave in any stretch of time than the connector declares"),
    ("probe-in-time", "nobody looks for a write before the other side shows it"),
    ("one-attempt", "no write is attempted or looked for while an attempt of it is under way"),
    ("not-repeated", "what may have happened is not attempted again unless that is declared safe"),
    ("acknowledged-kept", "what was acknowledged is there after every recovery"),
    ("durable-prefix", "what a recovery finds is what was synced, and a prefix of the rest"),
    ("damage-refused", "a damaged journal is mended without loss or refused, never read as whole"),
    ("chain", "the journal's hash chain holds"),
    ("history-is-state", "the state of a run is what its history folds to, its snapshot included"),
    ("result-stays", "the reported result of a run never changes"),
    ("taken-back-in-reverse", "what a run did is taken back in reverse, and all of it or named"),
    ("settled", "at rest every run is over, or waits in the inbox with a reason"),
    ("inbox-genuine", "the inbox asks about nothing that is known"),
    ("time-goes-on", "no record of a run is older than the one before it, whatever the clock does"),
    ("not-early", "what waits for a time does not go on before it"),
    ("nothing-held", "at rest nothing is held: no actor of a run, no call under way"),
    ("liveness", "once the faults are over, everything comes to rest"),
    ("park-rate", "doubts are put to the operator only as often as the faults explain"),
    ("opens", "a process starts over whatever the last one left"),
    ("secrets", "no record holds what is secret"),
    ("facts-are-history", "what memory holds is what the journal says was asserted"),
];
