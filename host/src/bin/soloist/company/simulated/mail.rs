//! The mail company: a folder of mails is read, and whoever waits for an answer gets one.
//!
//! The accounts department is on the operator's list of contacts and is answered at once. Everyone else is asked about.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use soloist::connectors::mail::{Layout, MailSourceConfig};
use soloist_sim::{Operator, Scenario};

use super::{
    checks,
    rules::Rules,
    systems::{mail, mail_server},
};
use crate::{
    company::{MAIL, sample},
    report::{Exit, Failure},
};

/// The mails at each size. Somebody writes twice in the largest, and nobody reads answers to one of them.
const MAILS: [&[&str]; 3] = [
    &["02-invoice-question.eml"],
    &["01-quote-request.eml", "07-receipt-noreply.eml"],
    &["02-invoice-question.eml", "08-follow-up.eml", "10-injection.eml"],
];

/// Who waits for how many answers, whatever the size.
const ANSWERS: [(&str, usize); 3] = [
    ("mara@harbourbakery.example", 1),
    (sample::CONTACT, 2),
    ("support@quick-partners.example", 1),
];

/// The scenario.
pub(super) fn scenario() -> Result<Scenario, Failure> {
    let rules = Rules::of_mail(&[sample::CONTACT])?;
    let deployed = rules.deployed()?;
    let folder = Arc::new(Folder::written()?);
    let connectors = (1..=MAILS.len()).map(|size| {
        let source =
            MailSourceConfig { layout: Layout::Eml, ..MailSourceConfig::new(folder.of(size)) };
        mail(Some(source))
    });
    let connectors = connectors.collect::<Result<Vec<_>, _>>()?;
    let mut scenario = Scenario::new("mail");
    scenario
        .size_max(MAILS.len() as u32)
        .systems(move |world| {
            // The folder is there as long as the scenario is.
            let _ = &folder;
            let size = world.size().clamp(1, MAILS.len() as u32) as usize;
            mail_server(&connectors[size - 1])
        })
        .kernel(move |builder, _| rules.add(builder).intake(MAIL, "answer-mail", None))
        .deploys(move |builder, _| deployed.add(builder).intake(MAIL, "answer-mail", None))
        .workload(|client| async move { client.pull(MAIL).await })
        .operator(Operator::default())
        .always("one-answer", |world| {
            let answers = |to: &str| ANSWERS.iter().find(|(known, _)| *known == to);
            checks::mails_at_most(world, |to| answers(to).map_or(0, |(_, count)| *count))
        })
        .finally("answered-or-named", |world, soloist| {
            for run in checks::runs(soloist, "answer-mail")? {
                let sent = checks::stands(world, &run).len();
                if sent > 1 {
                    return Err(format!("{} sent {sent} mails", run.id));
                }
            }
            Ok(())
        });
    checks::seen_in_all(&mut scenario);
    Ok(scenario)
}

/// A folder of mails for each size, which is gone with the scenario. Nothing in it changes, so that any number of simulations
/// can read it at once.
struct Folder(PathBuf);

impl Folder {
    fn written() -> Result<Self, Failure> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("soloist-sim-mail-{}-{number}", std::process::id());
        let folder = Self(std::env::temp_dir().join(name));
        for (index, mails) in MAILS.iter().enumerate() {
            let path = folder.of(index + 1);
            write(&path, mails).map_err(|error| {
                let shown = path.display();
                Failure::new(Exit::Failed, format!("failed to write mails to {shown}: {error}"))
            })?;
        }
        Ok(folder)
    }

    fn of(&self, size: usize) -> PathBuf {
        self.0.join(size.to_string())
    }
}

fn write(folder: &Path, mails: &[&str]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for name in mails {
        let text = sample::mail(name).ok_or(std::io::ErrorKind::NotFound)?;
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left in a folder for temporary files hurts nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
