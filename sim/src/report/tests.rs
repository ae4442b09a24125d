//! What the report says.

use expect_test::{Expect, expect};

use super::{Report, replay, sample};
use crate::{outcome::Outcome, plan::Plan};

#[track_caller]
fn check(outcome: &Outcome, expected: &Expect) {
    let report = Report { outcome, faults_before: 12, simulations: 31 };
    expected.assert_eq(&report.to_string());
}

#[test]
fn a_failure_is_told() {
    check(
        &sample::twice(),
        &expect![[r#"
            SIMULATION FAILED: effect-once does not hold

              scenario   outreach, seed 7, size 2
              seen       2 mails to bert@example.com for outreach-1/send
                         at 931.681 s in process 2
              and then   ledger-balanced

              What has to go wrong: 1 of 12 faults, in 31 simulations
                At effect 1 in the world: the process is killed (crash)

              What happened
                  0.000 s  p1  process   process    process 1 begins: 0 records, 0 runs
                           … 14 more
                  1.273 s  p1  mail      call       #3 send to anna@example.com, outreach-0/send, attempt 1
                  1.393 s  p1  mail      effect     mail to anna@example.com, outreach-0/send
                  1.434 s  p1  mail      answer     #3 250 accepted
                  1.435 s  p1  journal   append     6: outreach-0/send succeeded
                901.435 s  p1  operator  operator   approves outreach-1/send
                901.437 s  p1  journal   append     7: outreach-1/send may act
                901.438 s  p1  mail      call       #4 send to bert@example.com, outreach-1/send, attempt 1
                901.556 s  p1  mail      effect     mail to bert@example.com, outreach-1/send
                901.556 s  p1  mail      fault      crash at effect 1 in the world
                901.556 s  p1  process   process    process 1 is killed
                931.556 s  p2  process   process    process 2 begins: 7 records, 2 runs
                931.559 s  p2  mail      call       #1 send to bert@example.com, outreach-1/send, attempt 2
                931.681 s  p2  mail      effect     mail to bert@example.com, outreach-1/send
                931.681 s  p2  mail      violation  effect-once: 2 mails to bert@example.com for outreach-1/send
                931.719 s  p2  mail      answer     #1 250 accepted

              Again
                soloist sim replay '{"scenario":"outreach","seed":7,"size":2,"perturbed":true,"faults":[{"when":{"effect":{"number":1}},"what":"crash"}]}'

              trace ffca1b7a21f67101 of 30 lines, soloist-sim 0.1.0
        "#]],
    );
}

#[test]
fn a_long_failure_is_told_shortly() {
    check(
        &sample::long(3_000),
        &expect![[r#"
            SIMULATION FAILED: effect-once does not hold

              scenario   refunds, seed 47, size 60
              seen       2 charges of order-17, refund-17/charge
                         at 53198.226 s in process 3

              What has to go wrong: 3 of 12 faults, in 31 simulations
                After append 301: power is lost, and with it what was not synced, but for 1 at most (power_loss)
                At the fsync of append 644: power is lost in the middle of a write (torn)
                At call 12 to stripe: the other side asks to be called less often, and again in 30 s (throttled)

              What happened
                    0.000 s  p1  process  process    process 1 begins: 0 records, 0 runs
                             … 937 more
                11264.115 s  p1  stripe   effect     charge of order-43, refund-43/charge
                11264.115 s  p1  stripe   fault      throttled Seconds(30) at call 12 to stripe
                11264.391 s  p1  stripe   answer     #212 200
                             … 37 more
                11729.788 s  p1  stripe   call       #222 execute, refund-0/charge, attempt 1
                11729.788 s  p1  stripe   fault      throttled Seconds(30) at call 12 to stripe
                11730.039 s  p1  stripe   answer     #222 200
                             … 19 more
                11730.392 s  p1  journal  append     refund-49/charge may act
                11730.392 s  p1  journal  fault      power_loss keeping 1 after append 301
                11730.392 s  p1  process  process    the machine loses power
                11790.392 s  p2  process  process    process begins: 300 records, 40 runs
                             … 998 more
                32125.116 s  p2  process  process    the machine loses power
                32185.116 s  p3  process  process    process begins: 300 records, 40 runs
                             … 424 more
                43171.167 s  p3  llm      effect     charge of order-17, refund-17/charge
                             … 449 more
                51179.387 s  p3  mail     effect     charge of order-17, refund-17/charge
                             … 121 more
                53198.226 s  p3  stripe   effect     charge of order-17, refund-17/charge
                53198.226 s  p3  stripe   violation  effect-once: 2 charges of order-17, refund-17/charge
                             … 8 more

              Again
                soloist sim replay '{"scenario":"refunds","seed":47,"size":60,"perturbed":true,"faults":[{"when":{"journal":{"number":301,"moment":"after"}},"what":{"power_loss":{"keep":1}}},{"when":{"journal":{"number":644,"moment":"sync"}},"what":"torn"},{"when":{"call":{"api":"stripe","number":12}},"what":{"throttled":{"retry_after":{"seconds":30}}}}]}'

              trace 4195217c8c01bc29 of 3010 lines, soloist-sim 0.1.0
        "#]],
    );
}

#[test]
fn a_failure_without_a_trace_still_says_how_to_repeat_it() {
    let outcome = Outcome { trace: vec![], fired: 0, ..sample::twice() };
    check(
        &outcome,
        &expect![[r#"
            SIMULATION FAILED: effect-once does not hold

              scenario   outreach, seed 7, size 2
              seen       2 mails to bert@example.com for outreach-1/send
                         at 931.681 s in process 2
              and then   ledger-balanced

              What has to go wrong: 1 of 12 faults, in 31 simulations
                At effect 1 in the world: the process is killed (crash)
                Only 0 of them happened: the plan was made for other code.

              What happened
                The trace was not kept.

              Again
                soloist sim replay '{"scenario":"outreach","seed":7,"size":2,"perturbed":true,"faults":[{"when":{"effect":{"number":1}},"what":"crash"}]}'

              trace ffca1b7a21f67101 of 30 lines, soloist-sim 0.1.0
        "#]],
    );
}

#[test]
fn what_is_well_is_told_too() {
    let outcome = Outcome { trace: vec![], ..sample::calm() };
    check(
        &outcome,
        &expect![[r#"
            Simulation passed: everything held

              scenario   outreach, seed 7, size 2

              Nothing goes wrong in it

              What happened
                The trace was not kept.

              Again
                soloist sim replay '{"scenario":"outreach","seed":7,"size":2,"perturbed":true,"faults":[]}'

              trace e9b379ee77393e45 of 24 lines, soloist-sim 0.1.0
        "#]],
    );
}

#[test]
fn the_command_survives_a_shell() {
    let outcome = sample::hostile();
    let command = replay(&outcome);
    let quoted = command.strip_prefix("soloist sim replay '").unwrap().strip_suffix('\'').unwrap();
    assert!(quoted.contains(r"it'\''s"), "{quoted}");
    assert_eq!(Plan::parse(&quoted.replace(r"'\''", "'")), Ok(outcome.plan));
}
