//! The members of a tar archive: an OVA is one.
//!
//! POSIX.1 `pax`, "ustar Interchange Format" and "pax Interchange Format"; the long names and
//! numbers of GNU tar. Nothing is unpacked: a member is a window of the archive.

use byoi_agent::text::printable;

use super::fault::Fault;
use super::window::{Window, field};

/// The unit of an archive, in bytes.
const BLOCK: u64 = 512;
/// The most members of an archive.
const MAX_MEMBERS: usize = 4096;
/// The longest header that is read for the sake of the next one, in bytes.
const MAX_EXTENDED: u64 = 64 * 1024;

/// A regular file in an archive.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// Its name, for sentences only.
    pub(super) name: String,
    /// Its bytes.
    pub(super) window: Window,
}

impl Member {
    /// Its name without what a terminal might take for a command.
    pub(super) fn printable_name(&self) -> String {
        printable(&self.name)
    }
}

/// What extended headers say of the next member.
#[derive(Debug, Default)]
struct Extended {
    name: Option<String>,
    size: Option<u64>,
}

/// The regular files of an archive, in their order.
pub(super) fn members(archive: &Window) -> Result<Vec<Member>, Fault> {
    let mut members = Vec::new();
    let mut extended = Extended::default();
    let mut at = 0;
    // An archive ends with a block of zeros, or where the file ends.
    while at < archive.len() {
        let header: [u8; 512] = archive.array(at, "the header of a member")?;
        if header == [0; 512] {
            break;
        }
        check_sum(&header)?;
        let kind = header[156];
        let own = matches!(kind, b'x' | b'g' | b'L' | b'K');
        let size = match extended.size {
            Some(size) if !own => size,
            _ => number(&header[124..136])?,
        };
        let start = at + BLOCK;
        let cut_off = || Fault::cut_off("the end of a member");
        let content = archive.part(start, size).ok_or_else(cut_off)?;
        match kind {
            b'x' => extended.read_pax(&text(&content)?),
            b'L' => extended.name = Some(trimmed(text(&content)?.as_bytes())),
            b'g' | b'K' => {}
            b'S' => {
                return Err(Fault::unsupported(
                    "has a member that was stored as sparse",
                    "unpack it with tar -xSf and give the disk in it",
                ));
            }
            _ => {
                let Extended { name, .. } = std::mem::take(&mut extended);
                if matches!(kind, b'0' | b'7' | 0) {
                    members.push(Member {
                        name: name.unwrap_or_else(|| trimmed(&header[..100])),
                        window: content,
                    });
                }
            }
        }
        if members.len() > MAX_MEMBERS {
            return Err(Fault::damaged("it has too many members for an OVA"));
        }
        at = size
            .checked_next_multiple_of(BLOCK)
            .and_then(|size| start.checked_add(size))
            .ok_or_else(cut_off)?;
    }
    Ok(members)
}

impl Extended {
    /// Records such as `25 path=disk.vmdk\n`: length in decimal, key and value.
    fn read_pax(&mut self, text: &str) {
        for line in text.lines() {
            let record = line
                .split_once(' ')
                .and_then(|(_, rest)| rest.split_once('='));
            match record {
                Some(("path", path)) => self.name = Some(path.to_owned()),
                Some(("size", size)) => self.size = size.parse().ok(),
                _ => {}
            }
        }
    }
}

fn text(window: &Window) -> Result<String, Fault> {
    let len = usize::try_from(window.len().min(MAX_EXTENDED)).unwrap_or(0);
    Ok(String::from_utf8_lossy(&window.up_to(0, len)?).into_owned())
}

fn trimmed(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned()
}

/// Octal digits, or GNU tar's big-endian number where bit 7 of the first byte is set.
fn number(bytes: &[u8]) -> Result<u64, Fault> {
    let broken = || Fault::damaged("the header of a member states no size");
    if let [0x80, high @ .., _, _, _, _, _, _, _, _] = bytes {
        let low = &bytes[bytes.len() - 8..];
        return if high.iter().all(|&byte| byte == 0) {
            Ok(u64::from_be_bytes(field(low, 0)))
        } else {
            Err(broken())
        };
    }
    let digits = std::str::from_utf8(bytes).map_err(|_| broken())?;
    let digits = digits.trim_matches(['\0', ' ']);
    if digits.is_empty() {
        return Ok(0);
    }
    u64::from_str_radix(digits, 8).map_err(|_| broken())
}

/// The sum of all bytes of a header, the field of the sum itself taken as spaces.
fn check_sum(header: &[u8; 512]) -> Result<(), Fault> {
    let stated = number(&header[148..156])?;
    let others = header[..148].iter().chain(&header[156..]);
    let sum = others.map(|&byte| u64::from(byte)).sum::<u64>() + 8 * u64::from(b' ');
    if stated == sum {
        Ok(())
    } else {
        Err(Fault::damaged("the checksum of a member's header is wrong"))
    }
}
