//! The promise: what leaves the house leaves once, whenever the process dies. Over SMTP, where a server cannot be asked
//! afterwards, what is in doubt is asked of the operator and never guessed. `kill_outbox.rs` is the same where it can be.

use crate::support::{
    Company,
    campaign::{Campaign, finish_in_peace, rehearse},
    ledger::{Ledger, check_journal},
    mails::{self, Fate, KNOWN},
    smtp::SmtpServer,
};

const MAILS: usize = 300;

/// Kills of demos, at least.
const KILLS: usize = 60;

/// Longest pause of the server between one thing and the next. A real one is slower than a local socket, and a kill should
/// have something to meet.
const PAUSE_MS_MAX: u32 = 12;

fn company(log: &str) -> (Company, SmtpServer) {
    let mut company = Company::new();
    let server = SmtpServer::start(&company.path(log), PAUSE_MS_MAX);
    company.flags = vec!["--smtp".into(), server.address.clone()];
    company.flags.extend(KNOWN.iter().flat_map(|known| ["--known".into(), (*known).into()]));
    (company, server)
}

#[test]
fn whenever_it_is_killed_every_mail_is_answered_once_or_is_asked_about() {
    let pace = {
        let (rehearsal, _server) = company("log");
        rehearse(&rehearsal)
    };
    let (company, server) = company("log");
    let campaign = Campaign::run(&company, pace, MAILS, KILLS);
    finish_in_peace(&company);

    let ledger = Ledger::read(&company);
    println!(
        "{pace:?}\n{:?}, {} decisions through the socket\nlanded {}, ambiguous {}, of them arrived {}",
        campaign.kills,
        campaign.decided_through_the_socket,
        ledger.landed.len(),
        ledger.ambiguous.len(),
        ledger.ambiguous.keys().filter(|key| server.accepted().contains_key(*key)).count(),
    );
    let answerable = mails::count(MAILS, Fate::AnsweredUnasked) + mails::count(MAILS, Fate::Asked);
    assert_eq!(ledger.runs + ledger.quarantined, MAILS);
    assert_eq!(ledger.quarantined, mails::count(MAILS, Fate::Quarantined));
    assert_eq!(ledger.landed.len() + ledger.ambiguous.len(), answerable);
    ledger.check_against(&server.accepted());
    check_journal(&company);

    tell_the_truth(&company, &server, &ledger);
    let ledger = Ledger::read(&company);
    assert_eq!((ledger.landed.len(), ledger.ambiguous.len()), (answerable, 0));
    ledger.check_against(&server.accepted());
    check_journal(&company);
}

/// Resolves every doubt by what the server knows.
fn tell_the_truth(company: &Company, server: &SmtpServer, ledger: &Ledger) {
    let accepted = server.accepted();
    for (key, item) in &ledger.ambiguous {
        let truth = if accepted.contains_key(key) { "--happened" } else { "--did-not-happen" };
        let answer = company.ask(&["inbox", "resolve", item, truth]);
        assert_eq!(answer["status"], "completed", "{answer}");
    }
}
