//! Running programs and saying so.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Writes to standard error, where progress belongs.
pub(crate) fn say(text: &str) {
    // If nobody listens there is nobody to tell.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Runs one part of the gate and tells how long it took.
pub(crate) fn step(name: &str, part: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    say(&format!("── {name}\n"));
    let began = Instant::now();
    part().map_err(|why| format!("{name}: {why}"))?;
    say(&format!("── {name}: {:.1} s\n", began.elapsed().as_secs_f64()));
    Ok(())
}

/// Runs this very cargo in the root of the checkout.
pub(crate) fn cargo(arguments: &[&str]) -> Result<(), String> {
    cargo_with(arguments, &[])
}

/// The same, with more in its environment.
pub(crate) fn cargo_with(arguments: &[&str], environment: &[(&str, &str)]) -> Result<(), String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    program_with(&cargo, arguments, environment)
}

/// Runs a program in the root of the checkout.
pub(crate) fn program(name: &str, arguments: &[&str]) -> Result<(), String> {
    program_with(name, arguments, &[])
}

fn program_with(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Result<(), String> {
    let status = Command::new(name)
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(root())
        .status()
        .map_err(|error| format!("failed to start {name}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{name} {} ended with {status}", arguments.join(" "))) }
}

/// What a program prints.
pub(crate) fn output(name: &str, arguments: &[&str]) -> Result<Vec<u8>, String> {
    let output = Command::new(name)
        .args(arguments)
        .current_dir(root())
        .output()
        .map_err(|error| format!("failed to start {name}: {error}"))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(format!("{name} ended with {}", output.status))
    }
}
