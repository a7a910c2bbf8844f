//! What the fuzzers kept, for the tests that are the twins of the fuzz targets. In: the name of a target, and the folder
//! `fuzz/corpus`. It writes nothing.

/// Calls `check` with each input that a target has in `fuzz/corpus`, in the order of their names.
pub(crate) fn run(target: &str, mut check: impl FnMut(&[u8])) {
    let folder = [env!("CARGO_MANIFEST_DIR"), "..", "..", "fuzz", "corpus", target];
    let folder: std::path::PathBuf = folder.iter().collect();
    let entries =
        folder.read_dir().unwrap_or_else(|error| panic!("failed to list {}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry of a folder").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    for file in files {
        check(
            &std::fs::read(&file)
                .unwrap_or_else(|error| panic!("failed to read {}: {error}", file.display())),
        );
    }
}
