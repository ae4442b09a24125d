//! Incidents of the kernel itself, as the operator meets them: a run that is set aside, a supervisor that gave up.

use expect_test::expect;
use soloist::{
    id::Actor,
    incident::{self, Death, What},
    journal::{
        Append, Entry, Journal, StreamSeq,
        fjall::{FjallJournal, Options},
    },
    time::Timestamp,
};

use crate::support::{Company, company::text, mails::letter};

/// A company whose one mail has been answered, up to the approval of the answer; and the run of that.
fn one_run() -> (Company, String) {
    let company = Company::new();
    company.receive("1.eml", letter("gil@new.example", "quote"));
    company.demo_to_its_end();
    let run = text(&company.ask(&["inbox", "list"])[0]["run"]);
    (company, run)
}

/// Puts on record that `what` died twice, and gives the id of the incident.
fn raised(company: &Company, what: What) -> String {
    let death = |at: u64, work: Option<&str>| Death {
        at: Timestamp(1_700_000_000_000 + at),
        reason: "index out of bounds".into(),
        work: work.map(Into::into),
    };
    let evidence = vec![death(0, None), death(250, Some("the turn of step `draft`"))];
    let (event, incident) = incident::raise(what, evidence, Timestamp(1_700_000_000_500));
    let (journal, _) = FjallJournal::open(&company.data(), Options::default()).expect("it opens");
    let entry = Entry {
        stream: incident::stream(),
        stream_seq: StreamSeq(1),
        at: incident.at,
        actor: Actor::kernel(),
        causation: None,
        correlation: None,
        kind: event.kind().into(),
        version: incident::EVENTS_VERSION,
        payload: incident::encode(&event),
    };
    let projections = incident::project(&event, &incident);
    let append = Append { entries: vec![entry], projections, ..Append::default() };
    journal.append(append).expect("it is taken");
    journal.close().expect("it is kept");
    incident.id.to_string()
}

#[test]
fn a_run_that_is_set_aside_is_dismissed_and_still_released() {
    let (company, run) = one_run();
    let id = raised(&company, What::Quarantined { run: run.parse().unwrap() });
    let said = |arguments: &[&str]| {
        let ran = company.run(arguments);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.out.replace(&id, "ITEM").replace(&run, "RUN")
    };
    assert_eq!(company.waiting("incident"), [id.as_str()]);
    expect![[r#"
        id        ITEM
        kind      incident
        what      run RUN is set aside: it died again and again
        run       RUN
        since     2023-11-14T22:13:20.500Z
        why       it died 2 times, the last time at 2023-11-14T22:13:20.250Z, during the turn of step `draft`: index out of bounds

        at 2023-11-14T22:13:20.000Z: index out of bounds
        at 2023-11-14T22:13:20.250Z, during the turn of step `draft`: index out of bounds

        You can say:
          soloist inbox retry ITEM --data data               let it go on; it is set aside again if it dies again
          soloist inbox abort ITEM --reason WHY --data data  dismiss it; the run stays set aside
    "#]].assert_eq(&said(&["inbox", "show", &id]));
    let shown = said(&["run", "show", &run]);
    let aside = shown.lines().find(|line| line.contains("set aside")).expect("it says so");
    expect!["It is set aside, because it died again and again. Next: soloist inbox show ITEM --data data"].assert_eq(aside);
    expect![[r#"
        Decided. Incident ITEM is dismissed.
        Run RUN stays set aside.
        To let it go on: soloist inbox retry ITEM --data data
    "#]]
    .assert_eq(&said(&["inbox", "abort", &id]));
    assert!(company.waiting("incident").is_empty(), "it waits no more");
    assert_eq!(text(&company.ask(&["run", "show", &run])["set_aside"]), id, "and stays set aside");
    let released = company.ask(&["inbox", "retry", &id, "--as", "bea"]);
    assert_eq!(released["status"], "waiting", "{released}");
    assert!(company.ask(&["run", "show", &run])["set_aside"].is_null());
    let late = company.run(&["inbox", "retry", &id]);
    assert!(late.refused(1).contains("it was decided already"), "{late:?}");
}

#[test]
fn a_supervisor_that_gave_up_can_only_be_dismissed() {
    let (company, _) = one_run();
    let id = raised(&company, What::GaveUp { supervisor: "soloist/connectors".into() });
    let shown = company.run(&["inbox", "show", &id]);
    expect![[r#"
        id        ITEM
        kind      incident
        what      `soloist/connectors` gave up: what it looks after died again and again
        since     2023-11-14T22:13:20.500Z
        why       it died 2 times, the last time at 2023-11-14T22:13:20.250Z, during the turn of step `draft`: index out of bounds

        at 2023-11-14T22:13:20.000Z: index out of bounds
        at 2023-11-14T22:13:20.250Z, during the turn of step `draft`: index out of bounds

        You can say:
          soloist inbox abort ITEM --reason WHY --data data  dismiss it
    "#]].assert_eq(&shown.out.replace(&id, "ITEM"));
    let ran = company.run(&["inbox", "retry", &id]);
    expect!["soloist: item ITEM cannot be decided by `retry`; it takes `abort`"]
        .assert_eq(&ran.refused(1).replace(&id, "ITEM"));
    let ran = company.run(&["inbox", "modify", &id, "--set", "a=b"]);
    expect!["soloist: item ITEM proposes nothing that could be changed"]
        .assert_eq(&ran.refused(1).replace(&id, "ITEM"));
    let ran = company.run(&["inbox", "abort", &id]);
    expect![[r#"
        Decided. Incident ITEM is dismissed.
    "#]]
    .assert_eq(&ran.out.replace(&id, "ITEM"));
    assert!(company.waiting("incident").is_empty());
    assert!(company.ask(&["audit", "verify"])["records"].as_u64().is_some(), "the chain holds");
}
