//! A calculation with a known result, again and again on every CPU at once.
//!
//! Its parts use what a CPU has: SHA-256, by its own instructions where there are some, multiplications and shifts, and
//! fractions by operations whose result IEEE 754 fixes to the last bit. The results stand here, so that no CPU of the machine
//! is believed more than another.

use super::load::{self, Bound};
use sha2::{Digest, Sha256};
use std::hint::black_box;
use std::sync::Arc;

/// What [`calculate`] gives for each of its variants, as another implementation (in Python) gave them too.
const RIGHT: [u64; 8] = [
    0xcbba_29f8_8555_4a86,
    0x01ad_bd34_16e0_758a,
    0xdc07_8325_3a70_73e5,
    0xb0d1_ed9a_d365_c38e,
    0x4b19_8307_1058_925a,
    0x708c_c5bf_ef16_95c0,
    0xba74_451a_fb47_caba,
    0x7a45_65b2_89ce_765f,
];

/// Links of the chain of digests in one calculation.
const LINKS: usize = 512;
/// Steps of the other arithmetic in one calculation.
const STEPS: u64 = 8192;

/// Gives the result of a variant on a CPU.
pub(super) type Calculate = dyn Fn(usize, usize) -> u64 + Send + Sync;

/// What a CPU does when nothing is put in its place.
pub(super) fn honest() -> Arc<Calculate> {
    Arc::new(|_, variant| calculate(variant))
}

/// Calculates on each of these until it is over.
///
/// # Errors
/// A CPU that calculated something else, a sentence.
pub(super) fn run(cpus: &[usize], bound: &Bound, calculate: &Arc<Calculate>) -> Result<String, String> {
    let mut threads = Vec::with_capacity(cpus.len());
    for cpu in cpus.iter().copied() {
        let (bound, calculate) = (bound.clone(), Arc::clone(calculate));
        threads.push(load::begin(Some(cpu), move || bound.tell(on(cpu, &bound, &*calculate)))?);
    }
    let rounds: u64 = load::all(threads)?.into_iter().sum();
    let count = match cpus.len() {
        1 => "1 CPU".to_owned(),
        many => format!("{many} CPUs"),
    };
    Ok(format!("{count}, {rounds} calculations, each right"))
}

fn on(cpu: usize, bound: &Bound, calculate: &Calculate) -> Result<u64, String> {
    let mut rounds = 0_u64;
    while rounds == 0 && !bound.is_stopped() || !bound.is_over() {
        for (variant, right) in RIGHT.into_iter().enumerate() {
            let result = calculate(cpu, black_box(variant));
            rounds += 1;
            bound.count(1);
            if result != right {
                return Err(format!(
                    "CPU {cpu} calculated {result:#018x} where {right:#018x} is right, in its calculation {rounds}"
                ));
            }
        }
    }
    Ok(rounds)
}

/// A number that depends on each bit of each step.
fn calculate(variant: usize) -> u64 {
    let mut digest = [variant as u8; 32];
    for _ in 0..LINKS {
        digest = Sha256::digest(digest).into();
    }
    let mut whole = digest.chunks_exact(8).fold(variant as u64, |word, octets| {
        octets.iter().fold(word.rotate_left(7), |word, octet| word.rotate_left(8) ^ u64::from(*octet))
    });
    let mut fraction = 1.0_f64 + variant as f64;
    for step in 1..=STEPS {
        whole = load::mixed(whole ^ step);
        // 52 random bits between 1 and 2, so that nothing grows or vanishes.
        let other = f64::from_bits(0x3ff0_0000_0000_0000 | whole >> 12);
        fraction = ((fraction * other + 1.0 / other).sqrt() + other) / 2.0;
        whole ^= fraction.to_bits().rotate_left(17);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::time::{Duration, Instant};

    fn bound(milliseconds: u64) -> Bound {
        Bound::new(&Arc::new(AtomicBool::new(false)), Instant::now() + Duration::from_millis(milliseconds))
    }

    #[test]
    fn the_results_are_those_that_stand_here() {
        let results: Vec<_> = (0..RIGHT.len()).map(calculate).collect();
        assert_eq!(results, RIGHT, "{results:#x?}");
    }

    #[test]
    fn every_cpu_calculates() {
        let words = run(&load::cpus(), &bound(1), &honest()).expect("right");
        assert!(words.ends_with("calculations, each right"), "{words}");
    }

    #[test]
    fn a_cpu_that_is_wrong_once_is_named() {
        let wrong: Arc<Calculate> =
            Arc::new(|cpu, variant| calculate(variant) ^ if cpu == 3 && variant == 5 { 1 << 40 } else { 0 });
        // So that only the fault ends it.
        let sentence = run(&[0, 3], &bound(3_600_000), &wrong).expect_err("wrong");
        assert!(sentence.starts_with("CPU 3 calculated 0x"), "{sentence}");
        assert!(sentence.ends_with("in its calculation 6"), "{sentence}");
    }

    #[test]
    fn it_ends_when_it_is_called_off() {
        let stop = Arc::new(AtomicBool::new(true));
        let bound = Bound::new(&stop, Instant::now() + Duration::from_secs(3600));
        assert_eq!(run(&[0], &bound, &honest()), Ok("1 CPU, 0 calculations, each right".into()));
    }
}
