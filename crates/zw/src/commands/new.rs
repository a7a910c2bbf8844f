//! `zw new`: a starter design that teaches.

use crate::commands::check::failed;
use clap::Args as ClapArgs;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Start a design: a small zone with a comment at every block.
///
/// Writes zone.hcl, checks/node.yaml and stand-ins for a kernel and its initial RAM disk. Nothing that exists is
/// overwritten.
#[derive(ClapArgs)]
#[command(after_help = "Example:\n  zw new my-zone && zw check my-zone && zw lab up my-zone")]
pub(crate) struct Args {
    /// The directory to write, new or empty of these files.
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
}

/// The files of a starter design: path and text.
pub(crate) const STARTER: [(&str, &str); 4] = [
    ("zone.hcl", include_str!("new/zone.hcl")),
    ("checks/node.yaml", include_str!("new/node.yaml")),
    ("images/node/vmlinuz", "A stand-in for a kernel: put yours here.\n"),
    ("images/node/initrd.img", "A stand-in for an initial RAM disk: put yours here.\n"),
];

/// Runs the command.
pub(crate) fn run(args: &Args) -> ExitCode {
    let existing: Vec<&str> =
        STARTER.iter().map(|(path, _)| *path).filter(|path| args.directory.join(path).exists()).collect();
    if !existing.is_empty() {
        let there = existing.join(", ");
        let error = io::Error::other(format!(
            "failed to start a design in {}: {there} is there already",
            args.directory.display()
        ));
        return failed(&error);
    }
    match write_all(&args.directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn write_all(directory: &Path) -> io::Result<()> {
    for (path, text) in STARTER {
        let path = directory.join(path);
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("failed to write {}: {error}", path.display()))
        };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(named)?;
        }
        // `create_new`: what appeared since we looked is not overwritten either.
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(named)?;
        file.write_all(text.as_bytes()).map_err(named)?;
        writeln!(anstream::stdout(), "{}", path.display())?;
    }
    let shown = directory.display();
    writeln!(anstream::stdout(), "\nread {shown}/zone.hcl, then: zw check {shown}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::finding::File;

    #[test]
    fn the_starter_is_clean_and_canonical() {
        let files: Vec<File> =
            STARTER.iter().map(|(path, text)| File { path: (*path).into(), text: (*text).into() }).collect();
        let (design, findings) = design::parse(&files);
        assert_eq!(findings, []);
        let (plan, findings) = plan::compile(design.expect("a design"), None);
        assert_eq!(findings, []);
        assert!(plan.is_some());
        for (path, text) in STARTER.iter().filter(|(path, _)| path.ends_with(".hcl")) {
            assert_eq!(design::format(text).as_deref(), Some(*text), "{path}");
        }
    }
}
