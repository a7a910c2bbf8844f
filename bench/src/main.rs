//! The bench: Zonewright and the servers that people use today, on the same work, in a network of their own.
//!
//! `cargo xtask bench` builds and starts it. Each section that needs a network runs in a second process of this program,
//! inside namespaces that end with it ([`arena`]); the figures come out as a page of Markdown.

mod arena;
mod boot;
mod change;
mod datagrams;
mod dhcp;
mod dns;
mod limit;
mod memory;
mod packet;
mod page;
mod process;
mod settings;
mod whole;
mod zone;

use settings::Settings;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

/// The sections in the order of the page, and whether they need the arena.
const SECTIONS: &[(&str, bool)] = &[
    ("limit", true),
    ("dhcp", true),
    ("dhcp6", true),
    ("dns", true),
    ("http", true),
    ("tftp", true),
    ("storm", true),
    ("memory", true),
    ("change", true),
    ("packet", false),
    ("plan", false),
    ("lab", false),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["reflect", rest @ ..] => limit::reflect(rest),
        ["sendfile", rest @ ..] => boot::sendfile(rest),
        ["peak", rest @ ..] => whole::peak(rest),
        ["inside", section, rest @ ..] => {
            Settings::read(rest).and_then(|settings| inside(section, &settings))
        }
        _ => Settings::read(&words).and_then(|settings| outside(&settings)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            say(&format!("bench: {why}"));
            ExitCode::FAILURE
        }
    }
}

/// Tells progress, which belongs on standard error.
fn say(line: &str) {
    // If nobody listens there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Runs the wanted sections one after the other, and writes the page if all were wanted.
fn outside(settings: &Settings) -> Result<(), String> {
    let scratch = std::env::temp_dir().join(format!("zw-bench-{}", std::process::id()));
    fs::create_dir_all(&scratch).map_err(|error| format!("failed to make {}: {error}", scratch.display()))?;
    let outcome = sections(&settings.in_directory(&scratch));
    fs::remove_dir_all(&scratch)
        .map_err(|error| format!("failed to remove {}: {error}", scratch.display()))?;
    let page = outcome?;
    std::io::stdout().write_all(page.as_bytes()).map_err(|error| error.to_string())?;
    if !settings.is_whole() {
        return Ok(());
    }
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("results.md");
    fs::write(&results, page).map_err(|error| format!("failed to write {}: {error}", results.display()))
}

fn sections(settings: &Settings) -> Result<String, String> {
    let mut page = page::head(settings);
    for (name, needs_arena) in SECTIONS {
        if settings.section.as_deref().is_some_and(|wanted| wanted != *name) {
            continue;
        }
        if settings.is_smoke && settings.section.is_none() && *name == "lab" {
            // `cargo xtask ci` powers a zone on and off as a step of its own.
            continue;
        }
        say(&format!("── {name}"));
        page += &match *name {
            _ if *needs_arena => arena::enter(name, settings)?,
            "packet" => packet::section(settings)?,
            "plan" => whole::plan(settings)?,
            _ => whole::lab(settings)?,
        };
    }
    Ok(page)
}

/// One section, in the namespaces that [`arena::enter`] made.
fn inside(section: &str, settings: &Settings) -> Result<(), String> {
    let text = match section {
        "limit" => limit::section(settings)?,
        "dhcp" => dhcp::section(settings)?,
        "dhcp6" => dhcp::section6(settings)?,
        "dns" => dns::section(settings)?,
        "storm" => dhcp::storm::section(settings)?,
        "memory" => memory::section(settings)?,
        "change" => change::section(settings)?,
        "http" => boot::http(settings)?,
        "tftp" => boot::tftp(settings)?,
        _ => return Err(format!("{section} is no section that runs in the arena")),
    };
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| error.to_string())
}
