//! The power goes at any moment: what of the files was not synced is there, torn, or not, sector by sector.
//!
//! A process that appends is run under `strace`, which tells each write and each sync of it in order, and its acknowledgements
//! among them. From that, images of the directory are made as a disk may hold them after a cut: everything that was synced, and of
//! what was not, any sectors. From each image the store opens, has everything that was acknowledged before the cut, and at most
//! one batch more. A disk that lies about syncs must make the same check fail: else it would check nothing.
//!
//! No test harness: the program runs itself as the process that is traced.

use model::event::What;
use model::facts::{Machine, State};
use model::{Event, Generation, Location, Time};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use store::{Publication, Record, Selection, Store};

/// Images that are made and opened.
const IMAGES: u64 = 400;
/// Batches of the traced process: so many that the log is copied into the file more than once.
const BATCHES: u64 = 240;
/// So many batches after each start; closing the file removes its log.
const BATCHES_PER_START: u64 = 80;
/// What a disk writes at once or not at all.
const SECTOR: usize = 512;
const DIRECTORY: &str = "ZONEWRIGHT_POWER_CUT_DIRECTORY";

fn main() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        return append(Path::new(&directory));
    }
    let mut out = std::io::stdout();
    let scratch = Scratch::new();
    let Some(trace) = traced(&scratch.0) else {
        let _ = writeln!(out, "skipped: strace is not installed (Debian package strace), or may not trace");
        return;
    };
    let acknowledged = trace.iter().filter(|op| matches!(op, Op::Acknowledged { .. })).count() as u64;
    assert_eq!(acknowledged, BATCHES, "the trace is not whole");
    let mut torn = 0;
    for seed in 0..IMAGES {
        let image = Image::cut(&trace, seed, false);
        torn += u64::from(image.is_torn);
        if let Err(wrong) = check(&scratch.0.join("image"), &image) {
            panic!("image {seed}, cut after {} of {} calls: {wrong}", image.at, trace.len());
        }
    }
    assert!(torn > IMAGES / 4, "only {torn} images had anything unsynced");
    let lied =
        (0..IMAGES).filter(|seed| check(&scratch.0.join("image"), &Image::cut(&trace, *seed, true)).is_err());
    let lied = lied.count();
    assert!(lied > 0, "a disk that lies about syncs passes, too");
    let _ = writeln!(
        out,
        "{IMAGES} cuts, {torn} with torn writes: nothing lost; of a disk that lies {lied} were found out ... ok"
    );
}

/// SplitMix64.
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn machine_of(seq: u64) -> Location {
    Location::new(&format!("z/p/r/u{}", seq % 48))
}

fn machine(seq: u64) -> Machine {
    Machine { state: State::Ready, since: Time(seq), boot_took_ms: Some(seq), ..Machine::default() }
}

/// How many events the batch of this number has.
fn length(batch: u64) -> u64 {
    1 + random(&mut batch.clone()) % 6
}

/// The traced process: it acknowledges each batch by a line with the last event and the plan.
fn append(directory: &Path) {
    let mut out = std::io::stdout();
    let (mut batch, mut generation) = (0, 0);
    while batch < BATCHES {
        let mut store = Store::open(directory).unwrap();
        for _ in 0..BATCHES_PER_START {
            let first = store.last_seq() + 1;
            let seqs = first..first + length(batch);
            let record = |seq| {
                let what = What::ScriptFetched { generation: Generation(batch), image: None };
                Record { event: Event { at: Time(seq), location: machine_of(seq), what }, state: "ready" }
            };
            let records: Vec<_> = seqs.clone().map(record).collect();
            let machines: Vec<_> = seqs.map(|seq| (machine_of(seq), machine(seq))).collect();
            let machines = machines.iter().map(|(location, machine)| (location, machine));
            let last = store.append(&records, machines, []).unwrap();
            if batch % 8 == 0 {
                let text = format!("# {batch}\n").repeat(8_000);
                let files = [("zone.hcl", text.as_str())];
                let publication = Publication {
                    parent: Generation(generation),
                    author: "a",
                    reason: "r",
                    at: Time(batch),
                    files: &files,
                    digest: "d",
                    commit: None,
                    change: None,
                };
                generation = store.publish(&publication).unwrap().0;
            }
            // One call, so that it is one line of the trace.
            out.write_all(format!("ack {last} {generation}\n").as_bytes()).unwrap();
            out.flush().unwrap();
            batch += 1;
        }
    }
}

/// What the traced process did to its files, or said.
enum Op {
    Write {
        file: String,
        at: usize,
        octets: Vec<u8>,
    },
    Truncate {
        file: String,
        length: usize,
    },
    /// A file; or the directory: which files there are.
    Sync {
        file: Option<String>,
    },
    Remove {
        file: String,
    },
    Acknowledged {
        seq: u64,
        generation: u64,
    },
}

/// `None`: nothing can be traced here.
fn traced(scratch: &Path) -> Option<Vec<Op>> {
    let (state, log) = (scratch.join("state"), scratch.join("trace"));
    let status = Command::new("strace")
        .args(["-y", "-xx", "-s", "4000000", "-e", "signal=none"])
        .args(["-e", "trace=pwrite64,write,ftruncate,fsync,fdatasync,unlink,pwritev,writev,rename,fallocate,sync_file_range"])
        .arg("-o")
        .arg(&log)
        .arg(std::env::current_exe().unwrap())
        .env(DIRECTORY, &state)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .output();
    if !status.ok()?.status.success() {
        return None;
    }
    let text = std::fs::read_to_string(&log).unwrap();
    Some(text.lines().filter_map(|line| op(line, &state)).collect())
}

/// One line of strace's: `pwrite64(4</state/zonewright.db>, "\x5a…", 4096, 0) = 4096`.
fn op(line: &str, state: &Path) -> Option<Op> {
    let (call, rest) = line.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    let arguments = arguments.trim_end().strip_suffix(')')?;
    if result.starts_with('-') {
        return None;
    }
    if call == "unlink" {
        let path = PathBuf::from(String::from_utf8(octets(arguments)).unwrap());
        return Some(Op::Remove { file: name(&path, state)? });
    }
    let (descriptor, arguments) = arguments.split_once('>').unwrap_or((arguments, ""));
    let (number, path) = descriptor.split_once('<')?;
    if call == "write" && number == "1" {
        let line = String::from_utf8(octets(arguments)).unwrap();
        let mut words = line.split_whitespace().skip(1).map(|word| word.parse().unwrap());
        return Some(Op::Acknowledged { seq: words.next().unwrap(), generation: words.next().unwrap() });
    }
    let path = PathBuf::from(String::from_utf8(octets(&format!("\"{path}\""))).unwrap());
    if path == state {
        return Some(Op::Sync { file: None });
    }
    let file = name(&path, state)?;
    let mut numbers = arguments.rsplit(", ").map(|word| word.parse::<usize>());
    match call {
        "pwrite64" => {
            let at = numbers.next().unwrap().unwrap();
            let octets = octets(arguments);
            assert_eq!(octets.len().to_string(), result.trim(), "{call} was cut short: {result}");
            Some(Op::Write { file, at, octets })
        }
        "ftruncate" => Some(Op::Truncate { file, length: numbers.next().unwrap().unwrap() }),
        "fsync" | "fdatasync" => Some(Op::Sync { file: Some(file) }),
        _ => panic!("{call} of {file} is not foreseen"),
    }
}

/// The name of a file that lasts. The index of the log is made anew by whoever opens the file.
fn name(path: &Path, state: &Path) -> Option<String> {
    let name = path.strip_prefix(state).ok()?.to_str()?.to_owned();
    (!name.ends_with("-shm")).then_some(name)
}

/// What stands between quotes, `\xNN` each.
fn octets(text: &str) -> Vec<u8> {
    let text = text.split('"').nth(1).unwrap_or_default();
    text.split("\\x").skip(1).map(|hex| u8::from_str_radix(hex, 16).unwrap()).collect()
}

/// A file as a disk may hold it.
#[derive(Clone, Default)]
struct Content {
    /// As it is on the disk for certain.
    synced: Vec<u8>,
    /// What came since.
    unsynced: Vec<Change>,
    /// Its name is on the disk for certain.
    is_named: bool,
}

#[derive(Clone)]
enum Change {
    Sector(usize, Vec<u8>),
    Length(usize),
}

impl Content {
    fn apply(octets: &mut Vec<u8>, change: &Change) {
        match change {
            Change::Length(length) => octets.resize(*length, 0),
            Change::Sector(at, sector) => {
                if octets.len() < at + sector.len() {
                    octets.resize(at + sector.len(), 0);
                }
                octets[*at..at + sector.len()].copy_from_slice(sector);
            }
        }
    }

    fn sync(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            Self::apply(&mut self.synced, &change);
        }
    }
}

/// The directory after a cut, and what must be in it.
struct Image {
    at: usize,
    files: BTreeMap<String, Vec<u8>>,
    seq: u64,
    generation: u64,
    is_torn: bool,
}

impl Image {
    fn cut(trace: &[Op], seed: u64, lies: bool) -> Self {
        let mut seed = seed.wrapping_mul(0x1234_5678_9abc_def1);
        let at = usize::try_from(random(&mut seed)).unwrap() % trace.len();
        let (mut seq, mut generation) = (0, 0);
        let mut files: BTreeMap<String, Content> = BTreeMap::new();
        // Removed since the directory was last synced.
        let mut removed: BTreeMap<String, Content> = BTreeMap::new();
        for op in &trace[..at] {
            match op {
                Op::Write { file, at, octets } => {
                    let content = files.entry(file.clone()).or_default();
                    let mut at = *at;
                    let mut rest = octets.as_slice();
                    while !rest.is_empty() {
                        let (sector, next) = rest.split_at((SECTOR - at % SECTOR).min(rest.len()));
                        content.unsynced.push(Change::Sector(at, sector.to_vec()));
                        (at, rest) = (at + sector.len(), next);
                    }
                }
                Op::Truncate { file, length } => {
                    files.entry(file.clone()).or_default().unsynced.push(Change::Length(*length));
                }
                Op::Sync { .. } if lies => {}
                Op::Sync { file: Some(file) } => {
                    let content = files.entry(file.clone()).or_default();
                    content.sync();
                }
                Op::Sync { file: None } => {
                    files.values_mut().for_each(|content| content.is_named = true);
                    removed.clear();
                }
                Op::Remove { file } => {
                    if let Some(content) = files.remove(file).filter(|content| content.is_named) {
                        removed.insert(file.clone(), content);
                    }
                }
                Op::Acknowledged { seq: last, generation: newest } => (seq, generation) = (*last, *newest),
            }
        }
        // How much of it came to the disk by itself: nothing, little, half, nearly all.
        let share = [0, 2, 8, 15][usize::try_from(random(&mut seed) % 4).unwrap()];
        let mut is_torn = false;
        let mut image = BTreeMap::new();
        // A removal may be on the disk or not; if not, the file of before is there, whatever came after it.
        for (file, content) in files.into_iter().chain(removed) {
            if !content.is_named && random(&mut seed).is_multiple_of(2) {
                continue;
            }
            let mut octets = content.synced;
            for change in &content.unsynced {
                if random(&mut seed) % 16 < share {
                    Content::apply(&mut octets, change);
                } else {
                    is_torn = true;
                }
            }
            image.entry(file).or_insert(octets);
        }
        Self { at, files: image, seq, generation, is_torn }
    }
}

/// The store opens from an image and has what it must.
fn check(directory: &Path, image: &Image) -> Result<(), String> {
    let _ = std::fs::remove_dir_all(directory);
    std::fs::create_dir_all(directory).unwrap();
    for (file, octets) in &image.files {
        std::fs::write(directory.join(file), octets).unwrap();
    }
    // Opening it runs `PRAGMA quick_check`.
    let mut store = Store::open(directory).map_err(|error| error.to_string())?;
    let loaded = store.load().map_err(|error| error.to_string())?;
    let generation = loaded.published.map_or(0, |published| published.generation.0);
    let (seq, batch_max) = (loaded.last_seq, 6);
    if seq < image.seq || seq > image.seq + batch_max {
        return Err(format!("{} was acknowledged, {seq} is there", image.seq));
    }
    if generation < image.generation || generation > image.generation + 1 {
        return Err(format!("plan {} was acknowledged, {generation} is there", image.generation));
    }
    let entries = store.history().and_then(|history| history.events(Selection::After(0), u32::MAX));
    let entries = entries.map_err(|error| error.to_string())?;
    let mut machines = BTreeMap::new();
    let mut ends = (0..).scan(0, |seq, batch| {
        *seq += length(batch);
        Some(*seq)
    });
    for (expected, entry) in (1..).zip(&entries) {
        if entry.seq != expected || entry.event.at.0 != expected {
            return Err(format!("event {} stands where {expected} belongs", entry.seq));
        }
        machines.insert(machine_of(entry.seq), machine(entry.seq));
    }
    if seq != 0 && !ends.by_ref().take_while(|end| *end <= seq).any(|end| end == seq) {
        return Err(format!("half of a batch is there: {seq}"));
    }
    match entries.len() as u64 == seq && loaded.facts.machines == machines {
        true => Ok(()),
        false => Err("the facts are not those of the last events".into()),
    }
}

struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("zonewright-power-cut-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
