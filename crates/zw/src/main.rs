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
    Serve(commands::serve::Args),
    Completions(commands::completions::Args),
    Man(commands::completions::ManArgs),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::New(args) => commands::new::run(&args),
        Command::Check(args) => commands::check::run(&args),
        Command::Fmt(args) => commands::fmt::run(&args),
        Command::Plan(args) => commands::plan::run(&args),
        Command::Serve(args) => commands::serve::run(&args),
        Command::Completions(args) => commands::completions::run(&args, Arguments::command()),
        Command::Man(args) => commands::completions::man(&args, Arguments::command()),
    }
}
