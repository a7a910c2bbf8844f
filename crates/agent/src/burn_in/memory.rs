//! Most of the free memory, written with patterns, read again and compared.
//!
//! Each thread has its own part, from the memory next to its CPU, and writes all of it before it reads, so that what is read
//! comes from memory and not from a cache. What other programs need stays free: memory is taken in pieces while the kernel
//! says that there is more than the reserve, and given back piece by piece when it says that there is less.

use super::load::{self, Bound, mixed};
use crate::trust;
use model::size;
use rustix::mm::{MlockAllFlags, mlockall, munlockall};
use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What a thread takes at a time, in words of 8 octets: 64 MiB.
const PIECE: usize = 8 << 20;
/// What stays free: a sixteenth, within these.
const RESERVE_MIN: u64 = 256 << 20;
const RESERVE_MAX: u64 = 4 << 30;
/// Words that are compared at a time.
const BLOCK: usize = 512;

/// How much memory is tried out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amount {
    /// Octets, all threads together.
    pub octets: u64,
    /// What is to stay free, in octets; less than half of it gives memory back.
    pub reserve: u64,
    /// Words of a piece.
    pub piece: usize,
}

impl Amount {
    /// Most of what is free now.
    pub(super) fn most() -> Self {
        let free = free().unwrap_or(0);
        let reserve = (free / 16).clamp(RESERVE_MIN, RESERVE_MAX).min(free / 2);
        Self { octets: free - reserve, reserve, piece: PIECE }
    }

    /// So much, in pieces of 1 MiB.
    pub(super) fn little(octets: u64) -> Self {
        Self { octets, reserve: 0, piece: 1 << 17 }
    }
}

/// What the kernel can give without taking it from a program, in octets; `None` if it does not say.
fn free() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// What is written; the word at each place follows from the place.
#[derive(Clone, Copy, Debug)]
enum Pattern {
    /// One bit, in another place in each word.
    Walking,
    /// The word's own offset: an address line that is stuck shows as another word's.
    Address,
    /// Noise, another in each round.
    Noise(u64),
}

impl Pattern {
    fn name(self) -> &'static str {
        match self {
            Self::Walking => "walking bit",
            Self::Address => "address",
            Self::Noise(_) => "noise",
        }
    }

    fn word(self, place: u64) -> u64 {
        match self {
            Self::Walking => 1 << (place % 64),
            Self::Address => place * 8,
            Self::Noise(seed) => mixed(seed ^ place),
        }
    }
}

/// Between writing and reading: what the memory does on its own.
pub(super) type Meddle = dyn Fn(&mut [Vec<u64>]) + Send + Sync;

/// Good memory does nothing.
pub(super) fn honest() -> Arc<Meddle> {
    Arc::new(|_| {})
}

/// Writes and reads until it is over.
///
/// # Errors
/// A word that is another than was written, a sentence.
pub(super) fn run(
    cpus: &[usize],
    amount: Amount,
    bound: &Bound,
    meddle: &Arc<Meddle>,
) -> Result<String, String> {
    let left = Arc::new(AtomicU64::new(amount.octets));
    let is_locked = Arc::new(AtomicBool::new(true));
    let mut threads = Vec::with_capacity(cpus.len());
    for cpu in cpus.iter().copied() {
        let (bound, meddle, left, is_locked) =
            (bound.clone(), Arc::clone(meddle), Arc::clone(&left), Arc::clone(&is_locked));
        threads.push(load::begin(Some(cpu), move || {
            let mut pieces = taken(amount, &left, &bound);
            // Without the right to, or beyond a limit, it stays unlocked; then some of it may go to a swap space.
            if mlockall(MlockAllFlags::CURRENT | MlockAllFlags::ONFAULT).is_err() {
                is_locked.store(false, Ordering::Relaxed);
            }
            let octets = octets(&pieces);
            bound.tell(through(cpu, &mut pieces, amount, &bound, &*meddle)).map(|rounds| (octets, rounds))
        })?);
    }
    let ended = load::all(threads);
    let _ = munlockall();
    let parts = ended?;
    let octets = parts.iter().map(|(octets, _)| octets).sum();
    let compared: u64 = parts.iter().map(|(_, compared)| compared).sum();
    if octets == 0 && !bound.is_stopped() {
        return Err("there is no memory free that could be tried out".to_owned());
    }
    let locked = if is_locked.load(Ordering::Relaxed) { ", locked" } else { "" };
    Ok(format!("{}{locked}; {} written, read and compared", size::binary(octets), size::decimal(compared)))
}

fn octets(pieces: &[Vec<u64>]) -> u64 {
    pieces.iter().map(|piece| piece.len() as u64 * 8).sum()
}

/// A thread's part: piece after piece while there is some for everybody.
fn taken(amount: Amount, left: &AtomicU64, bound: &Bound) -> Vec<Vec<u64>> {
    let mut pieces = Vec::new();
    let each = amount.piece as u64 * 8;
    let take = |left: u64| left.checked_sub(each);
    while (pieces.is_empty() || !bound.is_over())
        && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
        && free().is_none_or(|free| free > amount.reserve + each)
    {
        let mut piece: Vec<u64> = Vec::new();
        if piece.try_reserve_exact(amount.piece).is_err() {
            break;
        }
        // Written, so that it is really there.
        piece.resize(amount.piece, !0);
        pieces.push(piece);
    }
    pieces
}

/// All patterns, round after round; how many octets were compared.
fn through(
    cpu: usize,
    pieces: &mut Vec<Vec<u64>>,
    amount: Amount,
    bound: &Bound,
    meddle: &Meddle,
) -> Result<u64, String> {
    let mut compared = 0;
    // Once at least, however little time there is.
    while (compared == 0 || !bound.is_over()) && !bound.is_stopped() && !pieces.is_empty() {
        for pattern in [Pattern::Walking, Pattern::Address, Pattern::Noise(trust::random())] {
            // Each bit is to be both.
            for turn in [0, !0] {
                compared += once(cpu, pieces, amount, pattern, turn, bound, meddle)?;
            }
        }
    }
    Ok(compared)
}

/// Writes a pattern, each bit turned by `turn`, and compares; what there was no more time to write is left out.
fn once(
    cpu: usize,
    pieces: &mut Vec<Vec<u64>>,
    amount: Amount,
    pattern: Pattern,
    turn: u64,
    bound: &Bound,
    meddle: &Meddle,
) -> Result<u64, String> {
    let mut written = 0;
    while written < pieces.len() && (written == 0 || !bound.is_over()) {
        if free().is_some_and(|free| free < amount.reserve / 2) {
            // Somebody else needs it.
            pieces.pop();
            continue;
        }
        let from = (written * amount.piece) as u64;
        for (word, place) in pieces[written].iter_mut().zip(from..) {
            *word = pattern.word(place) ^ turn;
        }
        bound.count(amount.piece as u64 * 8);
        written += 1;
    }
    meddle(black_box(&mut pieces[..written]));
    let mut compared = 0;
    for (number, piece) in pieces[..written].iter().enumerate() {
        if bound.is_stopped() {
            break;
        }
        // Nothing that was written is known to the compiler from here on.
        let piece: &[u64] = black_box(piece);
        let from = (number * amount.piece) as u64;
        if let Some((place, found)) = differing(piece, from, pattern, turn) {
            let again = black_box(piece)[(place - from) as usize];
            let right = pattern.word(place) ^ turn;
            return Err(format!(
                "at offset {:#x} of the {} of CPU {cpu} {right:#018x} was written ({}) and {found:#018x} read, then {again:#018x}",
                place * 8,
                size::binary(octets(pieces)),
                pattern.name(),
            ));
        }
        compared += piece.len() as u64 * 8;
        bound.count(piece.len() as u64 * 8);
    }
    Ok(compared)
}

/// The first word that is another than was written: its place and what it is.
fn differing(piece: &[u64], from: u64, pattern: Pattern, turn: u64) -> Option<(u64, u64)> {
    for (block, first) in piece.chunks(BLOCK).zip((from..).step_by(BLOCK)) {
        // Without a branch for each word, which is several times as fast.
        let differs = block
            .iter()
            .zip(first..)
            .fold(0, |differs, (word, place)| differs | (word ^ pattern.word(place) ^ turn));
        if differs != 0 {
            return block
                .iter()
                .zip(first..)
                .find(|(word, place)| **word != pattern.word(*place) ^ turn)
                .map(|(word, place)| (place, *word));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    const LITTLE: Amount = Amount { octets: 4 << 16, reserve: 0, piece: 1 << 13 };

    fn bound(milliseconds: u64) -> Bound {
        Bound::new(&Arc::new(AtomicBool::new(false)), Instant::now() + Duration::from_millis(milliseconds))
    }

    #[test]
    fn good_memory_passes() {
        let words = run(&[0, 1], LITTLE, &bound(50), &honest()).expect("good");
        assert!(words.contains(" KiB") && words.ends_with("B written, read and compared"), "{words}");
    }

    #[test]
    fn a_bit_that_flips_is_found_wherever_it_is() {
        for (piece, word, bit) in [(0, 0, 0), (3, 8191, 63), (2, 512, 17)] {
            let meddle: Arc<Meddle> = Arc::new(move |pieces| pieces[piece][word] ^= 1 << bit);
            // So that only the fault ends it.
            let sentence = run(&[0], LITTLE, &bound(3_600_000), &meddle).expect_err("a fault");
            let place = format!("at offset {:#x} of the 256 KiB of CPU 0 ", (piece * 8192 + word) * 8);
            assert!(sentence.starts_with(&place), "{sentence}");
            let words: Vec<_> = sentence
                .split(' ')
                .filter_map(|word| u64::from_str_radix(word.trim_matches(',').strip_prefix("0x")?, 16).ok())
                .collect();
            assert_eq!(words[1] ^ words[2], 1 << bit, "{sentence}");
        }
    }

    #[test]
    fn every_pattern_finds_a_bit_that_is_stuck() {
        for pattern in [Pattern::Walking, Pattern::Address, Pattern::Noise(7)] {
            for stuck in [0, !0] {
                let mut pieces = vec![vec![0; 1 << 13]; 4];
                let meddle = move |pieces: &mut [Vec<u64>]| {
                    let word = &mut pieces[1][77];
                    *word = *word & !(1 << 4) | stuck & 1 << 4;
                };
                let found = [0, !0].map(|turn| {
                    once(0, &mut pieces, LITTLE, pattern, turn, &bound(3_600_000), &meddle).is_err()
                });
                assert_eq!(
                    found.iter().filter(|found| **found).count(),
                    1,
                    "{pattern:?} {stuck:x}: {found:?}"
                );
            }
        }
    }

    #[test]
    fn an_address_line_that_is_stuck_is_found() {
        // Two places are one: what is written to the second is read from the first.
        let meddle = |pieces: &mut [Vec<u64>]| pieces[0][0] = pieces[0][4096];
        let mut pieces = vec![vec![0; 1 << 13]; 4];
        let found = once(0, &mut pieces, LITTLE, Pattern::Address, 0, &bound(3_600_000), &meddle);
        assert!(found.is_err_and(|sentence| sentence.contains("(address) and 0x0000000000008000 read")));
    }

    #[test]
    fn what_others_need_is_given_back() {
        let mut pieces = vec![vec![0; 1 << 13]; 4];
        let amount = Amount { reserve: u64::MAX, ..LITTLE };
        let compared = once(0, &mut pieces, amount, Pattern::Walking, 0, &bound(3_600_000), &|_| {});
        assert_eq!((compared, pieces.len()), (Ok(0), 0));
    }

    #[test]
    fn most_leaves_a_reserve() {
        let Amount { octets, reserve, .. } = Amount::most();
        assert!(reserve > 0 && reserve <= RESERVE_MAX && octets > 0, "{octets} {reserve}");
    }
}
