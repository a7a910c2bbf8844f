//! Where an export goes: standard output, one file, a directory of sheets, or one document for a printer.

use crate::commands::check::failed;
use clap::{Args as ClapArgs, ValueEnum};
use render::picture::{self, Paper, Sheet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// For drawings.
#[derive(ClapArgs)]
pub(super) struct Output {
    /// Where they go: a directory, a file for each sheet; FILE.html, all of them, for a browser to print; FILE.svg or `-`
    /// (standard output), where there is one sheet.
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// The paper.
    #[arg(long, value_enum, default_value_t = Size::A4)]
    paper: Size,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Size {
    /// 210 × 297 mm
    A4,
    /// 297 × 420 mm
    A3,
    /// 8.5 × 11 inches
    Letter,
    /// 11 × 17 inches
    Tabloid,
}

impl Output {
    pub(super) fn paper(&self) -> Paper {
        match self.paper {
            Size::A4 => Paper::A4,
            Size::A3 => Paper::A3,
            Size::Letter => Paper::Letter,
            Size::Tabloid => Paper::Tabloid,
        }
    }

    /// Whether somebody said where.
    pub(super) fn is_given(&self) -> bool {
        self.output.is_some()
    }

    /// Writes the sheets; see [`write`].
    pub(super) fn write(&self, title: &str, sheets: &[Sheet], or_else: &str) -> ExitCode {
        write(self.output.as_deref(), title, sheets, or_else)
    }
}

/// What makes fewer sheets of a plan.
pub(super) const FEWER: &str = ", or fewer places";

/// Writes sheets where they should go. `or_else` completes what is said where they are too many for one file.
pub(super) fn write(to: Option<&Path>, title: &str, sheets: &[Sheet], or_else: &str) -> ExitCode {
    let ends = |with: &str| to.and_then(Path::extension).is_some_and(|it| it.eq_ignore_ascii_case(with));
    let [first, ..] = sheets else { return usage("there is nothing to draw there") };
    let is_single = sheets.len() == 1;
    match to {
        Some(path) if ends("html") => file(path, &picture::html(title, sheets)),
        Some(path) if ends("svg") && is_single => file(path, &first.svg),
        None if is_single => print(&first.svg),
        Some(path) if path == Path::new("-") && is_single => print(&first.svg),
        Some(path) if path != Path::new("-") && !ends("svg") => directory(path, sheets),
        _ => usage(&format!(
            "there are {} sheets: name a directory or a file FILE.html with --output{or_else}",
            sheets.len()
        )),
    }
}

/// Whoever reads may have read enough: `zw export hosts | head`.
pub(super) fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => failed(&error),
        _ => ExitCode::SUCCESS,
    }
}

/// A wrong use that only shows when the plan is known.
pub(super) fn usage(sentence: &str) -> ExitCode {
    // Nothing more can be done when standard error is closed.
    let _ = anstream::stderr().write_all(format!("zw: {sentence}\n").as_bytes());
    ExitCode::from(2)
}

fn file(path: &Path, text: &str) -> ExitCode {
    match fs::write(path, text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => not_written(path, &error),
    }
}

fn directory(path: &Path, sheets: &[Sheet]) -> ExitCode {
    if let Err(error) = fs::create_dir_all(path) {
        return not_written(path, &error);
    }
    for sheet in sheets {
        let path = path.join(format!("{}.svg", sheet.name));
        if let Err(error) = fs::write(&path, &sheet.svg) {
            return not_written(&path, &error);
        }
    }
    let sheets =
        if sheets.len() == 1 { "1 sheet is".to_owned() } else { format!("{} sheets are", sheets.len()) };
    print(&format!("{sheets} in {}\n", path.display()))
}

fn not_written(path: &Path, error: &std::io::Error) -> ExitCode {
    failed(&std::io::Error::new(error.kind(), format!("failed to write {}: {error}", path.display())))
}
