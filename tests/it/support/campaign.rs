//! The campaign: a company is run again and again, and killed again and again, at moments drawn from a seed.
//!
//! Mail goes on arriving meanwhile, so that there is always something to be cut off, and the operator goes on deciding: while
//! a demo runs, through its socket, and between two of them. A kill is SIGKILL; it counts only if it met a living process.
//! When it is over, the test lets the company finish in peace and holds its [`ledger`](super::ledger) against the world.

use std::{
    os::unix::net::UnixStream,
    process::Child,
    time::{Duration, Instant},
};

use super::{
    Company,
    company::{KILLED, Ran, finish, spawn},
    mails,
    xorshift::Xorshift,
};

/// Rounds after which a campaign has failed to kill often enough.
const ROUNDS_MAX: usize = 1_000;

/// Mails that arrive before the first round: as many as one round can hardly get through.
const MAILS_FIRST: usize = 60;

/// Mails that arrive before each further round.
const MAILS_PER_ROUND: usize = 4;

/// How long things take when nobody disturbs them. The moments of the kills are drawn from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// A demo with [`MAILS_FIRST`] mails.
    work: Duration,
    /// A demo with nothing to do: mostly starting and stopping.
    idle: Duration,
    /// An approval, from starting to stopping.
    approval: Duration,
}

/// How many kills met what.
#[derive(Debug, Default)]
pub(crate) struct Kills {
    /// A demo, before its control socket opened: it opens the journal and recovers.
    pub(crate) starting: usize,
    /// A demo, while its control socket was open: it reads and sends mail.
    pub(crate) working: usize,
    /// A demo, after its control socket closed: it stops its actors and closes the journal.
    pub(crate) stopping: usize,
    /// An approval that opened the data directory itself.
    pub(crate) approving: usize,
    /// An approval that was begun while a demo ran.
    pub(crate) asking: usize,
}

impl Kills {
    /// Kills of demos.
    pub(crate) fn demos(&self) -> usize {
        self.starting + self.working + self.stopping
    }
}

/// When a demo is killed.
enum Moment {
    /// This long after its start.
    Started(Duration),
    /// This long after its control socket opened.
    Opened(Duration),
    /// This long after its control socket closed.
    Closed(Duration),
}

pub(crate) struct Campaign<'a> {
    company: &'a Company,
    mails: usize,
    arrived: usize,
    pace: Pace,
    chance: Xorshift,
    waiting: Vec<String>,
    pub(crate) kills: Kills,
    /// Decisions that were taken through the socket of a running demo, and answered.
    pub(crate) decided_through_the_socket: usize,
}

/// Measures how long things take in `company`, which is used for nothing else.
pub(crate) fn rehearse(company: &Company) -> Pace {
    (0..MAILS_FIRST).for_each(|index| mails::receive(company, index));
    let timed = |what: &dyn Fn()| {
        let start = Instant::now();
        what();
        start.elapsed()
    };
    let work = timed(&|| drop(company.demo_to_its_end()));
    let idle = timed(&|| drop(company.demo_to_its_end()));
    let item = company.waiting("approval").remove(0);
    let approval = timed(&|| drop(company.ask(&["inbox", "approve", &item])));
    Pace { work, idle, approval }
}

impl<'a> Campaign<'a> {
    /// Kills `company`, into which `mails` mails arrive, `kills_min` times and more.
    pub(crate) fn run(company: &'a Company, pace: Pace, mails: usize, kills_min: usize) -> Self {
        let chance = Xorshift::new(0x5010_1575);
        let (kills, waiting) = (Kills::default(), vec![]);
        let mut campaign = Self {
            company,
            mails,
            arrived: 0,
            pace,
            chance,
            waiting,
            kills,
            decided_through_the_socket: 0,
        };
        campaign.arrive(MAILS_FIRST);
        for _ in 0..ROUNDS_MAX {
            if campaign.kills.demos() >= kills_min && campaign.arrived == mails {
                return campaign;
            }
            campaign.disturbed_demo();
            campaign.disturbed_approvals();
            campaign.arrive(MAILS_PER_ROUND);
        }
        panic!("{ROUNDS_MAX} rounds did not suffice for {kills_min} kills: {:?}", campaign.kills);
    }

    fn arrive(&mut self, count: usize) {
        let until = (self.arrived + count).min(self.mails);
        (self.arrived..until).for_each(|index| mails::receive(self.company, index));
        self.arrived = until;
    }

    fn moment(&mut self) -> Moment {
        match self.chance.below(8) {
            // The socket opens early in an idle demo.
            0..=2 => Moment::Started(self.chance.up_to(self.pace.idle / 4)),
            3 => Moment::Closed(self.chance.up_to(self.pace.idle / 8)),
            // Only the first mails need all of that time.
            4 => Moment::Opened(self.chance.up_to(self.pace.work)),
            _ => Moment::Opened(self.chance.up_to(self.pace.work / 6)),
        }
    }

    /// Runs a demo and kills it, unless it ends before.
    fn disturbed_demo(&mut self) {
        let moment = self.moment();
        let started = Instant::now();
        let mut opened = None;
        let mut demo = spawn(&mut self.company.demo());
        let mut open = false;
        let mut approval = None;
        while demo.try_wait().expect("a child can be looked at").is_none() {
            open = UnixStream::connect(self.company.data().join("control.sock")).is_ok();
            if open && opened.is_none() {
                opened = Some(Instant::now());
                approval = self.approval_beside_a_demo();
            }
            let due = match moment {
                Moment::Started(delay) => started.elapsed() >= delay,
                Moment::Opened(delay) => opened.is_some_and(|opened| opened.elapsed() >= delay),
                Moment::Closed(delay) => {
                    let closed = opened.is_some() && !open;
                    if closed {
                        std::thread::sleep(delay);
                    }
                    closed
                }
            };
            if due {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        demo.kill().expect("a child can be killed");
        let ran = finish(demo);
        if killed(&ran) {
            match (opened.is_some(), open) {
                (false, _) => self.kills.starting += 1,
                (true, true) => self.kills.working += 1,
                (true, false) => self.kills.stopping += 1,
            }
        }
        if let Some(approval) = approval {
            // It learns that its answer will not come.
            let ran = finish(approval);
            let killed = killed(&ran);
            self.kills.asking += usize::from(killed);
            self.decided_through_the_socket += usize::from(ran.code == 0);
        }
    }

    /// Looks into the inbox of a running demo and begins to approve something; every other time it is killed meanwhile.
    fn approval_beside_a_demo(&mut self) -> Option<Child> {
        if self.chance.once_in(2) {
            self.look();
        }
        let item = self.draw()?;
        let mut approval = spawn(&mut self.company.on_data(&["inbox", "approve", &item, "--json"]));
        if self.chance.once_in(2) {
            std::thread::sleep(self.chance.up_to(self.pace.approval));
            approval.kill().expect("a child can be killed");
        }
        Some(approval)
    }

    /// Approves something while no demo runs; every other time it is killed meanwhile.
    fn disturbed_approvals(&mut self) {
        self.look();
        for _ in 0..self.chance.below(4) {
            let Some(item) = self.draw() else { return };
            let arguments = ["inbox", "approve", &item, "--json"];
            let mut approval = spawn(&mut self.company.on_data(&arguments));
            if self.chance.once_in(2) {
                std::thread::sleep(self.chance.up_to(self.pace.approval));
                approval.kill().expect("a child can be killed");
            }
            self.kills.approving += usize::from(killed(&finish(approval)));
        }
    }

    /// Sees what waits, unless the demo that is asked dies or has the directory.
    fn look(&mut self) {
        let ran = finish(spawn(&mut self.company.on_data(&["inbox", "list", "--json"])));
        assert!(!killed(&ran), "nobody killed it: {ran:?}");
        let Ok(items) = serde_json::from_str::<Vec<serde_json::Value>>(&ran.out) else { return };
        let approvals = items.iter().filter(|item| item["kind"] == "approval");
        self.waiting = approvals.filter_map(|item| item["id"].as_str()).map(Into::into).collect();
    }

    /// Something to approve. That it was decided meanwhile is for soloist to notice.
    fn draw(&mut self) -> Option<String> {
        let count = self.waiting.len();
        (count > 0).then(|| self.waiting.swap_remove(self.chance.below(count)))
    }
}

/// Whether it was killed. What was not must have ended in a way that a kill explains: it worked, something was decided
/// already or its demo died (1), or another command had the data directory (3).
#[track_caller]
fn killed(ran: &Ran) -> bool {
    assert!(matches!(ran.code, KILLED | 0 | 1 | 3), "no kill explains this: {ran:?}");
    assert!(!ran.err.contains("panicked"), "no kill explains this: {ran:?}");
    ran.code == KILLED
}

/// Lets the company finish in peace: everything that waits as an approval is approved, until nothing does.
pub(crate) fn finish_in_peace(company: &Company) {
    company.demo_to_its_end();
    loop {
        let waiting = company.waiting("approval");
        if waiting.is_empty() {
            return;
        }
        for item in waiting {
            company.ask(&["inbox", "approve", &item]);
        }
    }
}
