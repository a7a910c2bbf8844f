//! Disks, only read: in sequence and here and there, everything twice.
//!
//! What is read past the kernel's cache a second time is what was read the first time, unless somebody wrote in between: the
//! kernel counts writes, and where it counted one nothing is compared. A disk may be in use; it is opened for reading alone.

use super::load::{self, Bound, mixed};
use crate::trust;
use model::size;
use nix::fcntl::OFlag;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// What is read at a time in sequence, in octets.
const BLOCK: usize = 1 << 20;
/// What is read at a time here and there, in octets.
const SAMPLE: usize = 64 << 10;
/// Blocks, or samples, that are read before they are read again: most disks keep less in their own memory.
const WINDOW: u64 = 64;
/// Reading past the cache needs memory at multiples of this, in octets: no disk has larger sectors.
const ALIGNMENT: usize = 4096;
/// A disk that has not ended a read so long after the end hangs.
const PATIENCE: Duration = Duration::from_secs(90);

/// Fills octets from an offset on.
pub(super) type ReadAt = dyn Fn(u64, &mut [u8]) -> io::Result<()> + Send;

/// A disk that can be read.
pub(super) struct Disk {
    pub name: String,
    /// Octets.
    pub size: u64,
    /// Reads it.
    pub read: Box<ReadAt>,
    /// Writes that have ended since the machine started; `None` while one is under way, or where nobody counts.
    pub writes: Box<dyn Fn() -> Option<u64> + Send>,
}

/// Opens a disk of the machine.
///
/// # Errors
/// A sentence.
pub(super) fn open(name: &str, size: u64) -> Result<Disk, String> {
    let file =
        opened(&Path::new("/dev").join(name)).map_err(|error| format!("{name} cannot be read: {error}"))?;
    let sys = Path::new("/sys/block").join(name);
    Ok(Disk {
        name: name.to_owned(),
        size,
        read: Box::new(move |offset, octets| file.read_exact_at(octets, offset)),
        writes: Box::new(move || {
            // Documentation/block/stat.rst: the fifth number is writes that ended; `inflight` is reads and writes.
            let number = |file: &str, at: usize| {
                let text = fs::read_to_string(sys.join(file)).ok()?;
                text.split_ascii_whitespace().nth(at)?.parse::<u64>().ok()
            };
            let ended = number("stat", 4)?;
            (number("inflight", 1)? == 0).then_some(ended)
        }),
    })
}

/// Past the cache where that works.
fn opened(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    options.clone().custom_flags(OFlag::O_DIRECT.bits()).open(path).or_else(|_| options.open(path))
}

/// Reads all of them at once until it is over.
///
/// # Errors
/// A disk that gave an error, or other octets than before, a sentence.
pub(super) fn run(disks: Vec<Disk>, bound: &Bound) -> Result<String, String> {
    let (tell, heard) = mpsc::channel();
    let mut silent: Vec<_> = disks.iter().map(|disk| disk.name.clone()).collect();
    for disk in disks {
        let (bound, tell) = (bound.clone(), tell.clone());
        load::begin(None, move || {
            let found = bound.tell(through(&disk, &bound, trust::random()));
            // Nobody waits any more for one that hung.
            let _ = tell.send((disk.name, found));
        })?;
    }
    drop(tell);
    let (mut words, mut wrong, mut octets) = (Vec::new(), Vec::new(), 0);
    while !silent.is_empty() {
        let wait = (bound.until() + PATIENCE).saturating_duration_since(Instant::now());
        // In steps, so that it ends soon when it is called off while a disk hangs.
        match heard.recv_timeout(wait.min(Duration::from_millis(200))) {
            Ok((name, found)) => {
                silent.retain(|other| *other != name);
                match found {
                    Ok(read) => {
                        octets += read.octets;
                        words.push(format!("{name} {}", read.in_words()));
                    }
                    Err(sentence) => wrong.push(sentence),
                }
            }
            Err(mpsc::RecvTimeoutError::Timeout) if !wait.is_zero() && !bound.is_stopped() => {}
            Err(_) => break,
        }
    }
    if wrong.is_empty() && !bound.is_stopped() {
        wrong.extend(
            silent.iter().map(|name| format!("{name} has not ended a read for {} s", PATIENCE.as_secs())),
        );
    }
    if !wrong.is_empty() {
        return Err(load::some(&wrong));
    }
    words.sort();
    Ok(match words.len() {
        0 => "there is no disk".to_owned(),
        _ => format!("{} read, and no disk written: {}", size::decimal(octets), words.join("; ")),
    })
}

/// What was read of a disk.
#[derive(Default)]
struct Read {
    octets: u64,
    /// Of those, in sequence for the first time, and how long that took.
    sequence: (u64, Duration),
    /// Samples, and how long they took.
    samples: (u64, Duration),
}

impl Read {
    fn in_words(&self) -> String {
        let per_second = |(count, took): (u64, Duration)| {
            let rate = u128::from(count) * 1_000_000 / took.as_micros().max(1);
            u64::try_from(rate).unwrap_or(u64::MAX)
        };
        format!(
            "{}/s, {} reads/s here and there",
            size::decimal(per_second(self.sequence)),
            per_second(self.samples)
        )
    }
}

/// Windows in sequence, and between them samples, until it is over.
fn through(disk: &Disk, bound: &Bound, seed: u64) -> Result<Read, String> {
    let mut read = Read::default();
    let mut memory = vec![0_u8; BLOCK + ALIGNMENT];
    let start = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
    let block = &mut memory[start..start + BLOCK];
    let (blocks, samples) = (disk.size / BLOCK as u64, disk.size / SAMPLE as u64);
    if blocks == 0 {
        return Ok(read);
    }
    // Not always from the beginning: a disk is seldom read to its end.
    let first = mixed(seed) % blocks;
    for turn in 0_u64.. {
        if turn > 0 && bound.is_over() {
            break;
        }
        let places = |number: u64| (first + turn * WINDOW + number) % blocks * BLOCK as u64;
        let (octets, took) = window(disk, bound, block, places)?;
        read.octets += 2 * octets;
        read.sequence = (read.sequence.0 + octets, read.sequence.1 + took);
        let places = |number: u64| mixed(seed ^ (turn * WINDOW + number)) % samples * SAMPLE as u64;
        let (octets, took) = window(disk, bound, &mut block[..SAMPLE], places)?;
        read.octets += 2 * octets;
        read.samples = (read.samples.0 + octets / SAMPLE as u64, read.samples.1 + took);
    }
    Ok(read)
}

/// Reads at so many places, and again; how many octets, and how long the first time took.
fn window(
    disk: &Disk,
    bound: &Bound,
    memory: &mut [u8],
    place: impl Fn(u64) -> u64,
) -> Result<(u64, Duration), String> {
    let length = memory.len() as u64;
    let mut read = |offset: u64| {
        (disk.read)(offset, memory)
            .map_err(|error| format!("{}: {length} octets at {offset} cannot be read: {error}", disk.name))?;
        bound.count(length);
        Ok::<_, String>(digest(memory))
    };
    let before = (disk.writes)();
    let began = Instant::now();
    let mut digests = Vec::with_capacity(WINDOW as usize);
    for number in 0..WINDOW {
        if number > 0 && bound.is_over() || bound.is_stopped() {
            break;
        }
        digests.push(read(place(number))?);
    }
    let took = began.elapsed();
    for (number, digest) in (0..).zip(&digests) {
        if bound.is_stopped() {
            break;
        }
        let offset = place(number);
        if read(offset)? != *digest && before.is_some() && before == (disk.writes)() {
            return Err(format!(
                "{}: {length} octets at {offset} were read twice and differ, and nothing was written meanwhile",
                disk.name
            ));
        }
    }
    Ok((digests.len() as u64 * length, took))
}

/// A number that another octet would most likely change; quick, and against no enemy.
fn digest(octets: &[u8]) -> u64 {
    octets.chunks_exact(8).fold(0, |digest: u64, word| {
        let word = word.iter().fold(0, |word, octet| word << 8 | u64::from(*octet));
        (digest ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    fn bound(milliseconds: u64) -> Bound {
        Bound::new(&Arc::new(AtomicBool::new(false)), Instant::now() + Duration::from_millis(milliseconds))
    }

    /// A disk of 8 MiB; `fault` changes what read number so gives at an offset.
    fn disk(
        writes: impl Fn() -> Option<u64> + Send + 'static,
        fault: impl Fn(u64, u64, &mut [u8]) -> io::Result<()> + Send + 'static,
    ) -> Disk {
        let count = AtomicU64::new(0);
        let read = move |offset: u64, octets: &mut [u8]| {
            octets.fill((offset >> 16) as u8);
            fault(count.fetch_add(1, Ordering::Relaxed), offset, octets)
        };
        Disk { name: "sdx".into(), size: 8 << 20, read: Box::new(read), writes: Box::new(writes) }
    }

    #[test]
    fn a_good_disk_is_told_with_its_rates() {
        let words = run(vec![disk(|| Some(1), |_, _, _| Ok(()))], &bound(20)).expect("good");
        assert!(words.contains(" read, and no disk written: sdx "), "{words}");
        assert_eq!(run(Vec::new(), &bound(20)), Ok("there is no disk".into()));
    }

    #[test]
    fn an_error_is_told_with_its_place() {
        let broken = |_, offset, _: &mut [u8]| match offset {
            0x30_0000 => Err(io::Error::from_raw_os_error(5)),
            _ => Ok(()),
        };
        // So that only the fault ends it.
        let good = disk(|| Some(1), |_, _, _| Ok(()));
        let sentence = run(vec![disk(|| Some(1), broken), good], &bound(3_600_000)).expect_err("broken");
        assert!(
            sentence.starts_with("sdx: 1048576 octets at 3145728 cannot be read: Input/output"),
            "{sentence}"
        );
    }

    #[test]
    fn what_differs_the_second_time_is_found_unless_somebody_wrote() {
        let fickle = |number, _, octets: &mut [u8]| {
            octets[700] ^= u8::from(number == 100);
            Ok(())
        };
        let sentence = run(vec![disk(|| Some(1), fickle)], &bound(3_600_000)).expect_err("fickle");
        assert!(
            sentence.ends_with("were read twice and differ, and nothing was written meanwhile"),
            "{sentence}"
        );
        let ended = AtomicU64::new(0);
        let busy = move || Some(ended.fetch_add(1, Ordering::Relaxed));
        assert!(run(vec![disk(busy, fickle)], &bound(50)).is_ok(), "somebody wrote");
        assert!(run(vec![disk(|| None, fickle)], &bound(50)).is_ok(), "nobody knows");
    }

    #[test]
    fn a_file_is_read_as_a_disk_is() {
        let path = std::env::temp_dir().join(format!("zw-agent-{}-burn-in-disk", std::process::id()));
        fs::write(&path, vec![7; 3 << 20]).expect("written");
        let file = opened(&path).expect("opened");
        let read = Box::new(move |offset, octets: &mut [u8]| file.read_exact_at(octets, offset));
        let disk = Disk { name: "file".into(), size: 3 << 20, read, writes: Box::new(|| Some(0)) };
        let read = through(&disk, &bound(50), 1);
        fs::remove_file(&path).expect("removed");
        assert!(read.expect("read").octets > 0);
    }

    #[test]
    fn a_disk_that_hangs_does_not_hold_what_was_called_off() {
        let stop = Arc::new(AtomicBool::new(false));
        let bound = Bound::new(&stop, Instant::now() + Duration::from_secs(3600));
        let (release, held) = mpsc::channel::<()>();
        let hangs = move |_, _, _: &mut [u8]| {
            stop.store(true, Ordering::Relaxed);
            // Until the test is over.
            let _ = held.recv();
            Ok(())
        };
        assert_eq!(run(vec![disk(|| Some(1), hangs)], &bound), Ok("there is no disk".into()));
        drop(release);
    }
}
