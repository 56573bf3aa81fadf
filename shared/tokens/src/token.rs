//! The text of a token, and its hash.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;

/// What every token of ours begins with, so that scanners of source code recognise one that leaked.
const PREFIX: &str = "granary_";
const RANDOM_BYTES: usize = 32;
const HASH_BYTES: usize = 32;
/// A shorter text is refused unread: it could be guessed.
pub const PRESENTED_BYTES_MIN: usize = 32;

/// A new token: `granary_` and 43 characters, which are 32 random bytes in base64url.
pub fn new_token() -> SecretString {
    let bytes: [u8; RANDOM_BYTES] = rand::random();
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)).into()
}

/// The SHA-256 of a token. Tokens are random, so it needs neither salt nor a slow function.
#[derive(Clone, Copy)]
pub struct TokenHash([u8; HASH_BYTES]);

impl TokenHash {
    /// The hash of a token's text.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// Reads 64 hexadecimal digits.
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 2 * HASH_BYTES {
            return None;
        }
        let mut bytes = [0; HASH_BYTES];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let [high, low] = [pair[0], pair[1]].map(|digit| char::from(digit).to_digit(16));
            *byte = u8::try_from(high? * 16 + low?).ok()?;
        }
        Some(Self(bytes))
    }

    /// 64 hexadecimal digits in lower case.
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether both are of the same token. The time that it takes says nothing about either.
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn a_new_token_has_its_prefix_and_32_random_bytes() {
        let (one, other) = (new_token(), new_token());
        let text = one.expose_secret();
        let random = text.strip_prefix("granary_").unwrap();
        assert_eq!(random.len(), 43);
        assert_eq!(URL_SAFE_NO_PAD.decode(random).unwrap().len(), 32);
        assert_ne!(text, other.expose_secret());
        assert!(text.len() >= PRESENTED_BYTES_MIN);
    }

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        // printf abc | sha256sum
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(TokenHash::of("abc").to_hex(), abc);
        assert!(
            TokenHash::from_hex(&abc.to_uppercase())
                .unwrap()
                .is(&TokenHash::of("abc"))
        );
        assert!(!TokenHash::of("abc").is(&TokenHash::of("abe")));
        for wrong in [
            &abc[1..],
            "",
            &format!("{abc}0"),
            &abc.replace('b', "g"),
            &"é".repeat(32),
        ] {
            assert!(TokenHash::from_hex(wrong).is_none(), "{wrong}");
        }
    }
}
