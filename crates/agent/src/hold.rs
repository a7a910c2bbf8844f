//! Somebody on the machine lets nobody restart it: a file in the agent's state directory, whose first line says why.
//!
//! It needs no controller, and no agent that runs: what is held is refused when it is asked for.

use crate::hardware::beginning;
use api::agent::TEXT_MAX;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

const FILE: &str = "hold";

/// Lets nobody restart the machine from here on. Held already, it is for this reason now.
///
/// # Errors
/// The file cannot be written.
pub fn hold(state_dir: &Path, why: &str) -> io::Result<()> {
    fs::create_dir_all(state_dir)?;
    let mut file = fs::File::create(state_dir.join(FILE))?;
    writeln!(file, "{}", why.replace(['\n', '\r'], " "))?;
    file.sync_all()
}

/// Lets go. Whether it was held.
///
/// # Errors
/// The file cannot be removed.
pub fn release(state_dir: &Path) -> io::Result<bool> {
    match fs::remove_file(state_dir.join(FILE)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Why it is held; `None`: it is not.
pub fn held(state_dir: &Path) -> Option<String> {
    let why = match fs::read(state_dir.join(FILE)) {
        Ok(text) => String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned(),
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        // Somebody meant something by it.
        Err(error) => format!("the file cannot be read: {error}"),
    };
    let why = beginning(&why, TEXT_MAX);
    Some(if why.is_empty() { "no reason is given".to_owned() } else { why.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_held_until_it_is_let_go() {
        let directory = std::env::temp_dir().join(format!("zw-hold-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        assert_eq!(held(&directory), None);
        assert!(!release(&directory).expect("let go"));
        hold(&directory, "a long\nreckoning").expect("held");
        assert_eq!(held(&directory).as_deref(), Some("a long reckoning"));
        fs::write(directory.join(FILE), "\n").expect("written");
        assert_eq!(held(&directory).as_deref(), Some("no reason is given"));
        assert!(release(&directory).expect("let go"));
        assert_eq!(held(&directory), None);
        fs::create_dir(directory.join(FILE)).expect("made");
        assert!(held(&directory).is_some_and(|why| why.starts_with("the file cannot be read")));
        fs::remove_dir_all(&directory).expect("removed");
    }
}
