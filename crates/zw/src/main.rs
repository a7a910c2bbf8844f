//! `zw`: the command line. This file is its table of contents.

mod client;
mod commands;
mod findings;
mod times;

use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

/// Run a private data-centre zone as one unit: drawn once, everything else derived from where a machine is plugged in.
#[derive(Parser)]
#[command(
    name = "zw",
    version,
    max_term_width = 110,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
#[command(after_help = "Exit status: 0 fine, 1 findings, 2 wrong usage, 3 failed.\n\
                        Start with: zw new my-zone && zw check my-zone && zw lab up my-zone")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    New(commands::new::Args),
    Check(commands::check::Args),
    Fmt(commands::fmt::Args),
    Plan(commands::plan::Args),
    Export(commands::export::Args),
    Serve(Box<commands::serve::Args>),
    Edge(Box<commands::edge::Args>),
    Status(commands::status::Args),
    Store(commands::store::Args),
    Show(commands::show::Args),
    Why(commands::why::Args),
    Authority(commands::authority::Args),
    Account(commands::account::Args),
    Audit(commands::account::AuditArgs),
    /// Accept the hardware that is there now as these locations'.
    Accept(commands::wish::Args),
    /// Move work off these machines.
    Drain(commands::wish::ReasonArgs),
    /// Hands off these machines: nothing automatic.
    Maintain(commands::wish::ReasonArgs),
    /// Back to work: these machines boot and are validated again.
    Return(commands::wish::Args),
    /// Take these machines out for good, drained before: their requests are refused.
    Retire(commands::wish::ReasonArgs),
    /// Allow the disks of these machines to be written once, in the plan in force.
    Arm(commands::install::ArmArgs),
    /// Write the system of the plan in force to the other slot of these machines; they fall back if it does not prove itself.
    Upgrade(commands::install::AllowArgs),
    /// Wipe the disks of these machines and install them anew.
    Reinstall(commands::install::ReinstallArgs),
    /// Take back what `zw arm`, `zw reinstall` or `zw upgrade` allowed, as long as no agent is at it.
    Disarm(commands::wish::Args),
    Apply(commands::apply::Args),
    History(commands::history::Args),
    Diff(commands::history::DiffArgs),
    Rollback(commands::apply::RollbackArgs),
    Restart(commands::apply::RestartArgs),
    Change(commands::change::Args),
    Pause(commands::change::PauseArgs),
    Resume(commands::change::ResumeArgs),
    Abort(commands::change::AbortArgs),
    Budget(commands::change::BudgetArgs),
    /// Let the controller read its design now, and allow what it refuses by itself.
    Reload(commands::wish::ReloadArgs),
    Bmc(commands::bmc::Args),
    Agent(commands::agent::Args),
    Image(commands::image::Args),
    Lab(commands::lab::Args),
    /// The processes that hold a lab; started by `zw lab up`.
    #[command(hide = true)]
    LabSupervisor(commands::lab::SupervisorArgs),
    Completions(commands::completions::Args),
    Man(commands::completions::ManArgs),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::New(args) => commands::new::run(&args),
        Command::Check(args) => commands::check::run(&args),
        Command::Fmt(args) => commands::fmt::run(&args),
        Command::Plan(args) => commands::plan::run(&args),
        Command::Export(args) => commands::export::run(&args),
        Command::Serve(args) => commands::serve::run(&args),
        Command::Edge(args) => commands::edge::run(&args),
        Command::Status(args) => commands::status::run(&args),
        Command::Store(args) => commands::store::run(&args),
        Command::Show(args) => commands::show::run(&args),
        Command::Why(args) => commands::why::run(&args),
        Command::Authority(args) => commands::authority::run(&args),
        Command::Account(args) => commands::account::run(&args),
        Command::Audit(args) => commands::account::audit(&args),
        Command::Accept(args) => commands::wish::accept(&args),
        Command::Drain(args) => commands::wish::drain(&args),
        Command::Maintain(args) => commands::wish::maintain(&args),
        Command::Return(args) => commands::wish::restore(&args),
        Command::Retire(args) => commands::wish::retire(&args),
        Command::Arm(args) => commands::install::arm(&args),
        Command::Upgrade(args) => commands::install::upgrade(&args),
        Command::Reinstall(args) => commands::install::reinstall(&args),
        Command::Disarm(args) => commands::install::disarm(&args),
        Command::Apply(args) => commands::apply::run(&args),
        Command::History(args) => commands::history::run(&args),
        Command::Diff(args) => commands::history::diff(&args),
        Command::Rollback(args) => commands::apply::rollback(&args),
        Command::Restart(args) => commands::apply::restart(&args),
        Command::Change(args) => commands::change::run(&args),
        Command::Pause(args) => commands::change::pause(&args),
        Command::Resume(args) => commands::change::resume(&args),
        Command::Abort(args) => commands::change::abort(&args),
        Command::Budget(args) => commands::change::budget(&args),
        Command::Reload(args) => commands::wish::reload(&args),
        Command::Bmc(args) => commands::bmc::run(&args),
        Command::Agent(args) => commands::agent::run(&args),
        Command::Image(args) => commands::image::run(&args),
        Command::Lab(args) => commands::lab::run(&args),
        Command::LabSupervisor(args) => commands::lab::supervise(&args),
        Command::Completions(args) => commands::completions::run(&args, Arguments::command()),
        Command::Man(args) => commands::completions::man(&args, Arguments::command()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_line_is_one_that_can_be_read() {
        Arguments::command().debug_assert();
    }
}
