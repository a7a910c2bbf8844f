//! Every folder of `tests/cases`: files to start from, and `transcript`, the commands with all they print.
//!
//! The commands run one after the other in a copy of the folder. A line that starts with `$ ` is a command (`zw …`,
//! `cat FILE`, `write FILE TEXT…`, `replace FILE OLD => NEW`), a line that starts with `#` a remark; everything else is what was printed.
//! `UPDATE_EXPECT=1 cargo test -p zw --test whole` writes the transcripts anew.

use crate::zw;
use expect_test::expect_file;
use std::fs;
use std::path::Path;

#[test]
fn every_case_prints_what_its_transcript_says() {
    let cases = zw::root().join("tests/cases");
    let mut folders: Vec<_> =
        fs::read_dir(&cases).expect("tests/cases").flatten().map(|entry| entry.path()).collect();
    folders.sort();
    assert!(!folders.is_empty(), "no case was found in {}", cases.display());
    let copies = std::env::temp_dir().join(format!("zw-cases-{}", std::process::id()));
    for folder in folders {
        let name = folder.file_name().expect("a folder's name");
        let copy = copies.join(name);
        copy_folder(&folder, &copy);
        let path = folder.join("transcript");
        let script = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        expect_file![path].assert_eq(&play(&script, &copy));
    }
    fs::remove_dir_all(copies).expect("the copies are ours");
}

fn play(script: &str, directory: &Path) -> String {
    let mut played = String::new();
    for line in script.lines().filter(|line| line.starts_with("$ ") || line.starts_with('#')) {
        if !played.is_empty() {
            played.push('\n');
        }
        played += line;
        played.push('\n');
        if let Some(command) = line.strip_prefix("$ ") {
            played += &run(command, directory);
        }
    }
    played
}

fn run(command: &str, directory: &Path) -> String {
    let words: Vec<&str> = command.split_whitespace().collect();
    match words.as_slice() {
        ["zw", arguments @ ..] => {
            let output = zw::zw(directory).args(arguments).output().expect("zw runs");
            zw::transcript(&output).replace(&directory.display().to_string(), "…")
        }
        ["cat", path] => {
            fs::read_to_string(directory.join(path)).unwrap_or_else(|error| format!("{error}\n"))
        }
        ["write", path, ..] => {
            let text = command.splitn(3, ' ').nth(2).unwrap_or_default();
            fs::write(directory.join(path), format!("{text}\n")).expect("the copy is writable");
            String::new()
        }
        ["replace", path, ..] => {
            let words = command.splitn(3, ' ').nth(2).unwrap_or_default();
            let (old, new) = words.split_once(" => ").expect("replace FILE OLD => NEW");
            let path = directory.join(path);
            let text = fs::read_to_string(&path).expect("a file of the copy");
            assert!(text.contains(old), "{} has no `{old}`", path.display());
            fs::write(&path, text.replace(old, new)).expect("the copy is writable");
            String::new()
        }
        _ => panic!("a case runs `zw`, `cat`, `write` and `replace` only, not `{command}`"),
    }
}

/// Copies a folder; links are followed, so that a case can stand on an example.
fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder for the copy");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_folder(&path, &copy);
        } else {
            fs::copy(&path, &copy).expect("a file to copy");
        }
    }
}
