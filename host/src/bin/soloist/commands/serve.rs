//! `soloist serve`: works until told to stop.

use std::time::Duration;

use soloist::operator::Server;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::reload::reload;
use crate::{
    company,
    config::Config,
    report::{Exit, Failure},
};

/// Serves until SIGTERM or SIGINT, then lets what is under way come to an end. A second signal ends it at once, which is
/// safe: what was cut off goes on at the next start. On SIGHUP it reads its policy and its workflow again.
pub(crate) async fn serve(config: Config) -> Result<(), Failure> {
    if config.mail.source.is_none() && config.scenario.is_none() {
        let message = "there is nothing to read; set `mail.source` in soloist.toml to a Maildir or a folder of .eml files";
        return Err(Failure::new(Exit::Usage, message));
    }
    // A signal that comes while it starts must not end it.
    let mut hangup = listen(SignalKind::hangup())?;
    let interval = Duration::from_secs(config.mail.poll_seconds.max(1));
    let soloist = company::builder(&config, Some(interval))?.open().await?;
    let server = Server::start(&config.data, soloist.clone()).map_err(|error| {
        let place = config.data.display();
        Failure::new(
            Exit::Failed,
            format!(
                "failed to open the control socket in {place}: {error}; a shorter path may help"
            ),
        )
    })?;
    let mut stop = Stop::new()?;
    eprintln!(
        "soloist: serving {}; decide with `soloist inbox list --data {0}`",
        config.data.display()
    );
    let halted = loop {
        tokio::select! {
            biased;
            halted = soloist.halted() => break Some(halted),
            () = stop.asked() => break None,
            _ = hangup.recv() => reload(&config, &soloist).await,
        }
    };
    drop(server);
    if let Some(halted) = halted {
        return Err(halted.into());
    }
    eprintln!("soloist: stopping; once more to stop at once");
    tokio::select! {
        biased;
        result = soloist.shutdown() => Ok(result?),
        () = stop.asked() => Ok(()),
    }
}

fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| {
        Failure::new(Exit::Failed, format!("failed to listen for signals: {error}"))
    })
}

struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> Result<Self, Failure> {
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
