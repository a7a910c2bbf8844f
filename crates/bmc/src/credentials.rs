//! A user and a password that nobody sees: neither `Debug` nor an error shows them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How long a password is. IPMI 1.5 keeps 16 octets and IPMI 2.0 keeps 20 (specification 2.0 §22.30), and BMCs that share
/// one password between IPMI and Redfish cut longer ones or refuse them.
const PASSWORD_LENGTH: usize = 16;
const UPPER: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZ";
const LOWER: &[u8] = b"abcdefghijkmnpqrstuvwxyz";
const DIGITS: &[u8] = b"23456789";
/// Those that every BMC's rules know of and no shell or URL takes for something else.
const MARKS: &[u8] = b"-_.";

/// Who asks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Credentials {
    /// Login name.
    pub user: String,
    /// Password.
    pub password: Password,
}

/// A password. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(hidden)")
    }
}

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Password {
    /// A password from random octets: 16 characters, upper and lower case, digits and marks all among them, a letter first;
    /// some 90 bits.
    pub fn generate(random: &[u8; 32]) -> Self {
        let classes = [UPPER, LOWER, DIGITS, MARKS];
        let all = classes.concat();
        let pick = |from: &[u8], octet: u8| from[usize::from(octet) % from.len()];
        let mut characters: Vec<u8> =
            random.iter().take(PASSWORD_LENGTH).map(|octet| pick(&all, *octet)).collect();
        // One of each class, at four places that are drawn too; the first place stays a letter.
        let rest = &random[PASSWORD_LENGTH..];
        characters[0] = pick(&[UPPER, LOWER].concat(), rest[0]);
        let mut places: Vec<usize> = (1..PASSWORD_LENGTH).collect();
        for (number, class) in classes.into_iter().enumerate() {
            let place = places.swap_remove(usize::from(rest[1 + number]) % places.len());
            characters[place] = pick(class, rest[5 + number]);
        }
        Self(characters.into_iter().map(char::from).collect())
    }

    /// The password itself, for the one request that carries it.
    pub(crate) fn shown(&self) -> &str {
        &self.0
    }
}

impl Credentials {
    /// The value of an `Authorization` header (RFC 7617).
    pub(crate) fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.user, self.password.shown())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authorization_is_as_in_rfc_7617() {
        let credentials = Credentials { user: "Aladdin".into(), password: "open sesame".to_owned().into() };
        assert_eq!(credentials.basic(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }

    #[test]
    fn every_password_has_every_class_and_no_two_are_alike() {
        let mut seen = std::collections::HashSet::new();
        for number in 0..2_000u32 {
            let octets = |salt: u32| {
                use sha2::Digest;
                let digest: [u8; 32] = sha2::Sha256::digest((number ^ salt << 16).to_le_bytes()).into();
                digest
            };
            let password = Password::generate(&octets(1));
            let text = password.shown();
            assert_eq!(text.len(), PASSWORD_LENGTH);
            assert!(text.starts_with(|c: char| c.is_ascii_alphabetic()), "{text}");
            for class in [UPPER, LOWER, DIGITS, MARKS] {
                assert!(text.bytes().any(|octet| class.contains(&octet)), "{text}");
            }
            assert!(seen.insert(text.to_owned()));
        }
        // The worst that a generator can do.
        for octet in [0, 255] {
            let text = Password::generate(&[octet; 32]);
            assert!(
                [UPPER, LOWER, DIGITS, MARKS]
                    .iter()
                    .all(|class| text.shown().bytes().any(|o| class.contains(&o)))
            );
        }
    }

    #[test]
    fn nothing_shows_a_password() {
        let credentials = Credentials { user: "root".into(), password: "calvin".to_owned().into() };
        assert!(!format!("{credentials:?}").contains("calvin"));
    }
}
