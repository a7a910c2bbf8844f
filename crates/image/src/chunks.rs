//! A file that is hashed while it is written: the whole of it, and each piece.

use crate::packages::hexadecimal;
use api::image::{CHUNK, File};
use sha2::{Digest, Sha256};
use std::io::{self, Write};

/// Hashes what goes through.
pub(crate) struct Hashed<W> {
    out: W,
    whole: Sha256,
    size: u64,
    piece: Sha256,
    /// Octets of the piece that are still to come.
    left: u64,
    pieces: Vec<String>,
}

impl<W: Write> Hashed<W> {
    /// Nothing yet.
    pub(crate) fn new(out: W) -> Self {
        Self { out, whole: Sha256::new(), size: 0, piece: Sha256::new(), left: CHUNK, pieces: Vec::new() }
    }

    /// What was written, and what a manifest says of it.
    pub(crate) fn end(mut self, name: &str) -> (W, File) {
        if self.left < CHUNK {
            self.pieces.push(hexadecimal(&self.piece.finalize()));
        }
        let sha256 = hexadecimal(&self.whole.finalize());
        (self.out, File { name: name.to_owned(), size: self.size, sha256, chunks: self.pieces })
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let most = octets.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let written = self.out.write(&octets[..most])?;
        let done = &octets[..written];
        self.whole.update(done);
        self.piece.update(done);
        self.size += written as u64;
        self.left -= written as u64;
        if self.left == 0 {
            self.pieces.push(hexadecimal(&self.piece.finalize_reset()));
            self.left = CHUNK;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(size: usize, pieces: &[usize]) {
        let octets: Vec<u8> = (0..size).map(|number| (number % 251) as u8).collect();
        let mut hashed = Hashed::new(Vec::new());
        // In portions that do not fit the pieces.
        for portion in octets.chunks(1_000_003) {
            hashed.write_all(portion).unwrap();
        }
        let (out, file) = hashed.end("root");
        assert!(out == octets);
        let mut left = octets.as_slice();
        let expected: Vec<String> = pieces
            .iter()
            .map(|size| {
                let (piece, rest) = left.split_at(*size);
                left = rest;
                hexadecimal(&Sha256::digest(piece))
            })
            .collect();
        let sha256 = hexadecimal(&Sha256::digest(&octets));
        assert_eq!(file, File { name: "root".into(), size: size as u64, sha256, chunks: expected });
    }

    #[test]
    fn each_piece_has_its_digest() {
        const FULL: usize = CHUNK as usize;
        check(0, &[]);
        check(1, &[1]);
        check(FULL, &[FULL]);
        check(2 * FULL + 5, &[FULL, FULL, 5]);
    }
}
