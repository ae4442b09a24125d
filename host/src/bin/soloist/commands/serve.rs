//! `soloist serve`: works until told to stop.

use std::time::Duration;

use soloist::{Drained, Halted, Soloist, operator::Server};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{reload::reload, tree::runs};
use crate::{
    company,
    config::Config,
    report::{Exit, Failure, command},
};

/// Serves until SIGTERM or SIGINT, then lets what is under way come to an end. A second signal ends it at once, which is
/// safe: what was cut off goes on at the next start. On SIGHUP it reads its policy and its workflow again. If the tree gives
/// up it stays to be looked at; if the journal stops it ends.
pub(crate) async fn serve(config: Config, paused: bool) -> Result<(), Failure> {
    if config.mail.source.is_none() && config.scenario.is_none() {
        let message = "there is nothing to read; set `mail.source` in soloist.toml to a Maildir or a folder of .eml files";
        return Err(Failure::new(Exit::Usage, message));
    }
    // A signal that comes while it starts must not end it.
    let mut hangup = listen(SignalKind::hangup())?;
    let interval = Duration::from_secs(config.mail.poll_seconds.max(1));
    let mut builder = company::builder(&config, Some(interval))?;
    if paused {
        builder = builder.paused("it was started with --paused");
    }
    let soloist = builder.open().await?;
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
    work(&config, &soloist, &mut stop, &mut hangup).await?;
    eprintln!("soloist: stopping; once more to stop at once");
    tokio::select! {
        biased;
        result = come_to_rest(&config, soloist, server) => Ok(result?),
        () = stop.asked() => Ok(()),
    }
}

/// Returns when it is told to stop, or when the journal has stopped.
async fn work(
    config: &Config,
    soloist: &Soloist,
    stop: &mut Stop,
    hangup: &mut Signal,
) -> Result<(), Halted> {
    let mut gave_up = false;
    loop {
        tokio::select! {
            biased;
            halted = soloist.halted(), if !gave_up => {
                if !halted.gave_up {
                    return Err(halted);
                }
                gave_up = true;
                say_gave_up(config, &halted);
            }
            () = stop.asked() => return Ok(()),
            _ = hangup.recv(), if !gave_up => tokio::select! {
                biased;
                () = reload(config, soloist) => {}
                // Then nobody would answer it, and signals are to be heard.
                _ = soloist.halted() => {}
            },
        }
    }
}

/// Nothing is done any more, but the journal is sound: whoever is called by the red light can still look at everything.
fn say_gave_up(config: &Config, halted: &Halted) {
    eprintln!(
        "soloist: {halted}\nsoloist: nothing more is done; look with `{}`, then stop and start serve again",
        command(config, "tree --events")
    );
}

/// Takes nothing more in, lets the runs come to rest for a while, and stops. Whoever asks is answered until then.
async fn come_to_rest(config: &Config, soloist: Soloist, server: Server) -> Result<(), Halted> {
    let seconds = config.drain_seconds;
    let Drained { active } = soloist.drain(Duration::from_secs(seconds.into())).await;
    if active > 0 {
        let active = runs(active as u64);
        eprintln!(
            "soloist: after {seconds} s, {active} still active; they go on at the next start"
        );
    }
    drop(server);
    soloist.shutdown().await
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use soloist::{
        Restart, Services, Strategy,
        effect::Decision,
        journal::memory::{MemoryJournal, Syncing},
        operator::{Client, Problem, Request},
    };

    use super::*;

    fn signal_ourselves(name: &str) {
        let pid = std::process::id().to_string();
        let mut kill = std::process::Command::new("sh");
        let kill = kill.args(["-c", &format!("kill -{name} {pid}")]).status();
        assert!(kill.unwrap().success());
    }

    async fn ask(config: &Config, request: Request) -> Result<serde_json::Value, Problem> {
        let client = Client::connect(&config.data).unwrap();
        tokio::task::spawn_blocking(move || client.ask(&request)).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_tree_that_gave_up_can_be_looked_at_until_a_signal_ends_it() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { data: dir.path().into(), ..Config::default() };
        let broken = Services::new("feeds", Strategy::OneForOne)
            .intensity(0, Duration::from_secs(1))
            .service("broken", Restart::Permanent, || async { Err::<(), _>("no feed") });
        let journal = Arc::new(MemoryJournal::new(Syncing::Auto));
        let soloist = Soloist::builder().journal(journal).services(broken).open().await.unwrap();
        let server = Server::start(&config.data, soloist.clone()).unwrap();
        let (mut stop, mut hangup) = (Stop::new().unwrap(), listen(SignalKind::hangup()).unwrap());

        let looked_at = async {
            assert!(soloist.halted().await.gave_up);
            let ready = ask(&config, Request::Ready).await.unwrap();
            assert_eq!(ready["ready"], false);
            let reason = ready["reasons"][0].as_str().unwrap();
            assert!(reason.contains("no feed") && reason.len() < 2_000, "{reason}");
            let tree = ask(&config, Request::Tree).await.unwrap();
            assert_eq!(tree["tree"]["state"], "gave_up");
            let start = Request::Start { workflow: "any".into(), run: None, input: ().into() };
            let problem = ask(&config, start).await.unwrap_err();
            assert!(problem.message.starts_with("the kernel has halted: "), "{problem}");
            let inbox = ask(&config, Request::Inbox).await.unwrap();
            let item = inbox[0]["id"].as_str().unwrap().to_owned();
            let decision = Decision::Abort { reason: "seen".into() };
            let dismissed = ask(&config, Request::Decide { item, decision, by: None }).await;
            assert_eq!(dismissed.unwrap()["status"], "dismissed");
            signal_ourselves("HUP");
            signal_ourselves("TERM");
        };
        let (worked, ()) = tokio::join!(work(&config, &soloist, &mut stop, &mut hangup), looked_at);
        assert_eq!(worked, Ok(()));
        assert_eq!(come_to_rest(&config, soloist, server).await, Ok(()));
    }
}
