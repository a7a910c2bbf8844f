//! Which commit a design's files are, if its directory is in a git work tree and they are just as they were committed.
//!
//! Asked of `git` with commands that run nothing of the repository's own (no hooks, filters or file system monitors): whoever can
//! write the design must not run programs as the controller.

use model::finding::Files;
use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// The commit, as 40 or 64 hexadecimal digits; `None`: there is none, something is not committed, or there is no git.
pub(crate) fn of(directory: &Path, files: &Files) -> Option<String> {
    let commit = git(directory, ["rev-parse", "--verify", "--quiet", "HEAD"], "")?;
    let commit = String::from_utf8(commit).ok()?.trim().to_owned();
    let is_one = commit.len() >= 40 && commit.chars().all(|letter| letter.is_ascii_hexdigit());
    if !is_one || files.iter().any(|file| file.path.contains('\n')) {
        return None;
    }
    let asked: String = files.iter().map(|file| format!("{commit}:./{}\n", file.path)).collect();
    let mut answer = git(directory, ["cat-file", "--batch=%(objecttype) %(objectsize)"], &asked)?.into_iter();
    for file in files {
        let head: Vec<u8> = answer.by_ref().take_while(|octet| *octet != b'\n').collect();
        if head != format!("blob {}", file.text.len()).as_bytes() {
            return None;
        }
        let text: Vec<u8> = answer.by_ref().take(file.text.len()).collect();
        if text != file.text.as_bytes() || answer.next() != Some(b'\n') {
            return None;
        }
    }
    Some(commit)
}

fn git<const N: usize>(directory: &Path, words: [&str; N], input: &str) -> Option<Vec<u8>> {
    // Whose the directory is does not matter: nothing in it is run.
    let mut child = Command::new("git")
        .args([
            "-c",
            "safe.directory=*",
            "-c",
            "core.fsmonitor=false",
            "-c",
            "core.hooksPath=/dev/null",
            "-C",
        ])
        .arg(directory)
        .args(words.map(OsStr::new))
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_NO_LAZY_FETCH", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take()?;
    // Beside reading: both ends may be full.
    let done = std::thread::scope(|scope| {
        scope.spawn(move || drop(stdin.write_all(input.as_bytes())));
        child.wait_with_output()
    });
    done.ok().filter(|done| done.status.success()).map(|done| done.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::finding::File;

    #[test]
    fn a_design_is_a_commit_only_if_every_file_is_as_committed() {
        let directory = std::env::temp_dir().join(format!("zw-commit-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(directory.join("design")).expect("a directory");
        let run = |words: &[&str]| {
            let who = ["-c", "user.name=a", "-c", "user.email=a@example.net", "-c", "commit.gpgsign=false"];
            let done = Command::new("git").args(who).arg("-C").arg(&directory).args(words).output();
            done.is_ok_and(|done| done.status.success())
        };
        let files = |text: &str| -> Files {
            [("a.hcl", text), ("b.csv", "1,2\n")]
                .map(|(path, text)| File { path: path.into(), text: text.into() })
                .into_iter()
                .collect()
        };
        let design = directory.join("design");
        assert_eq!(of(&design, &files("x")), None, "no repository");
        if !run(&["init", "--quiet"]) {
            return;
        }
        std::fs::write(design.join("a.hcl"), "x").expect("written");
        std::fs::write(design.join("b.csv"), "1,2\n").expect("written");
        assert_eq!(of(&design, &files("x")), None, "no commit");
        assert!(run(&["add", "design"]) && run(&["commit", "--quiet", "-m", "first"]));
        let commit = of(&design, &files("x")).expect("a commit");
        assert_eq!(commit.len(), 40);
        assert_eq!(of(&design, &files("y")), None, "another text");
        let more = File { path: "c.hcl".into(), text: "".into() };
        assert_eq!(
            of(&design, &files("x").into_iter().chain([more]).collect()),
            None,
            "a file that is not committed"
        );
        std::fs::remove_dir_all(&directory).expect("removed");
    }
}
