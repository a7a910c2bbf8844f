//! A range of a file on its way to one client.
//!
//! A file that is not what it was when it was listed is not sent, and one that changes while it is sent breaks the
//! transfer: a broken transfer is seen and tried again, a wrong or a short one is booted.

use crate::boot_file::BootFile;
use crate::boot_http::transport::Transport;
use answer::party::Party;
use model::view::SiteFile;
use model::{Event, Location, Time, event::What};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;

/// Below this much a file is not announced to the kernel as one that is read from front to back.
const ANNOUNCED_FROM: u64 = 1 << 20;

pub(super) struct Sending {
    file: BootFile,
    at: u64,
    end: u64,
    /// Set if the transfer counts in the admission: it is given back when the transfer is over.
    pub(super) party: Option<Party>,
    /// Which file reached which machine, if it is a machine and gets the whole.
    whole_to: Option<(Location, String)>,
}

/// What became of one slice.
pub(super) enum Sent {
    /// So many octets were taken.
    Part(u64),
    /// Everything was sent before.
    All,
}

impl Sending {
    /// Opens the file. It is an error if it is not the file that was listed.
    pub(super) fn open(
        known: &SiteFile,
        range: Range<u64>,
        party: Option<Party>,
        machine: Option<Location>,
    ) -> io::Result<Self> {
        let file = BootFile::open(known)?;
        let whole_to =
            machine.filter(|_| range == (0..known.size)).map(|machine| (machine, known.name.clone()));
        let sending = Self { file, at: range.start, end: range.end, party, whole_to };
        if range.end - range.start >= ANNOUNCED_FROM {
            // Without it the kernel reads less ahead; nothing is wrong then.
            let _ = posix_fadvise(&sending.file.file, 0, 0, PosixFadviseAdvice::POSIX_FADV_SEQUENTIAL);
        }
        Ok(sending)
    }

    /// Octets that were not taken yet.
    pub(super) fn left(&self) -> u64 {
        self.end - self.at
    }

    /// Sends at most `slice` octets of what is left.
    pub(super) fn send(&mut self, transport: &mut Transport, slice: u64) -> io::Result<Sent> {
        let left = self.left();
        if left > 0 && left <= slice {
            // Looked at before the last octets go: without them the client knows that it has not got the file.
            self.file.is_unchanged()?;
        }
        let Some(length) = usize::try_from(left.min(slice)).ok().and_then(NonZeroUsize::new) else {
            return Ok(Sent::All);
        };
        match transport.send_file(&self.file.file, self.at, length)? {
            // The file is shorter now.
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            sent => {
                self.at += sent as u64;
                Ok(Sent::Part(sent as u64))
            }
        }
    }

    /// What the keeper is told when everything was sent.
    pub(super) fn event(self, now: Time) -> Option<Event> {
        let (location, file) = self.whole_to?;
        Some(Event { at: now, location, what: What::FileFetched { file, bytes: self.file.size } })
    }
}
