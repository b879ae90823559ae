//! Paths in JSON: any bytes, as text that loses nothing.
//!
//! What is not UTF-8, control characters and `%` itself are written as `%` and two hexadecimal
//! digits.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

/// For `serde(with)`.
pub(super) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&escape(path))
}

/// For `serde(with)`.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let text = String::deserialize(deserializer)?;
    unescape(&text).ok_or_else(|| D::Error::custom(format!("`{text}` is no name")))
}

fn escape(path: &Path) -> String {
    let mut text = String::new();
    let byte = |text: &mut String, byte: u8| {
        // Writing to a string cannot fail.
        write!(text, "%{byte:02X}").ok();
    };
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        for character in chunk.valid().chars() {
            match u8::try_from(character) {
                Ok(ascii) if ascii == b'%' || ascii.is_ascii_control() => byte(&mut text, ascii),
                _ => text.push(character),
            }
        }
        for invalid in chunk.invalid() {
            byte(&mut text, *invalid);
        }
    }
    text
}

fn unescape(text: &str) -> Option<PathBuf> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(part.get(2..)?.as_bytes());
    }
    Some(OsString::from_vec(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_come_back() {
        for (bytes, text) in [
            (&b"/etc/fstab"[..], "/etc/fstab"),
            ("/etc/é".as_bytes(), "/etc/é"),
            (b"/a%20\n\x85\xff/b", "/a%2520%0A%85%FF/b"),
        ] {
            let path = PathBuf::from(OsString::from_vec(bytes.to_vec()));
            assert_eq!(escape(&path), text);
            assert_eq!(unescape(text), Some(path));
        }
        for damaged in ["%", "%4", "%zz", "%é"] {
            assert_eq!(unescape(damaged), None, "{damaged}");
        }
    }
}
