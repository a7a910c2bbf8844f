//! Running the program under test.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the checkout")
}

/// `zw`, in an environment of its own: no colour, no terminal, a fixed width.
pub(crate) fn zw(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zw"));
    command.current_dir(directory).env_remove("ZW_SERVER").env("NO_COLOR", "1").env("COLUMNS", "110");
    command
}

/// What `zw` prints and how it ends: standard output, then standard error, then the status if it is not 0.
pub(crate) fn transcript(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text += &String::from_utf8_lossy(&output.stderr);
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    match output.status.code() {
        Some(0) => {}
        Some(code) => text += &format!("[status {code}]\n"),
        None => text += "[ended by a signal]\n",
    }
    text
}
