//! What must hold: as it happens, after each recovery, and when everything has come to rest.
//!
//! `journal.rs` and `write.rs` watch the protocol at the journal, `remote.rs` at the connectors, `finale.rs` and `outcome.rs`
//! look at the end, `judged.rs` at what policy said, and `versions.rs` at what is side by side. The names of the invariants are listed in [`INVARIANTS`], with what each says.

pub(crate) mod finale;
pub(crate) mod journal;
mod judged;
mod outcome;
mod versions;
mod write;

/// The invariants, and what each says.
pub const INVARIANTS: &[(&str, &str)] = &[
    ("effect-once", "the other side counts a write with one identity once"),
    (
        "key-one-payload",
        "what has happened under an identity is never asked for again with another content",
    ),
    ("intent-durable", "no write leaves before its intent is fsynced"),
    ("approved", "no write is attempted that policy has not allowed and nobody has approved"),
    ("approved-as-shown", "what is approved is what the operator was shown"),
    ("as-judged", "what leaves is byte for byte what was judged"),
    ("judged-again", "the policy that judged a write says the same again of what was known then"),
    (
        "version-by-hash",
        "which version a run takes, and which policy judges it, follows from its id and what is side by side",
    ),
    ("shadow-once", "what came of a shadow that was due is recorded, and once"),
    ("decided-in-time", "nothing is decided after its deadline"),
    ("item-stays", "an item of the inbox shows the same as long as it has the same id"),
    ("landed-happened", "what is recorded as landed has happened, or the operator said so"),
    ("receipt-given", "a recorded receipt is one that the other side gave"),
    ("not-made", "what is recorded as not made has not happened"),
    ("rate", "no more calls leave in any stretch of time than the connector declares"),
    ("retry-after", "who asks not to be called until a time is not called until then"),
    ("probe-in-time", "nobody looks for a write before the other side shows it"),
    ("one-attempt", "no write is attempted or looked for while an attempt of it is under way"),
    ("not-repeated", "what may have happened is not attempted again unless that is declared safe"),
    ("absence-proven", "a write is recorded as absent only if a probe has said so"),
    ("retries-bounded", "nothing is tried more often than its policy and the operator say"),
    ("acknowledged-kept", "what was acknowledged is there after every recovery"),
    ("acknowledged-durable", "nothing is acknowledged before it is fsynced"),
    ("taken-once", "a change that was taken is known for ever"),
    ("mark-with-run", "that a change was seen is recorded together with its run"),
    ("durable-prefix", "what a recovery finds is what was synced, and a prefix of the rest"),
    ("damage-refused", "a damaged journal is mended without loss or refused, never read as whole"),
    ("chain", "the journal's hash chain holds"),
    (
        "history-is-state",
        "a run is what its history folds to: its state, its snapshot, and every row that is kept of it",
    ),
    ("carried", "a run that is carried elsewhere in a bundle leads to the same state, to the bit"),
    ("result-stays", "the reported result of a run never changes"),
    ("taken-back-in-reverse", "what a run did is taken back in reverse, and all of it or named"),
    ("taken-back-in-clear", "nothing is over that was taken back while a write of it is in doubt"),
    ("settled", "at rest every run is over, or waits in the inbox with a reason"),
    ("inbox-genuine", "the inbox asks about nothing that is known"),
    ("time-goes-on", "no record of a run is older than the one before it, whatever the clock does"),
    ("not-early", "what waits for a time does not go on before it"),
    ("gives-up", "a run that dies again and again is set aside"),
    ("within-budget", "no more is called for than the budgets allow, and nothing without a price"),
    (
        "accounted",
        "whatever was called for is on record with what it cost, and nothing stays reserved",
    ),
    ("paused-rests", "nothing of what is paused is attempted, also after a crash"),
    ("aside-rests", "a run that is set aside does nothing until the operator says so"),
    ("nothing-held", "at rest nothing is held: no actor of a run, no call under way"),
    ("liveness", "once the faults are over, everything comes to rest"),
    ("park-rate", "doubts are put to the operator only as often as the faults explain"),
    ("opens", "a process starts over whatever the last one left"),
    ("secrets", "no record holds what is secret"),
    ("facts-are-history", "what memory holds is what the journal says was asserted"),
];
