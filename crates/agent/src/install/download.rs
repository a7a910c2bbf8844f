//! The image: its manifest, and its archive as proved octets.
//!
//! Nothing that is given out was not proved first: the manifest by the order's digest, each [`CHUNK`] of the archive by the manifest. A
//! source that breaks off or has something else is left for the next one, and the download goes on where it was.

use super::http;
use api::image::{self, CHUNK, File, Manifest, ROOT, TEXT_MAX};
use api::install::OsImage;
use model::octets::hexadecimal;
use sha2::{Digest, Sha256};
use std::io::{self, Read};
use std::time::{Duration, Instant};

/// An archive of which nothing new was proved for so long is given up.
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two rounds through all sources.
const PAUSE: Duration = Duration::from_secs(2);
/// So often may what is fetched not be what it should be, from each source, before no other try would help.
const WRONG_MAX: usize = 2;
const SOURCES_MAX: usize = 16;

/// The manifest that the order names, and its archive.
pub(super) fn manifest(image: &OsImage) -> Result<(Manifest, File), String> {
    let wanted =
        image.digest.strip_prefix("sha256:").filter(|digits| is_digest(digits)).ok_or_else(|| {
            format!("the order's digest {:?} is none: it is written sha256: and 64 digits", image.digest)
        })?;
    if image.sources.is_empty() || image.sources.len() > SOURCES_MAX {
        return Err("the order does not say where the image is".into());
    }
    let mut problems = Vec::new();
    for source in &image.sources {
        match fetch(&format!("{source}{}", image::FILE)) {
            Ok(text) if hexadecimal(&Sha256::digest(&text)) == wanted => return judge(&text),
            Ok(_) => problems.push(format!("{source} has another image")),
            Err(error) => problems.push(error),
        }
    }
    Err(format!("the manifest of {} is nowhere to be had: {}", image.name, problems.join("; ")))
}

fn fetch(url: &str) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    http::get(url, 0, None)?
        .take(TEXT_MAX as u64 + 1)
        .read_to_end(&mut text)
        .map_err(|error| format!("failed to fetch {url:?}: {error}"))?;
    if text.len() > TEXT_MAX { Err(format!("{url:?} is too long for a manifest")) } else { Ok(text) }
}

/// A manifest that was proved says what a system's must.
fn judge(text: &[u8]) -> Result<(Manifest, File), String> {
    let wrong = |why: &dyn std::fmt::Display| format!("the image cannot be installed, build it anew: {why}");
    let manifest: Manifest = serde_json::from_slice(text).map_err(|error| wrong(&error))?;
    if manifest.kind != "os" {
        return Err(wrong(&format!("it is no image of a system but of kind {:?}", manifest.kind)));
    }
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.+~".contains(&octet);
    if manifest.kernel.is_empty() || !manifest.kernel.bytes().all(is_plain) {
        return Err(wrong(&format!("its kernel is called {:?}", manifest.kernel)));
    }
    let root = manifest
        .files
        .iter()
        .find(|file| file.name == ROOT)
        .ok_or_else(|| wrong(&format!("no {ROOT} in it")))?;
    let whole = root.chunks.len() as u64 == root.size.div_ceil(CHUNK)
        && root.chunks.iter().all(|chunk| is_digest(chunk));
    if !whole || root.size == 0 {
        return Err(wrong(&format!("the digests of {ROOT} are not whole")));
    }
    let root = root.clone();
    Ok((manifest, root))
}

fn is_digest(digits: &str) -> bool {
    digits.len() == 64 && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

/// Opens a source from an octet on: the number of the source, and the octet.
type Open<'a> = dyn Fn(usize, u64) -> Result<Box<dyn Read>, String> + 'a;

/// An archive that is read while it comes.
pub(super) struct Archive<'a> {
    file: &'a File,
    sources: usize,
    open: Box<Open<'a>>,
    /// Hears how many octets are proved, and what went wrong, if something did.
    tell: &'a dyn Fn(u64, Option<&str>),
    patience: Duration,
    pause: Duration,
    source: usize,
    stream: Option<Box<dyn Read>>,
    /// How many chunks are proved.
    proved: usize,
    chunk: Vec<u8>,
    /// How much of the chunk is given out.
    given: usize,
}

/// The archive of an image, from its sources.
pub(super) fn archive<'a>(
    image: &'a OsImage,
    file: &'a File,
    tell: &'a dyn Fn(u64, Option<&str>),
) -> Archive<'a> {
    let open = move |source: usize, from: u64| {
        let url = format!("{}{}", image.sources[source], file.name);
        http::get(&url, from, Some(file.size)).map(|content| Box::new(content) as Box<dyn Read>)
    };
    Archive {
        file,
        sources: image.sources.len(),
        open: Box::new(open),
        tell,
        patience: PATIENCE,
        pause: PAUSE,
        source: 0,
        stream: None,
        proved: 0,
        chunk: Vec::new(),
        given: 0,
    }
}

impl Archive<'_> {
    /// Fetches and proves the next chunk; there is one.
    fn next(&mut self) -> Result<(), String> {
        let from = self.proved as u64 * CHUNK;
        let length = usize::try_from((self.file.size - from).min(CHUNK)).unwrap_or(0);
        let (began, mut wrong) = (Instant::now(), 0);
        for turn in 0_usize.. {
            let problem = match self.fetch(from, length) {
                Ok(()) if hexadecimal(&Sha256::digest(&self.chunk)) == self.file.chunks[self.proved] => {
                    self.proved += 1;
                    self.given = 0;
                    (self.tell)(from + length as u64, None);
                    return Ok(());
                }
                Ok(()) => {
                    wrong += 1;
                    format!("source {} has other octets from {from} on than the image", self.source + 1)
                }
                Err(error) => error,
            };
            (self.tell)(from, Some(&problem));
            (self.stream, self.source) = (None, (self.source + 1) % self.sources);
            if wrong >= WRONG_MAX * self.sources {
                return Err(format!("{problem}: build or copy the image anew"));
            }
            // Each has had its turn.
            if (turn + 1) % self.sources == 0 {
                if began.elapsed() >= self.patience {
                    return Err(format!("{problem}: no source helped in {} s", self.patience.as_secs()));
                }
                std::thread::sleep(self.pause);
            }
        }
        unreachable!("the turns are without end")
    }

    fn fetch(&mut self, from: u64, length: usize) -> Result<(), String> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert((self.open)(self.source, from)?),
        };
        self.chunk.resize(length, 0);
        stream
            .read_exact(&mut self.chunk)
            .map_err(|error| format!("source {} broke off after {from} octets: {error}", self.source + 1))
    }
}

impl Read for Archive<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.chunk.len() {
            if self.proved == self.file.chunks.len() {
                return Ok(0);
            }
            if let Err(error) = self.next() {
                // Half a chunk, or a wrong one, is never given out.
                (self.chunk, self.given) = (Vec::new(), 0);
                return Err(io::Error::other(error));
            }
        }
        let taken = buffer.len().min(self.chunk.len() - self.given);
        buffer[..taken].copy_from_slice(&self.chunk[self.given..self.given + taken]);
        self.given += taken;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    const SIZE: usize = 2 * CHUNK as usize + 1000;

    fn content() -> Vec<u8> {
        (0..SIZE).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
    }

    fn file(content: &[u8]) -> File {
        File {
            name: ROOT.into(),
            size: content.len() as u64,
            sha256: hexadecimal(&Sha256::digest(content)),
            chunks: content.chunks(CHUNK as usize).map(|chunk| hexadecimal(&Sha256::digest(chunk))).collect(),
        }
    }

    /// Sources, and the octet that each was opened at.
    type Opened = Vec<(usize, u64)>;

    /// Reads all of an archive from sources that the test plays. Gives what came, and which source was opened where.
    fn read(
        sources: usize,
        patience: Duration,
        play: impl Fn(usize, &[u8]) -> Vec<u8>,
    ) -> (Result<Vec<u8>, String>, Opened) {
        let content = content();
        let file = file(&content);
        let opened = RefCell::new(Vec::new());
        let open = |source: usize, from: u64| {
            opened.borrow_mut().push((source, from));
            Ok(Box::new(io::Cursor::new(play(source, &content[from as usize..]))) as Box<dyn Read>)
        };
        let mut archive = Archive {
            file: &file,
            sources,
            open: Box::new(open),
            tell: &|_, _| {},
            patience,
            pause: Duration::ZERO,
            source: 0,
            stream: None,
            proved: 0,
            chunk: Vec::new(),
            given: 0,
        };
        let mut got = Vec::new();
        let outcome = archive.read_to_end(&mut got).map_err(|error| error.to_string());
        assert!(content.starts_with(&got) && (got.len() as u64).is_multiple_of(CHUNK) || got == content);
        drop(archive);
        (outcome.map(|_| got), opened.into_inner())
    }

    #[test]
    fn a_source_that_breaks_off_is_left_where_it_was() {
        let (got, opened) = read(2, PATIENCE, |source, rest| {
            rest[..if source == 0 { rest.len() / 2 } else { rest.len() }].to_vec()
        });
        assert!(got == Ok(content()));
        assert_eq!(opened, [(0, 0), (1, CHUNK)]);
    }

    #[test]
    fn sources_that_all_break_off_are_given_up() {
        let (got, opened) = read(2, Duration::ZERO, |_, rest| rest[..rest.len() / 4].to_vec());
        assert_eq!(
            got.map(|got| got.len()).map_err(|error| error.ends_with("no source helped in 0 s")),
            Err(true)
        );
        assert_eq!(opened, [(0, 0), (1, 0)]);
    }

    #[test]
    fn a_source_with_other_octets_is_left_and_nothing_of_it_is_given_out() {
        let turned = |source: usize, rest: &[u8]| {
            let mut rest = rest.to_vec();
            if source == 0 {
                // In the second chunk, while the first is good.
                let at = rest.len() - 1001;
                rest[at] ^= 1;
            }
            rest
        };
        let (got, opened) = read(2, PATIENCE, turned);
        assert!(got == Ok(content()));
        assert_eq!(opened, [(0, 0), (1, CHUNK)]);
        let (got, _) = read(1, PATIENCE, turned);
        assert_eq!(
            got.map(|got| got.len()),
            Err("source 1 has other octets from 4194304 on than the image: build or copy the image anew"
                .into())
        );
    }

    #[test]
    fn a_manifest_that_was_proved_may_still_not_be_installed() {
        let check = |change: fn(&mut Manifest), expected: &str| {
            let mut manifest = Manifest {
                kind: "os".into(),
                kernel: "6.1.0-56-amd64".into(),
                modules: 0,
                absent: Vec::new(),
                files: vec![file(&content())],
                packages: Vec::new(),
            };
            change(&mut manifest);
            let text = serde_json::to_vec(&manifest).expect("JSON");
            let outcome = judge(&text).map_or_else(|error| error, |_| "good".into());
            assert!(outcome.ends_with(expected), "{outcome}");
        };
        check(|_| {}, "good");
        check(
            |manifest| manifest.kind = "installer".into(),
            r#"it is no image of a system but of kind "installer""#,
        );
        check(|manifest| manifest.kernel = "../x".into(), r#"its kernel is called "../x""#);
        check(|manifest| manifest.files[0].name = "root".into(), "no root.tar.zst in it");
        check(|manifest| drop(manifest.files[0].chunks.pop()), "the digests of root.tar.zst are not whole");
        check(
            |manifest| manifest.files[0].chunks[0] = "x".into(),
            "the digests of root.tar.zst are not whole",
        );
        check(|manifest| manifest.files[0].size = u64::MAX, "the digests of root.tar.zst are not whole");
    }
}
