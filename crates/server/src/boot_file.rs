//! A boot file that is open, and still what it was when it was listed.

use model::view::SiteFile;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

/// An open file of the site.
pub(crate) struct BootFile {
    pub(crate) file: File,
    pub(crate) size: u64,
    modified: (i64, i64),
}

impl BootFile {
    /// Opens a file. It is an error if it is not the file that was listed.
    pub(crate) fn open(known: &SiteFile) -> io::Result<Self> {
        let opened = Self { file: File::open(&known.source)?, size: known.size, modified: known.modified };
        opened.is_unchanged()?;
        Ok(opened)
    }

    /// Whether this is the file that is listed as `known`.
    pub(crate) fn is(&self, known: &SiteFile) -> bool {
        (self.size, self.modified) == (known.size, known.modified)
    }

    /// An error if it was written to since it was listed.
    pub(crate) fn is_unchanged(&self) -> io::Result<()> {
        let metadata = self.file.metadata()?;
        if metadata.size() == self.size && (metadata.mtime(), metadata.mtime_nsec()) == self.modified {
            return Ok(());
        }
        Err(io::Error::other("the file changed since it was listed"))
    }
}

/// Whether it failed because this process, or the system, has no descriptor or no memory to spare.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    use nix::libc::{EMFILE, ENFILE, ENOBUFS, ENOMEM};
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOBUFS | ENOMEM))
}
