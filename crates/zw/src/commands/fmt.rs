//! `zw fmt`: design files in their canonical layout.

use crate::commands::check::failed;
use crate::findings;
use clap::Args as ClapArgs;
use model::finding::{Code, File, Finding};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Write design files in their canonical layout.
///
/// Indent, spaces and blank lines are set; comments stay, and what a file means never changes. A file with a syntax
/// error is left as it is, and the error is shown.
#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  zw fmt my-zone\n  zw fmt --check my-zone     in CI: exit status 1 if a file would change"
)]
pub(crate) struct Args {
    /// The design's directory.
    #[arg(default_value = ".", value_name = "DESIGN")]
    directory: PathBuf,
    /// Change nothing: name the files that would change, and exit with 1 if there are any.
    #[arg(long)]
    check: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> ExitCode {
    let files = match server::files::read_design(&args.directory) {
        Ok(files) => files,
        Err(error) => return failed(&error),
    };
    match format_all(args, &files) {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

fn format_all(args: &Args, files: &[File]) -> io::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    let mut unreadable = false;
    for file in files.iter().filter(|file| file.path.ends_with(".hcl")) {
        let path = args.directory.join(&file.path);
        match design::format(&file.text) {
            None => unreadable = true,
            Some(formatted) if formatted == *file.text => {}
            Some(formatted) => {
                if args.check {
                    code = ExitCode::from(1);
                } else {
                    replace(&path, &formatted)?;
                }
                writeln!(anstream::stdout(), "{}", path.display())?;
            }
        }
    }
    if unreadable {
        let (_, mut found) = design::parse(files);
        found.retain(is_syntax);
        anstream::stderr().write_all(findings::rendered(&args.directory, files, &found).as_bytes())?;
        code = ExitCode::from(1);
    }
    Ok(code)
}

fn is_syntax(finding: &Finding) -> bool {
    matches!(finding.code, Code::Syntax | Code::WrittenTwice)
}

/// Writes beside the file and renames over it: with a full disk the file stays as it was.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.zw-fmt", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = std::fs::metadata(path)
        .and_then(|metadata| {
            std::fs::write(&beside, text)?;
            std::fs::set_permissions(&beside, metadata.permissions())
        })
        .and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        // What could not be completed is taken away again; if even that fails, the first error is the one to tell.
        let _ = std::fs::remove_file(&beside);
    }
    written
}
