//! The agent as a program that needs nothing of the system it runs on: the first process of the installer.

use crate::run;
use std::path::Path;
use std::process::{Command, Stdio};

const TARGET: &str = "x86_64-unknown-linux-musl";

/// Builds `zw-agent`, static, where `zw image build` finds it; says so if a part of the tool chain is missing.
pub(crate) fn build() -> Result<(), String> {
    let sysroot = run::output("rustc", &["--print", "sysroot"])?;
    let sysroot = String::from_utf8_lossy(&sysroot).trim().to_owned();
    let library = Path::new(&sysroot).join("lib/rustlib").join(TARGET);
    if !library.is_dir() {
        run::say(&format!("the Rust library for {TARGET} is fetched\n"));
        // Where there is no rustup, its absence is told below.
        let _ = Command::new("rustup").args(["target", "add", TARGET]).current_dir(run::root()).status();
    }
    if !library.is_dir() {
        return Err(format!("the Rust library for {TARGET} is missing: run `rustup target add {TARGET}`"));
    }
    let musl = Command::new("musl-gcc").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !musl.is_ok_and(|status| status.success()) {
        return Err("musl-gcc is missing: run `apt-get install musl-tools`".to_owned());
    }
    // `cc` would take the system's compiler for the C of the cryptography, and its headers, if it were not told.
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let status = Command::new(cargo)
        .args(["build", "--release", "--package", "agent", "--bin", "zw-agent", "--target", TARGET])
        .env("CC_x86_64_unknown_linux_musl", "musl-gcc")
        .current_dir(run::root())
        .status()
        .map_err(|error| format!("failed to start cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("the build of zw-agent ended with {status}")) }
}
