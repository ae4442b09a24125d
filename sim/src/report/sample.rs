//! Outcomes to report on: a short one, a long one, one that is well, and one whose texts are hostile.

use std::collections::BTreeMap;

use crate::{
    chance::Chance,
    outcome::{Outcome, Violation},
    plan::{Fault, Kind, Moment, Plan, RetryAfter, Trigger},
    trace::{Line, Trace, What},
};

/// A trace under construction, with the time and the process that it has come to.
struct Story {
    at_ms: u64,
    epoch: u32,
    trace: Trace,
}

impl Story {
    fn new() -> Self {
        Self { at_ms: 0, epoch: 1, trace: Trace::new(true) }
    }

    fn after(&mut self, ms: u64, lane: &str, what: What, text: &str) -> &mut Self {
        self.at_ms += ms;
        self.trace.line(self.at_ms, self.epoch, lane, what, format_args!("{text}"));
        self
    }

    fn next_process(&mut self) -> &mut Self {
        self.epoch += 1;
        self
    }

    fn outcome(self, plan: Plan, violations: Vec<Violation>) -> Outcome {
        let (hash, lines) = (self.trace.hash(), self.trace.count());
        let trace = self.trace.into_lines();
        let count = |what: What| {
            u32::try_from(trace.iter().filter(|line| line.what == what).count()).unwrap()
        };
        let (appends, effects) = (count(What::Append), count(What::Effect));
        Outcome {
            fired: plan.faults.len(),
            plan,
            violations,
            coverage: BTreeMap::new(),
            sometimes: BTreeMap::new(),
            epochs: self.epoch,
            virtual_ms: self.at_ms,
            lines,
            hash,
            interleaving: 0,
            runs: 3,
            parked: 0,
            calls: BTreeMap::new(),
            appends,
            points: 0,
            effects,
            decisions: 0,
            webhooks: 0,
            actors: vec![],
            seen: BTreeMap::new(),
            trace,
        }
    }
}

fn violation(invariant: &str, what: &str, at_ms: u64, epoch: u32) -> Violation {
    Violation { invariant: invariant.into(), what: what.into(), at_ms, epoch }
}

/// A crash between an effect and its record, after which the mail is sent again.
pub(crate) fn twice() -> Outcome {
    use What::{Answer, Append, Call, Client, Effect, Fault as Broken, Operator, Process, Sync};
    let mut story = Story::new();
    story
        .after(0, "process", Process, "process 1 begins: 0 records, 0 runs")
        .after(2, "client", Client, "starts outreach-0")
        .after(1, "journal", Append, "1: outreach-0 started")
        .after(0, "client", Client, "starts outreach-1")
        .after(0, "journal", Append, "2: outreach-1 started")
        .after(1, "journal", Sync, "2 records are durable")
        .after(4, "llm", Call, "#1 complete, outreach-0/draft, attempt 1")
        .after(1, "llm", Call, "#2 complete, outreach-1/draft, attempt 1")
        .after(940, "llm", Answer, "#1 200, 412 tokens")
        .after(3, "journal", Append, "3: outreach-0/draft succeeded")
        .after(310, "llm", Answer, "#2 200, 388 tokens")
        .after(2, "journal", Append, "4: outreach-1/draft succeeded")
        .after(5, "operator", Operator, "approves outreach-0/send")
        .after(2, "journal", Append, "5: outreach-0/send may act")
        .after(1, "journal", Sync, "5 records are durable")
        .after(1, "mail", Call, "#3 send to anna@example.com, outreach-0/send, attempt 1")
        .after(120, "mail", Effect, "mail to anna@example.com, outreach-0/send")
        .after(41, "mail", Answer, "#3 250 accepted")
        .after(1, "journal", Append, "6: outreach-0/send succeeded")
        .after(900_000, "operator", Operator, "approves outreach-1/send")
        .after(2, "journal", Append, "7: outreach-1/send may act")
        .after(1, "mail", Call, "#4 send to bert@example.com, outreach-1/send, attempt 1")
        .after(118, "mail", Effect, "mail to bert@example.com, outreach-1/send")
        .after(0, "mail", Broken, "crash at effect 1 in the world")
        .after(0, "process", Process, "process 1 is killed")
        .next_process()
        .after(30_000, "process", Process, "process 2 begins: 7 records, 2 runs")
        .after(3, "mail", Call, "#1 send to bert@example.com, outreach-1/send, attempt 2")
        .after(122, "mail", Effect, "mail to bert@example.com, outreach-1/send")
        .after(
            0,
            "mail",
            What::Violation,
            "effect-once: 2 mails to bert@example.com for outreach-1/send",
        )
        .after(38, "mail", Answer, "#1 250 accepted");
    let (at_ms, epoch) = (931_681, 2);
    let fault = Fault { when: Trigger::Effect { number: 1 }, what: Kind::Crash };
    let plan = Plan::calm("outreach", 7, 2).with(vec![fault]);
    let what = "2 mails to bert@example.com for outreach-1/send";
    let violations = vec![
        violation("effect-once", what, at_ms, epoch),
        violation("ledger-balanced", "2 effects and 1 record", at_ms, epoch),
    ];
    story.outcome(plan, violations)
}

/// The same without the crash.
pub(crate) fn calm() -> Outcome {
    let Outcome { mut trace, .. } = twice();
    trace.retain(|line| line.epoch == 1 && line.what != What::Fault);
    let mut story = Story::new();
    for Line { at_ms, lane, what, text, .. } in trace {
        story.after(at_ms - story.at_ms, &lane, what, &text);
    }
    story.outcome(Plan::calm("outreach", 7, 2), vec![])
}

/// About `lines` lines: many runs, calls that overlap, an outage, three processes, and a violation near the end.
pub(crate) fn long(lines: u64) -> Outcome {
    let mut story = Story::new();
    let mut chance = Chance::of(7, "sample", 0);
    let (mut open, mut number): (Vec<(&str, u32)>, u32) = (vec![], 0);
    story.after(0, "process", What::Process, "process 1 begins: 0 records, 0 runs");
    while story.trace.count() < lines {
        if story.trace.count() > lines * u64::from(story.epoch) / 3 {
            story.after(0, "journal", What::Fault, "power_loss keeping 1 after append 301");
            story.after(0, "process", What::Process, "the machine loses power");
            open.clear();
            story.next_process();
            story.after(60_000, "process", What::Process, "process begins: 300 records, 40 runs");
        }
        step(&mut story, &mut chance, &mut open, &mut number);
    }
    let what = "2 charges of order-17, refund-17/charge";
    story.after(3, "stripe", What::Effect, "charge of order-17, refund-17/charge");
    story.after(0, "stripe", What::Violation, &format!("effect-once: {what}"));
    let (at_ms, epoch) = (story.at_ms, story.epoch);
    for index in 0..8 {
        story.after(
            40,
            "journal",
            What::Append,
            &format!("{}: refund-{index} parked", 900 + index),
        );
    }
    let fault =
        |number: u32, moment, what| Fault { when: Trigger::Journal { number, moment }, what };
    let plan = Plan::calm("refunds", 0x2f, 60).with(vec![
        fault(301, Moment::After, Kind::PowerLoss { keep: 1 }),
        fault(644, Moment::Sync, Kind::Torn),
        Fault {
            when: Trigger::Call { api: "stripe".into(), number: 12 },
            what: Kind::Throttled { retry_after: RetryAfter::Seconds(30) },
        },
    ]);
    story.outcome(plan, vec![violation("effect-once", what, at_ms, epoch)])
}

/// One thing that happens in the long one.
fn step(
    story: &mut Story,
    chance: &mut Chance,
    open: &mut Vec<(&'static str, u32)>,
    number: &mut u32,
) {
    let run = chance.below(60);
    match chance.below(20) {
        0 => story.after(
            chance.between(1_000, 900_000),
            "client",
            What::Client,
            "asks for the inbox",
        ),
        1 => story.after(20, "webhooks", What::Client, &format!("order-{run} is paid")),
        2 => story.after(5, "operator", What::Operator, &format!("approves refund-{run}/charge")),
        3..8 => {
            let lane = *chance.pick(&["stripe", "mail", "llm", "hubspot"]);
            *number += 1;
            open.push((lane, *number));
            let text = format!("#{number} execute, refund-{run}/charge, attempt 1");
            story.after(1, lane, What::Call, &text)
        }
        8..13 if !open.is_empty() => {
            let index = usize::try_from(chance.below(open.len() as u64)).unwrap();
            let (lane, number) = open.swap_remove(index);
            if chance.percent(40) {
                let text = format!("charge of order-{run}, refund-{run}/charge");
                story.after(40, lane, What::Effect, &text);
            }
            if lane == "stripe" && chance.percent(4) {
                let text = "throttled Seconds(30) at call 12 to stripe";
                story.after(0, lane, What::Fault, text);
            }
            story.after(chance.between(1, 300), lane, What::Answer, &format!("#{number} 200"))
        }
        13 => story.after(1, "journal", What::Sync, "records are durable"),
        _ => story.after(1, "journal", What::Append, &format!("refund-{run}/charge may act")),
    };
}

/// Texts that would break out of a page, and more lanes than there is room for.
pub(crate) fn hostile() -> Outcome {
    let mut story = Story::new();
    let text = "</script><script>alert('&')</script> \"quoted\" <!-- \u{0} \u{1b}[31m\nline";
    for index in 0..60 {
        story.after(1, &format!("<lane-{index}>"), What::Client, text);
    }
    let key = "it's </script> <b>".to_owned();
    let fault = Fault { when: Trigger::Attempt { key, attempt: 1 }, what: Kind::LostAfter };
    let plan = Plan::calm("<img src=x>", 7, 2).with(vec![fault]);
    story.outcome(plan, vec![violation("<i>", text, 59, 1)])
}
