//! A design's directory, read: the text of every file that a design may refer to.
//!
//! In: a directory. Out: its `*.hcl`, `*.csv`, `*.yaml`, `*.yml` and `*.j2` files, below it at any depth, paths relative to it
//! and sorted, which is the order their blocks count in. Images are not read here: they are served from where they lie.
//! It never judges what it reads.

use model::Design;
use model::finding::{Code, File, Files, Finding};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Files of one design: far above any real one, so that a mistaken path such as `/` ends soon.
const FILES_MAX: usize = 4096;

/// Directories below one another.
pub(crate) const DEPTH_MAX: usize = 16;

/// Bytes of all files of a design together.
const BYTES_MAX: u64 = 256 << 20;

/// Why a design's directory could not be read.
#[derive(Debug)]
pub enum ReadError {
    /// A file or directory could not be read.
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not UTF-8 text.
    NotText {
        /// Which.
        path: PathBuf,
        /// Bytes before the first that is not UTF-8.
        valid_up_to: usize,
    },
    /// There are too many files, or they are too large or too deep, to be one design.
    TooMuch {
        /// The directory.
        path: PathBuf,
        /// Which limit was met.
        limit: &'static str,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, .. } => write!(f, "failed to read {}", path.display()),
            Self::NotText { path, valid_up_to } => {
                write!(f, "failed to read {} as UTF-8 text: byte {valid_up_to} is not", path.display())
            }
            Self::TooMuch { path, limit } => {
                write!(f, "failed to read {} as a design: it holds more than {limit}", path.display())
            }
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::NotText { .. } | Self::TooMuch { .. } => None,
        }
    }
}

/// Reads the text of a design from its directory. Hidden files and directories are passed over.
pub fn read_design(directory: &Path) -> Result<Files, ReadError> {
    let mut reader = Reader { root: directory, files: Vec::new(), bytes: 0 };
    reader.directory(directory, 0)?;
    let mut files = reader.files;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

struct Reader<'d> {
    root: &'d Path,
    files: Files,
    bytes: u64,
}

impl Reader<'_> {
    fn directory(&mut self, directory: &Path, depth: usize) -> Result<(), ReadError> {
        if depth > DEPTH_MAX {
            return Err(self.too_much("16 levels of directories"));
        }
        let failed = |source| ReadError::Io { path: directory.to_path_buf(), source };
        for entry in std::fs::read_dir(directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().as_encoded_bytes().first() == Some(&b'.') {
                continue;
            }
            let path = entry.path();
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                self.directory(&path, depth + 1)?;
            } else if is_design_file(&path) && path.is_file() {
                self.file(path)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: PathBuf) -> Result<(), ReadError> {
        if self.files.len() >= FILES_MAX {
            return Err(self.too_much("4096 files"));
        }
        let failed = |source| ReadError::Io { path: path.clone(), source };
        self.bytes += std::fs::metadata(&path).map_err(failed)?.len();
        if self.bytes > BYTES_MAX {
            return Err(self.too_much("256 MiB of text"));
        }
        let bytes = std::fs::read(&path).map_err(failed)?;
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let valid_up_to = error.utf8_error().valid_up_to();
                return Err(ReadError::NotText { path, valid_up_to });
            }
        };
        let relative = path.strip_prefix(self.root).unwrap_or(&path);
        let segments: Vec<_> = relative.iter().map(|segment| segment.to_string_lossy()).collect();
        self.files.push(File { path: segments.join("/"), text: text.into() });
        Ok(())
    }

    fn too_much(&self, limit: &'static str) -> ReadError {
        ReadError::TooMuch { path: self.root.to_path_buf(), limit }
    }
}

/// Whether a design may consist of such a file, by its name.
pub(crate) fn is_design_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| {
        ["hcl", "csv", "yaml", "yml", "j2", "pem"].iter().any(|known| extension == *known)
    })
}

/// Images whose files are not there. They may be built later, so this is a warning.
pub fn missing_images(directory: &Path, design: &Design) -> Vec<Finding> {
    let mut findings = Vec::new();
    for image in &design.images {
        for path in std::iter::once(&image.kernel).chain(&image.initrd) {
            if !directory.join(path).is_file() {
                let sentence = format!("image `{}` names `{path}`, which is not there", image.name);
                findings.push(Finding::warning(Code::MissingFile, image.source, sentence).help(
                    "machines that boot it wait until it is; paths are relative to the design's directory",
                ));
            }
        }
    }
    for os in &design.systems {
        let path = Path::new(&os.image).join(api::image::FILE);
        if !directory.join(&path).is_file() {
            let sentence = format!("os `{}` names `{}`, and there is no image in it", os.name, os.image);
            findings.push(
                Finding::warning(Code::MissingFile, os.source, sentence).help(
                    "`zw image build os` makes one; machines that should get it wait until it is there",
                ),
            );
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_design_are_sorted_and_relative() {
        let pocket = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/pocket"));
        let files = read_design(pocket).expect("the example is there");
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["checks/kvm.yaml", "zone.hcl"]);
        assert!(files[1].text.contains("zone \"lab1\""));
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let error = read_design(Path::new("/nowhere/at/all")).expect_err("it is not there");
        assert_eq!(error.to_string(), "failed to read /nowhere/at/all");
        assert!(matches!(error, ReadError::Io { .. }));
    }
}
