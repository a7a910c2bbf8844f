//! Inputs with a fixed seed: samples as they are, spoiled, cut, mixed, with pieces put in, and noise.
//!
//! The tests that are the twins of the fuzz targets include this file. In: samples of what a parser should take, and
//! pieces that mean something to it. Out: the same inputs on every run and every machine.

/// Calls `check` with each sample, then with `rounds` inputs made of them.
pub(crate) fn spoil(samples: &[Vec<u8>], pieces: &[&[u8]], rounds: usize, mut check: impl FnMut(&[u8])) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    // xorshift64*.
    let mut chance = |limit: usize| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as usize % limit.max(1)
    };
    for sample in samples {
        check(sample);
    }
    for round in 0..rounds {
        let mut bytes = samples[round % samples.len()].clone();
        match round / samples.len() % 5 {
            0 => {
                for _ in 0..=chance(8) {
                    let at = chance(bytes.len());
                    if let Some(octet) = bytes.get_mut(at) {
                        *octet = chance(256) as u8;
                    }
                }
            }
            1 => {
                let at = chance(bytes.len());
                if let Some(octet) = bytes.get_mut(at) {
                    *octet ^= 1 << chance(8);
                }
                bytes.truncate(bytes.len() - chance(bytes.len()) * chance(2));
            }
            2 => {
                let other = &samples[chance(samples.len())];
                bytes.truncate(chance(bytes.len()));
                bytes.extend_from_slice(&other[chance(other.len())..]);
            }
            3 => {
                for _ in 0..=chance(4) {
                    let start = chance(bytes.len() + 1);
                    let end = (start + chance(24) * chance(2)).min(bytes.len());
                    let piece = pieces.get(chance(pieces.len())).copied().unwrap_or_default();
                    bytes.splice(start..end, piece.iter().copied());
                }
            }
            _ => bytes = (0..chance(80)).map(|_| chance(256) as u8).collect(),
        }
        check(&bytes);
    }
}
