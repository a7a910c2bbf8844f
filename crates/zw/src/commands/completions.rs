//! `zw completions SHELL` and `zw man`: both made from the same definitions as `--help`.

use clap::{Args as ClapArgs, Command};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Print a completion script for a shell.
///
/// For bash: `zw completions bash > /etc/bash_completion.d/zw`.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// The shell.
    shell: clap_complete::Shell,
}

/// Prints the script for `program`.
pub(crate) fn run(args: &Args, mut program: Command) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "zw", &mut script);
    written(std::io::stdout().write_all(&script))
}

/// Write the manual pages: one for `zw` and one for each command.
#[derive(ClapArgs)]
pub(crate) struct ManArgs {
    /// The directory to write them to.
    directory: PathBuf,
}

/// Writes the pages of `program`.
pub(crate) fn man(args: &ManArgs, program: Command) -> ExitCode {
    written(
        std::fs::create_dir_all(&args.directory)
            .and_then(|()| clap_mangen::generate_to(program, &args.directory)),
    )
}

fn written(outcome: std::io::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing more can be done when standard error is closed too.
            let _ = writeln!(std::io::stderr(), "zw: failed to write: {error}");
            ExitCode::from(3)
        }
    }
}
