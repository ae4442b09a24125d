//! The promise of `kill.rs` where the outside can be asked: a mail in the outbox is found by its name, so nothing is ever in
//! doubt and nobody is asked.

use std::collections::BTreeMap;

use crate::support::{
    Company,
    campaign::{Campaign, finish_in_peace, rehearse},
    company::files,
    ledger::{Ledger, check_journal},
    mails::{self, Fate, KNOWN},
};

const MAILS: usize = 100;

/// Kills of demos, at least.
const KILLS: usize = 20;

fn company() -> Company {
    let mut company = Company::new();
    company.flags.extend(KNOWN.iter().flat_map(|known| ["--known".into(), (*known).into()]));
    company
}

/// The effects whose mails are in the outbox.
fn delivered(company: &Company) -> BTreeMap<String, usize> {
    let mut delivered = BTreeMap::new();
    for folder in ["new", "cur"] {
        for path in files(&company.data().join("outbox").join(folder)) {
            let name = path.file_name().and_then(|name| name.to_str()).expect("names are keys");
            *delivered.entry(name.to_owned()).or_default() += 1;
        }
    }
    delivered
}

#[test]
fn whenever_it_is_killed_the_outbox_holds_every_answer_once_and_nobody_is_asked() {
    let pace = rehearse(&company());
    let company = company();
    let campaign = Campaign::run(&company, pace, MAILS, KILLS);
    finish_in_peace(&company);

    let ledger = Ledger::read(&company);
    println!("{pace:?}\n{:?}\nlanded {}", campaign.kills, ledger.landed.len());
    assert!(ledger.ambiguous.is_empty(), "{ledger:?}");
    let answerable = mails::count(MAILS, Fate::AnsweredUnasked) + mails::count(MAILS, Fate::Asked);
    assert_eq!(ledger.landed.len(), answerable);
    assert_eq!(ledger.quarantined, mails::count(MAILS, Fate::Quarantined));
    assert_eq!(ledger.runs + ledger.quarantined, MAILS);
    ledger.check_against(&delivered(&company));
    assert!(files(&company.data().join("outbox/tmp")).is_empty(), "every draft became a mail");
    check_journal(&company);
}
