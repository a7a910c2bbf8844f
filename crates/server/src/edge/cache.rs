//! The boot files that an edge has: each under its SHA-256, and offered only once this process has read it and found it to be that.
//!
//! What is fetched is written beside (`.part`), and is put into place when all of it is there and right; so what is in place was right
//! once. What is cut off is gone on with. Files that the zone does not name any more stay until room is needed. A part of the disk is never
//! taken: the plan is kept on it, too, and an edge without the newest plan is worse than one without a file.

use crate::boot_file::is_out_of_descriptors;
use api::agent::Octets;
use api::edge::{FileNews, SiteNews};
use model::view::SiteFile;
use nix::sys::statvfs::{Statvfs, fstatvfs, statvfs};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Below the state.
const DIRECTORY: &str = "files";
const PART: &str = "part";
/// Octets that are read before anything is answered: loaders and a kernel, as a rule.
pub(super) const AT_ONCE_MAX: u64 = 96 << 20;
/// Everything is read again after so long.
pub(super) const READ_AGAIN: Duration = Duration::from_secs(24 * 3600);

/// Octets of the disk that files leave free: a plan and all facts of a zone of 100,000 machines, written twice, first to the store's log and
/// then to its place.
const RESERVE_MAX: u64 = 64 << 20;
/// Of a small disk, one part of so many. Less than a quarter of one would not hold the log, which grows to 4 MiB before it is begun anew.
const RESERVE_SHARE: u64 = 4;
/// After so many octets of a file it is looked whether the disk still has room: others write there, too.
const LOOK_EVERY: u64 = 1 << 20;

/// A digest in hexadecimal digits.
type Hex = String;

/// See the module.
pub(super) struct Cache {
    directory: PathBuf,
    octets_max: u64,
    known: BTreeMap<Hex, Known>,
}

/// A file that was read and is right.
#[derive(Clone, Debug)]
struct Known {
    size: u64,
    modified: (i64, i64),
    read: Instant,
}

/// A file that is not there, or not read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Wanted {
    /// By what name a controller has it.
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) sha256: Hex,
}

impl Wanted {
    /// A controller's tag of it, as `answer::http` makes it.
    pub(super) fn tag(&self) -> String {
        format!("\"{}\"", self.sha256.get(..32).unwrap_or_default())
    }
}

impl Cache {
    pub(super) fn open(state: &Path, octets_max: u64) -> io::Result<Self> {
        let directory = state.join(DIRECTORY);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        Ok(Self { directory, octets_max, known: BTreeMap::new() })
    }

    /// The files of a site that are here, and the names of all others.
    pub(super) fn offered(&self, site: &SiteNews) -> (Vec<SiteFile>, Vec<String>) {
        let (mut files, mut elsewhere) = (Vec::new(), Vec::new());
        for file in &site.files {
            let found = file.sha256.as_ref().and_then(|hex| Some((hex, self.known.get(hex)?)));
            let octets = file.sha256.as_ref().and_then(|hex| hex.parse::<Octets>().ok());
            let octets = octets.and_then(|octets| <[u8; 32]>::try_from(octets.0).ok());
            match (found, octets) {
                (Some((hex, known)), Some(sha256)) if known.size == file.size => files.push(SiteFile {
                    name: file.name.clone(),
                    size: known.size,
                    modified: known.modified,
                    sha256: Some(sha256),
                    source: self.directory.join(hex),
                }),
                _ => elsewhere.push(file.name.clone()),
            }
        }
        elsewhere.sort();
        (files, elsewhere)
    }

    /// What a site names and is not offered, and there is room for: each content once, what boots need first, the small before the large.
    pub(super) fn wanted(&self, site: &SiteNews) -> Vec<Wanted> {
        self.lacks(site).0
    }

    /// The names of what a site names, and there is no room for.
    pub(super) fn no_room(&self, site: &SiteNews) -> Vec<String> {
        let (_, no_room) = self.lacks(site);
        let no_room: BTreeSet<&Hex> = no_room.iter().map(|file| &file.sha256).collect();
        let files =
            site.files.iter().filter(|file| file.sha256.as_ref().is_some_and(|hex| no_room.contains(hex)));
        files.map(|file| file.name.clone()).collect()
    }

    /// What a site names and is not offered: what there is room for, and what there is none for.
    fn lacks(&self, site: &SiteNews) -> (Vec<Wanted>, Vec<Wanted>) {
        let mut by_digest: BTreeMap<&Hex, &FileNews> = BTreeMap::new();
        for file in &site.files {
            if let Some(hex) = file.sha256.as_ref().filter(|hex| is_digest(hex)) {
                by_digest.entry(hex).or_insert(file);
            }
        }
        let is_here = |hex: &Hex| self.known.contains_key(hex);
        let mut room = self.octets_max;
        for file in by_digest.iter().filter(|(hex, _)| is_here(hex)).map(|(_, file)| file) {
            room = room.saturating_sub(file.size);
        }
        let mut wanted: Vec<Wanted> = by_digest
            .into_iter()
            .filter(|(hex, _)| !is_here(hex))
            .map(|(hex, file)| Wanted { name: file.name.clone(), size: file.size, sha256: hex.clone() })
            .collect();
        let rank = |wanted: &Wanted| (!wanted.name.starts_with("loader/"), wanted.size);
        wanted.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.name.cmp(&b.name)));
        let mut space = self.space(site);
        wanted.into_iter().partition(|file| {
            // What lies there takes no more, right or not: it is read, and gone if it is wrong.
            let lies = fs::metadata(self.path(&file.sha256)).map_or(0, |metadata| metadata.size());
            let takes = file.size.saturating_sub(lies);
            match (room.checked_sub(file.size), space.checked_sub(takes)) {
                (Some(room_left), Some(space_left)) => {
                    (room, space) = (room_left, space_left);
                    true
                }
                _ => false,
            }
        })
    }

    /// Octets of the disk that files may still take, with what can make room.
    fn space(&self, site: &SiteNews) -> u64 {
        let Ok(disk) = statvfs(&self.directory) else {
            // Writing tells.
            return u64::MAX;
        };
        let lying = self.lying(site).unwrap_or_default();
        let makes_room: u64 = lying.iter().filter(|lying| lying.makes_room()).map(|lying| lying.octets).sum();
        (available(&disk) + makes_room).saturating_sub(reserve(&disk))
    }

    fn lying(&self, site: &SiteNews) -> io::Result<Vec<Lying>> {
        let named: BTreeSet<&str> = site.files.iter().filter_map(|file| file.sha256.as_deref()).collect();
        let mut lying = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let (path, metadata) = (entry.path(), entry.metadata()?);
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            lying.push(Lying {
                is_named: named.contains(stem.as_str()),
                modified: metadata.mtime(),
                is_part: path.extension().is_some(),
                octets: metadata.size(),
                stem,
                path,
            });
        }
        Ok(lying)
    }

    /// Where a file is, or is to be.
    pub(super) fn path(&self, sha256: &str) -> PathBuf {
        self.directory.join(sha256)
    }

    /// Where it is put together.
    pub(super) fn part(&self, sha256: &str) -> PathBuf {
        self.path(sha256).with_extension(PART)
    }

    /// Takes what was [`read`]; true if it is offered from here on.
    pub(super) fn learn(&mut self, file: &Wanted, read: &Found) -> bool {
        match read {
            Found::Right { modified } => {
                let known = Known { size: file.size, modified: *modified, read: Instant::now() };
                self.known.insert(file.sha256.clone(), known);
                true
            }
            Found::Nothing | Found::Wrong => {
                self.known.remove(&file.sha256);
                false
            }
        }
    }

    /// Those that were read long ago.
    pub(super) fn old(&self, site: &SiteNews) -> Vec<Wanted> {
        let mut old: BTreeMap<&Hex, Wanted> = BTreeMap::new();
        for file in &site.files {
            let Some(hex) = &file.sha256 else { continue };
            if self.known.get(hex).is_some_and(|known| known.read.elapsed() >= READ_AGAIN) {
                let wanted = Wanted { name: file.name.clone(), size: file.size, sha256: hex.clone() };
                old.insert(hex, wanted);
            }
        }
        old.into_values().collect()
    }

    /// Takes out what does not lie there any more as it was read, or cannot be opened; gives the digests.
    pub(super) fn take_out_changed(&mut self) -> BTreeSet<String> {
        let mut changed = BTreeSet::new();
        let directory = &self.directory;
        self.known.retain(|hex, known| {
            let is_as_read = match version(&directory.join(hex)) {
                Ok(found) => found == (known.size, known.modified),
                // It is there still; it is we who cannot look.
                Err(error) => is_out_of_descriptors(&error),
            };
            if !is_as_read {
                changed.insert(hex.clone());
            }
            is_as_read
        });
        changed
    }

    /// Makes room for what is left of a file, or of none but the disk's reserve: of what the site does not name, the oldest first, and
    /// then of what is not whole.
    pub(super) fn make_room(&mut self, site: &SiteNews, file: Option<&Wanted>) -> io::Result<()> {
        let mut lying = self.lying(site)?;
        let mut total: u64 = lying.iter().map(|lying| lying.octets).sum();
        let mut takes = 0;
        if let Some(file) = file {
            let part = self.part(&file.sha256);
            let begun = lying.extract_if(.., |lying| lying.path == part).map(|lying| lying.octets).sum();
            takes = file.size.saturating_sub(begun);
        }
        lying.retain(Lying::makes_room);
        lying.sort_by_key(|lying| (lying.is_named, lying.modified));
        for gives in lying {
            if total + takes <= self.octets_max && has_room(&statvfs(&self.directory)?, takes) {
                break;
            }
            fs::remove_file(gives.path)?;
            self.known.remove(&gives.stem);
            total -= gives.octets;
        }
        Ok(())
    }
}

/// A file in the directory.
struct Lying {
    path: PathBuf,
    /// Its digest, if it is what it is called.
    stem: String,
    octets: u64,
    modified: i64,
    is_named: bool,
    is_part: bool,
}

impl Lying {
    fn makes_room(&self) -> bool {
        !self.is_named || self.is_part
    }
}

/// Octets that a disk still has, for who is not root.
fn available(disk: &Statvfs) -> u64 {
    disk.blocks_available() * disk.fragment_size()
}

/// Octets of a disk that files leave free.
fn reserve(disk: &Statvfs) -> u64 {
    reserve_of(disk.blocks() * disk.fragment_size())
}

fn reserve_of(octets: u64) -> u64 {
    (octets / RESERVE_SHARE).min(RESERVE_MAX)
}

fn has_room(disk: &Statvfs, octets: u64) -> bool {
    available(disk) >= reserve(disk).saturating_add(octets)
}

/// Whether there is no room on the disk, or none that files may take.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Names of files are digests: nothing that a controller says leads out of the directory.
fn is_digest(hex: &str) -> bool {
    hex.len() == 64 && hex.bytes().all(|letter| letter.is_ascii_digit() || (b'a'..=b'f').contains(&letter))
}

/// What lies where a file should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Found {
    /// It.
    Right { modified: (i64, i64) },
    /// Something else. It is gone now.
    Wrong,
    /// Nothing that can be read.
    Nothing,
}

/// Reads what lies where a file should be, and removes it if it is wrong.
pub(super) fn read(path: &Path, size: u64, sha256: &str) -> Found {
    match matches(path, size, sha256) {
        Ok(Some(modified)) => Found::Right { modified },
        Ok(None) => {
            // What cannot be removed is not offered either.
            let _ = fs::remove_file(path);
            Found::Wrong
        }
        Err(_) => Found::Nothing,
    }
}

/// The size and the time of a file that can be opened.
fn version(path: &Path) -> io::Result<(u64, (i64, i64))> {
    let metadata = File::open(path)?.metadata()?;
    Ok((metadata.size(), (metadata.mtime(), metadata.mtime_nsec())))
}

fn matches(path: &Path, size: u64, sha256: &str) -> io::Result<Option<(i64, i64)>> {
    let mut file = File::open(path)?;
    // Before the content: what is written meanwhile is another version, and not offered.
    let metadata = file.metadata()?;
    if metadata.size() != size {
        return Ok(None);
    }
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 1 << 20];
    loop {
        let length = file.read(&mut piece)?;
        if length == 0 {
            break;
        }
        hasher.update(piece.get(..length).unwrap_or_default());
    }
    let found = Octets(hasher.finalize().to_vec()).to_string();
    Ok((found == sha256).then_some((metadata.mtime(), metadata.mtime_nsec())))
}

/// A file that is being put together.
pub(super) struct Part {
    file: File,
    path: PathBuf,
    pub(super) length: u64,
}

impl Part {
    /// What there is of it; nothing, if that is longer than the whole.
    pub(super) fn open(path: PathBuf, size: u64) -> io::Result<Self> {
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        let mut length = file.metadata()?.size();
        if length > size {
            file.set_len(0)?;
            length = 0;
        }
        file.seek(SeekFrom::End(0))?;
        Ok(Self { file, path, length })
    }

    pub(super) fn begin_anew(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.length = 0;
        Ok(())
    }

    pub(super) fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        let length = self.length + octets.len() as u64;
        let is_due = length / LOOK_EVERY != self.length / LOOK_EVERY;
        if is_due && !has_room(&fstatvfs(&self.file)?, 0) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_all(octets)?;
        self.length = length;
        Ok(())
    }

    /// Puts it into place if it is right.
    pub(super) fn finish(self, place: &Path, file: &Wanted) -> io::Result<Found> {
        self.file.sync_all()?;
        let found = read(&self.path, file.size, &file.sha256);
        if let Found::Right { .. } = found {
            fs::rename(&self.path, place)?;
            File::open(place.parent().unwrap_or(place))?.sync_all()?;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> String {
        Octets(Sha256::digest(text).to_vec()).to_string()
    }

    fn site(files: &[(&str, &str)]) -> SiteNews {
        let file = |(name, text): &(&str, &str)| FileNews {
            name: (*name).into(),
            size: text.len() as u64,
            sha256: Some(hex(text)),
        };
        SiteNews { files: files.iter().map(file).collect(), ..SiteNews::default() }
    }

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("zonewright-cache-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    fn fetch(cache: &mut Cache, file: &Wanted, text: &str) -> Found {
        let mut part = Part::open(cache.part(&file.sha256), file.size).unwrap();
        let from = usize::try_from(part.length).unwrap();
        part.write(&text.as_bytes()[from..]).unwrap();
        let found = part.finish(&cache.path(&file.sha256), file).unwrap();
        cache.learn(file, &found);
        found
    }

    #[test]
    fn what_was_cut_off_is_gone_on_with_and_only_what_is_right_is_offered() {
        let state = directory("cut");
        let mut cache = Cache::open(&state, 1 << 20).unwrap();
        let site =
            site(&[("image/a/kernel", "a kernel"), ("loader/x", "loader"), ("image/b/kernel", "a kernel")]);
        let wanted = cache.wanted(&site);
        assert_eq!(
            wanted.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(),
            ["loader/x", "image/a/kernel"]
        );
        assert_eq!(cache.offered(&site).1, ["image/a/kernel", "image/b/kernel", "loader/x"]);
        let kernel = &wanted[1];
        Part::open(cache.part(&kernel.sha256), kernel.size).unwrap().write(b"a ke").unwrap();
        assert_eq!(Part::open(cache.part(&kernel.sha256), kernel.size).unwrap().length, 4);
        assert!(matches!(fetch(&mut cache, kernel, "a kernel"), Found::Right { .. }));
        let (files, elsewhere) = cache.offered(&site);
        assert_eq!((files.len(), elsewhere), (2, vec!["loader/x".to_owned()]));
        assert_eq!(fs::read(&files[0].source).unwrap(), b"a kernel");
        // What came wrong is not put into place, and begun anew.
        assert_eq!(fetch(&mut cache, &wanted[0], "liader"), Found::Wrong);
        assert_eq!(cache.offered(&site).0.len(), 2);
        assert_eq!(Part::open(cache.part(&wanted[0].sha256), wanted[0].size).unwrap().length, 0);
        // What was damaged while nothing ran is found before it is offered.
        fs::write(cache.path(&kernel.sha256), "a kermel").unwrap();
        let mut cache = Cache::open(&state, 1 << 20).unwrap();
        assert!(cache.offered(&site).0.is_empty());
        let found = read(&cache.path(&kernel.sha256), kernel.size, &kernel.sha256);
        assert_eq!((found, cache.learn(kernel, &found)), (Found::Wrong, false));
        assert!(!cache.path(&kernel.sha256).exists());
        fs::remove_dir_all(state).unwrap();
    }

    #[test]
    fn room_is_made_of_what_nobody_names_and_what_does_not_fit_is_not_fetched() {
        let state = directory("room");
        let mut cache = Cache::open(&state, 12).unwrap();
        let before = site(&[("a", "12345"), ("b", "123456")]);
        for file in cache.wanted(&before) {
            fetch(&mut cache, &file, if file.size == 5 { "12345" } else { "123456" });
        }
        let after = site(&[("b", "123456"), ("c", "1234"), ("d", "123456789")]);
        let wanted = cache.wanted(&after);
        assert_eq!(wanted.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["c"], "d has no room");
        cache.make_room(&after, Some(&wanted[0])).unwrap();
        assert!(cache.path(&hex("123456")).exists() && !cache.path(&hex("12345")).exists());
        assert_eq!(cache.offered(&after).0.len(), 1);
        fs::remove_dir_all(state).unwrap();
    }

    #[test]
    fn what_is_damaged_or_gone_is_offered_no_more_and_what_is_right_is_again() {
        let state = directory("changed");
        let mut cache = Cache::open(&state, 1 << 20).unwrap();
        let site = site(&[("a", "same"), ("b", "gone"), ("c", "damaged"), ("d", "touched")]);
        let wanted = cache.wanted(&site);
        for file in &wanted {
            let text =
                ["same", "gone", "damaged", "touched"].into_iter().find(|text| hex(text) == file.sha256);
            fetch(&mut cache, file, text.unwrap());
        }
        assert_eq!((cache.take_out_changed(), cache.offered(&site).0.len()), (BTreeSet::new(), 4));
        fs::remove_file(cache.path(&hex("gone"))).unwrap();
        for (text, found) in [("damaged", "demaged"), ("touched", "touched")] {
            let mut file = File::create(cache.path(&hex(text))).unwrap();
            file.write_all(found.as_bytes()).unwrap();
            // A clock may be too coarse to tell it from the one before.
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        }
        let changed = ["gone", "damaged", "touched"].map(hex);
        assert_eq!(cache.take_out_changed(), changed.into());
        assert_eq!(cache.offered(&site).1, ["b", "c", "d"]);
        for file in cache.wanted(&site) {
            let found = read(&cache.path(&file.sha256), file.size, &file.sha256);
            cache.learn(&file, &found);
        }
        assert_eq!(cache.offered(&site).1, ["b", "c"], "what was only touched is right");
        fs::remove_dir_all(state).unwrap();
    }

    #[test]
    fn a_part_of_the_disk_is_kept_for_the_plan() {
        for (disk, kept) in [(0, 0), (24 << 20, 6 << 20), (256 << 20, 64 << 20), (1 << 40, 64 << 20)] {
            assert_eq!(reserve_of(disk), kept);
        }
    }

    #[test]
    fn a_controller_cannot_name_a_file_outside() {
        let cache = Cache::open(&directory("names"), 1 << 20).unwrap();
        let mut site = site(&[("a", "b")]);
        site.files[0].sha256 = Some(format!("../{}", "a".repeat(61)));
        assert!(cache.wanted(&site).is_empty());
        assert_eq!(cache.offered(&site).1, ["a"]);
    }
}
