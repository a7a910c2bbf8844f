//! What happened, a line for each step, and its digest: the same seed gives the same.

use std::fmt::{self, Write as _};
use std::io::Write;

/// Where lines go.
pub(crate) struct Trace<'a> {
    digest: u64,
    lines: u64,
    line: String,
    file: Option<&'a mut dyn Write>,
}

impl<'a> Trace<'a> {
    pub(crate) fn new(file: Option<&'a mut dyn Write>) -> Self {
        Self { digest: 0xcbf2_9ce4_8422_2325, lines: 0, line: String::with_capacity(256), file }
    }

    /// Adds a line, written at `now` (milliseconds since the beginning).
    pub(crate) fn line(&mut self, now: u64, words: fmt::Arguments<'_>) {
        self.line.clear();
        let seconds = now / 1000;
        // Writing to a string cannot fail.
        let _ = write!(
            self.line,
            "{:02}:{:02}:{:02}.{:03} ",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60,
            now % 1000
        );
        let _ = self.line.write_fmt(words);
        self.line.push('\n');
        // FNV-1a, eight octets at a time: it tells runs apart, and withstands nobody.
        for part in self.line.as_bytes().chunks(8) {
            let word = part.iter().fold(0, |all, octet| all << 8 | u64::from(*octet));
            self.digest = (self.digest ^ word).wrapping_mul(0x0000_0100_0000_01b3);
            self.digest ^= self.digest >> 29;
        }
        self.lines += 1;
        if let Some(file) = &mut self.file {
            // A trace that cannot be written is not worth the run.
            let _ = file.write_all(self.line.as_bytes());
        }
    }

    /// Of all lines.
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// How many lines there were.
    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }
}
