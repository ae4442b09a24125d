//! The `soloist` binary: reads its command line and configuration, does one thing, and says how it went.
//!
//! [`cli`] is the command line, [`config`] the layered configuration, [`company`] makes the kernel of the mail company,
//! [`commands`] has a file for each command, [`report`] says things to people and machines by the macros of [`say`].

#[macro_use]
mod say;

mod cli;
mod commands;
mod company;
mod config;
mod report;

use std::{io::IsTerminal, process::ExitCode};

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::{
    cli::{Cli, Command},
    config::Config,
    report::{Exit, Failure},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.json;
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.say(json);
            failure.exit.into()
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    // A simulation is the same everywhere: no configuration, no logs, and each has a runtime of its own.
    if let Command::Sim { what } = cli.command {
        return commands::sim::sim(what, cli.json);
    }
    let config = Config::load(&cli)?;
    let filter = EnvFilter::try_new(&config.log).map_err(|error| {
        Failure::new(Exit::Usage, format!("`log` is {:?}: {error}", config.log))
    })?;
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(ansi)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        Failure::new(Exit::Failed, format!("failed to start the runtime: {error}"))
    })?;
    runtime.block_on(async {
        match cli.command {
            Command::Serve { paused } => commands::serve::serve(config, paused).await,
            Command::Pause { scope, reason } => {
                commands::control::pause(&config, scope, reason, cli.json).await
            }
            Command::Resume { scope } => commands::control::resume(&config, scope, cli.json).await,
            Command::Canary { of, percent } => {
                commands::rollouts::canary(&config, of, percent, cli.json).await
            }
            Command::Shadow { of, percent, run } => {
                commands::rollouts::shadow(&config, of, percent, run, cli.json).await
            }
            Command::Compare { of } => commands::rollouts::compare(&config, of, cli.json).await,
            Command::Promote { of } => commands::rollouts::promote(&config, of, cli.json).await,
            Command::Abort { scope, reason } => {
                commands::control::end(&config, scope, false, reason, cli.json).await
            }
            Command::Cancel { scope, reason } => {
                commands::control::end(&config, scope, true, reason, cli.json).await
            }
            Command::Demo(arguments) => commands::demo::demo(config, arguments, cli.json).await,
            Command::Tree { events } => commands::tree::tree(&config, events, cli.json).await,
            Command::Ready => commands::tree::ready(&config, cli.json).await,
            Command::Drain { seconds } => commands::tree::drain(&config, seconds, cli.json).await,
            Command::Run { what } => commands::run::run(&config, what, cli.json).await,
            Command::Event { what } => commands::run::event(&config, what, cli.json).await,
            Command::Inbox { what } => commands::inbox::inbox(&config, what, cli.json).await,
            Command::Workflow { what } => {
                commands::workflow::workflow(&config, what, cli.json).await
            }
            Command::Policy { what } => commands::policy::policy(&config, what, cli.json).await,
            Command::Connector { what } => {
                commands::connector::connector(&config, what, cli.json).await
            }
            Command::Cost(arguments) => commands::money::cost(&config, arguments, cli.json).await,
            Command::Budget { what } => commands::money::budget(&config, what, cli.json).await,
            Command::Quarantine { what } => {
                commands::ask::quarantine(&config, what, cli.json).await
            }
            Command::Facts { system, external } => {
                commands::ask::facts(&config, system, external, cli.json).await
            }
            Command::Contacts { like } => commands::ask::contacts(&config, like, cli.json).await,
            Command::Archive { what } => commands::archive::archive(&config, what, cli.json).await,
            Command::Audit { what } => commands::ask::audit(&config, what, cli.json).await,
            Command::Doctor { accept_loss } => {
                commands::doctor::doctor(&config, accept_loss, cli.json)
            }
            Command::Bench { what } => commands::bench::bench(what, cli.json).await,
            Command::Sim { .. } => unreachable!("it was done above"),
        }
    })
}
