//! Octets as text: digests, mostly.

/// `5f2c`: two digits for each octet.
pub fn hexadecimal(octets: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 15)]);
    octets.iter().flat_map(|octet| [digit(octet >> 4), digit(*octet)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_octet_has_two_digits() {
        assert_eq!(hexadecimal(&[0x00, 0x0f, 0x5f, 0xff]), "000f5fff");
        assert_eq!(hexadecimal(&[]), "");
    }
}
