//! What the companies work with: the sandbox in memory, and a mail server on a simulated wire.

use std::sync::{Arc, Mutex, PoisonError};

use soloist::connectors::{
    mail::{MailConfig, MailConnector, MailSourceConfig, OutgoingConfig, SmtpConfig, Tls},
    sandbox::SandboxWorld,
};
use soloist_sim::{Happened, Mailbox, Systems};

use crate::{
    company::{MAIL, scenario},
    config::MailSettings,
    report::{Exit, Failure},
};

/// Where mail leaves.
const MAIL_HOST: &str = "mail.kestrel.example";

/// The port that mail is handed over at.
const MAIL_PORT: u16 = 587;

/// The systems `names` of a sandbox with the sample company in it, which lives as long as the simulation.
pub(super) fn sandbox(names: &[&str]) -> Systems {
    let sandbox = SandboxWorld::in_memory();
    sandbox.seed_sample().expect("a world in memory takes every record");
    let listed = Arc::new(Mutex::new(0));
    let wanted = scenario::systems(&sandbox).into_iter().filter(|(name, _)| names.contains(name));
    wanted.fold(Systems::new(), |systems, (name, connector)| {
        let connector = Arc::new(connector);
        let (sandbox, listed) = (sandbox.clone(), listed.clone());
        systems
            .connector(name, move || connector.clone())
            .ledger(name, move || accepted(&sandbox, &listed))
    })
}

/// What the sandbox has accepted since `listed` of its writes were known. One list has the writes of all its systems.
fn accepted(sandbox: &SandboxWorld, listed: &Mutex<usize>) -> Vec<Happened> {
    let mut listed = listed.lock().unwrap_or_else(PoisonError::into_inner);
    let writes = sandbox.writes_after(*listed).expect("a world in memory can be read");
    *listed += writes.len();
    let happened = writes.into_iter().map(|write| Happened {
        operation: write.operation,
        key: write.key.to_string(),
        detail: write.receipt,
    });
    happened.collect()
}

/// The mail connector, with mails to read if there is a source. It keeps nothing, so that one serves every simulation.
pub(super) fn mail(source: Option<MailSourceConfig>) -> Result<Arc<MailConnector>, Failure> {
    let smtp = SmtpConfig { tls: Tls::None, ..SmtpConfig::new(MAIL_HOST, MAIL_PORT) };
    let from = MailSettings::default().from;
    let config = MailConfig { from, source, outgoing: OutgoingConfig::Smtp(smtp) };
    let connector = MailConnector::new(config);
    connector.map(Arc::new).map_err(|error| Failure::new(Exit::Usage, error.to_string()))
}

/// A mail server for `connector` to speak to.
pub(super) fn mail_server(connector: &Arc<MailConnector>) -> Systems {
    let connector = connector.clone();
    Systems::new()
        .connector(MAIL, move || connector.clone())
        .mail_server(MAIL_HOST, Mailbox::default())
}
