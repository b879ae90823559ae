//! A member of the archive: a tar header, and the PAX records that hold what does not fit into one.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nix::sys::stat::{SFlag, major, minor};
use tar::{EntryType, Header};

use super::state::State;
use crate::root::{Attributes, Timestamp};

/// What precedes the name of an extended attribute, as in GNU tar.
const XATTR: &str = "SCHILY.xattr.";
/// Nanoseconds in a second.
const SECOND: i128 = 1_000_000_000;

/// The records of a PAX header, by keyword.
pub(super) type Records = BTreeMap<String, Vec<u8>>;

/// What precedes the content of a member.
pub(super) struct Member {
    pub(super) header: Header,
    pub(super) records: Records,
}

impl Member {
    /// The header of what was at a path, of which the archive holds this many bytes.
    pub(super) fn of(
        path: &Path,
        state: &State,
        attributes: &Attributes,
        length: u64,
    ) -> io::Result<Self> {
        let mut header = Header::new_ustar();
        let mut records = Records::new();
        let name = archive_name(path, *state == State::Directory);
        if let State::Sparse { size, .. } = state {
            for (keyword, value) in sparse_records(*size) {
                records.insert(keyword.into(), value);
            }
            records.insert("GNU.sparse.name".into(), name.clone());
        }
        if !fit(&mut header.as_old_mut().name, &name) {
            records.insert("path".into(), name);
        }
        header.set_entry_type(entry_type(state));
        header.set_size(length);
        match state {
            State::Link { target } => {
                let target = target.as_os_str().as_bytes();
                if !fit(&mut header.as_old_mut().linkname, target) {
                    records.insert("linkpath".into(), target.to_vec());
                }
            }
            State::Special { device, .. } => {
                let number = |part: u64| u32::try_from(part).map_err(io::Error::other);
                header.set_device_major(number(major(*device))?)?;
                header.set_device_minor(number(minor(*device))?)?;
            }
            _ => {}
        }
        header.set_mode(attributes.mode);
        header.set_uid(attributes.uid.into());
        header.set_gid(attributes.gid.into());
        header.set_mtime(u64::try_from(attributes.modified.seconds).unwrap_or(0));
        header.set_cksum();
        records.insert("atime".into(), decimal(attributes.accessed).into_bytes());
        records.insert("mtime".into(), decimal(attributes.modified).into_bytes());
        for (name, value) in &attributes.xattrs {
            let name = name.to_str().ok_or_else(|| {
                io::Error::other(format!("the name {} is no text", name.display()))
            })?;
            // As GNU tar: a keyword ends at its first `=`.
            let name = name.replace('%', "%25").replace('=', "%3D");
            records.insert(format!("{XATTR}{name}"), value.clone());
        }
        Ok(Self { header, records })
    }

    /// Whether this is the header of a path in such a state.
    pub(super) fn is_of(&self, path: &Path, state: &State) -> bool {
        let name = match self.records.get("path") {
            Some(name) => name.clone(),
            None => self.header.path_bytes().into_owned(),
        };
        let is_sized = match state {
            State::File { size, .. } => self.header.entry_size().ok() == Some(*size),
            State::Sparse { size, .. } => sparse_records(*size)
                .iter()
                .all(|(keyword, value)| self.records.get(*keyword) == Some(value)),
            _ => self.header.entry_size().ok() == Some(0),
        };
        name == archive_name(path, *state == State::Directory)
            && self.header.entry_type() == entry_type(state)
            && is_sized
    }

    /// What the path had besides its content.
    pub(super) fn attributes(&self) -> Option<Attributes> {
        let id = |number: io::Result<u64>| u32::try_from(number.ok()?).ok();
        let time = |keyword: &str| timestamp(self.records.get(keyword)?);
        let mut xattrs = BTreeMap::new();
        for (keyword, value) in &self.records {
            if let Some(name) = keyword.strip_prefix(XATTR) {
                let name = name.replace("%3D", "=").replace("%25", "%");
                xattrs.insert(OsString::from(name), value.clone());
            }
        }
        Some(Attributes {
            uid: id(self.header.uid())?,
            gid: id(self.header.gid())?,
            mode: self.header.mode().ok()? & 0o7777,
            accessed: time("atime")?,
            modified: time("mtime")?,
            xattrs,
        })
    }
}

/// Reads the content of a PAX header. Values may hold anything, line ends too.
pub(super) fn parse_records(mut bytes: &[u8]) -> Option<Records> {
    let mut records = Records::new();
    while !bytes.is_empty() {
        let blank = bytes.iter().position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(&bytes[..blank]).ok()?.parse().ok()?;
        let (record, rest) = bytes.split_at_checked(length)?;
        let record = record.get(blank + 1..)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|byte| *byte == b'=')?;
        let keyword = std::str::from_utf8(&record[..equals]).ok()?;
        records.insert(keyword.to_owned(), record[equals + 1..].to_vec());
        bytes = rest;
    }
    Some(records)
}

fn entry_type(state: &State) -> EntryType {
    match state {
        State::Directory => EntryType::Directory,
        State::Link { .. } => EntryType::Symlink,
        State::Special { format, .. } => match SFlag::from_bits_truncate(*format) & SFlag::S_IFMT {
            SFlag::S_IFBLK => EntryType::Block,
            SFlag::S_IFCHR => EntryType::Char,
            _ => EntryType::Fifo,
        },
        State::File { .. } | State::Sparse { .. } | State::Absent | State::Any => {
            EntryType::Regular
        }
    }
}

/// How GNU tar marks a file of this size whose data follows a map.
fn sparse_records(size: u64) -> [(&'static str, Vec<u8>); 3] {
    [
        ("GNU.sparse.major", b"1".to_vec()),
        ("GNU.sparse.minor", b"0".to_vec()),
        ("GNU.sparse.realsize", size.to_string().into_bytes()),
    ]
}

/// The path without its leading `/`; `.` is the root, and a directory ends in `/`.
fn archive_name(path: &Path, is_directory: bool) -> Vec<u8> {
    let relative = path.strip_prefix("/").unwrap_or(path);
    let mut name = PathBuf::from(relative).into_os_string().into_vec();
    if name.is_empty() {
        name.push(b'.');
    }
    if is_directory {
        name.push(b'/');
    }
    name
}

/// Writes a name into a field of the header; whether it is there whole and means the same to every
/// program.
fn fit(field: &mut [u8], name: &[u8]) -> bool {
    let length = name.len().min(field.len());
    field[..length].copy_from_slice(&name[..length]);
    length == name.len() && name.is_ascii()
}

fn decimal(time: Timestamp) -> String {
    let total = i128::from(time.seconds) * SECOND + i128::from(time.nanoseconds);
    let sign = if total < 0 { "-" } else { "" };
    let total = total.abs();
    format!("{sign}{}.{:09}", total / SECOND, total % SECOND)
}

fn timestamp(decimal: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(decimal).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = format!("{fraction:0<9}");
    let digits = |text: &str| {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| text.parse::<i64>().ok()).flatten()
    };
    let seconds = i128::from(digits(whole.strip_prefix('-').unwrap_or(whole))?);
    let mut total = seconds * SECOND + i128::from(digits(fraction.get(..9)?)?);
    if whole.starts_with('-') {
        total = -total;
    }
    Some(Timestamp {
        seconds: i64::try_from(total.div_euclid(SECOND)).ok()?,
        nanoseconds: i64::try_from(total.rem_euclid(SECOND)).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back() {
        for (seconds, nanoseconds, text) in [
            (0, 0, "0.000000000"),
            (1_234_567_890, 987_654_321, "1234567890.987654321"),
            (-1, 500_000_000, "-0.500000000"),
            (-2, 0, "-2.000000000"),
        ] {
            let time = Timestamp {
                seconds,
                nanoseconds,
            };
            assert_eq!(decimal(time), text);
            assert_eq!(timestamp(text.as_bytes()), Some(time));
        }
        let half = Timestamp {
            seconds: 5,
            nanoseconds: 500_000_000,
        };
        assert_eq!(timestamp(b"5.5"), Some(half));
        for damaged in ["", "x", "1.x", "1.-5", "--1", "99999999999999999999"] {
            assert_eq!(timestamp(damaged.as_bytes()), None, "{damaged}");
        }
    }

    #[test]
    fn records_hold_anything() {
        let bytes = b"13 path=a/b\xff\n14 x.y=a\nb\0=c\n";
        let records = parse_records(bytes).unwrap();
        assert_eq!(records["path"], b"a/b\xff");
        assert_eq!(records["x.y"], b"a\nb\0=c");
        for damaged in [&b"99 a=b\n"[..], b"6 a=b", b"5 a=b\n", b"x", b"3 \n", b"1 "] {
            assert_eq!(parse_records(damaged), None, "{damaged:?}");
        }
    }
}
