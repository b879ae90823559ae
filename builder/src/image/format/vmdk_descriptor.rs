//! The text in or beside a VMDK that says of which files the disk consists.
//!
//! "Virtual Disk Format 5.0", VMware, "The Disk Descriptor File".

use super::super::disk_map::plausible_size;
use super::super::fault::{Fault, Reason, Refusal};
use super::super::window::Window;
use crate::units::{SECTOR_SIZE, byte_len};

/// The longest descriptor, in bytes.
pub(super) const MAX_LEN: usize = 64 * 1024;
/// The parent of a disk that has none.
const NO_PARENT: &str = "ffffffff";

/// What a descriptor says, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Descriptor {
    create_type: String,
    has_parent: bool,
    encrypted: bool,
    extents: Vec<Extent>,
}

/// A line such as `RW 4192256 FLAT "disk-flat.vmdk" 0`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Extent {
    sectors: u64,
    kind: String,
    name: String,
    offset: u64,
}

/// The one file that holds the data of a flat disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct FlatExtent {
    /// Its name in the descriptor's own directory.
    pub(in super::super) name: String,
    /// The size of the disk in bytes.
    pub(in super::super) size: u64,
}

impl Descriptor {
    /// Reads a descriptor; it may be followed by zeros.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let end = bytes.iter().position(|&byte| byte == 0);
        let text = std::str::from_utf8(&bytes[..end.unwrap_or(bytes.len())])
            .map_err(|_| Fault::damaged("its descriptor is no text"))?;
        let mut descriptor = Self {
            create_type: String::new(),
            has_parent: false,
            encrypted: false,
            extents: Vec::new(),
        };
        for line in text.lines().map(str::trim) {
            if line.starts_with('#') {
                continue;
            }
            if let Some(extent) = Extent::parse(line)? {
                descriptor.extents.push(extent);
            } else if let Some((key, value)) = line.split_once('=') {
                let value = value.trim().trim_matches('"');
                match key.trim().to_ascii_lowercase().as_str() {
                    "createtype" => value.clone_into(&mut descriptor.create_type),
                    "parentcid" => descriptor.has_parent |= !value.eq_ignore_ascii_case(NO_PARENT),
                    "parentfilenamehint" => descriptor.has_parent = true,
                    key if key.starts_with("encryption.") => descriptor.encrypted = true,
                    _ => {}
                }
            }
        }
        Ok(descriptor)
    }

    /// The sum of the extents, in bytes.
    fn size(&self) -> Result<u64, Fault> {
        self.extents
            .iter()
            .try_fold(0, |sum: u64, extent| sum.checked_add(extent.sectors))
            .and_then(|sectors| sectors.checked_mul(SECTOR_SIZE))
            .ok_or_else(|| Fault::damaged("its descriptor states an impossible size"))
            .and_then(plausible_size)
    }

    fn check_common(&self) -> Result<(), Fault> {
        let refuse = |reason, what: &str, hint| {
            Err(Fault::Refused(Refusal {
                reason,
                what: what.to_owned(),
                hint,
                virtual_size: self.size()?,
            }))
        };
        if self.encrypted {
            return refuse(
                Reason::Encrypted,
                "is encrypted by VMware",
                "remove the machine's encryption before the export; OCI encrypts volumes by itself",
            );
        }
        if self.has_parent {
            return refuse(
                Reason::OtherFile,
                "is a snapshot on top of another VMDK",
                "delete the machine's snapshots, which merges them, then export again",
            );
        }
        Ok(())
    }

    /// An error unless this describes a disk that is wholly in the sparse extent around it.
    pub(super) fn check_sparse(&self) -> Result<(), Fault> {
        self.check_common()?;
        match self.create_type.as_str() {
            "monolithicSparse" | "streamOptimized" => {}
            // Only the first of several files has it, or a file beside them.
            "" => return Err(part_of_several()),
            other => return Err(unsupported(other)),
        }
        let [extent] = self.extents.as_slice() else {
            return Err(several(self.extents.len()));
        };
        if extent.kind != "SPARSE" {
            return Err(Fault::damaged("its descriptor describes another disk"));
        }
        Ok(())
    }

    /// The file of a disk whose descriptor is a file of its own.
    fn flat_extent(&self) -> Result<FlatExtent, Fault> {
        self.check_common()?;
        match self.create_type.as_str() {
            "monolithicFlat" | "vmfs" => {}
            other => return Err(unsupported(other)),
        }
        let [extent] = self.extents.as_slice() else {
            return Err(several(self.extents.len()));
        };
        if !matches!(extent.kind.as_str(), "FLAT" | "VMFS") || extent.offset != 0 {
            return Err(Fault::unsupported(
                format!("has an extent of the kind {}", extent.kind),
                "export the disk as OVF, or run qemu-img convert -O qcow2",
            ));
        }
        if !is_plain(&extent.name) {
            return Err(Fault::unsupported(
                format!(
                    "names the extent {:?} outside its own directory",
                    extent.name
                ),
                "put both files into one directory and name the extent there without a path",
            ));
        }
        Ok(FlatExtent {
            name: extent.name.clone(),
            size: self.size()?,
        })
    }
}

impl Extent {
    /// Reads one line; `None` where it is about something else.
    fn parse(line: &str) -> Result<Option<Self>, Fault> {
        let broken = || Fault::damaged("a line of its descriptor cannot be read");
        let Some((access, rest)) = line.split_once(char::is_whitespace) else {
            return Ok(None);
        };
        if !matches!(access, "RW" | "RDONLY" | "NOACCESS") {
            return Ok(None);
        }
        // The name stands in quotes and may have spaces in it.
        let (numbers, rest) = rest.split_once('"').unwrap_or((rest, "\""));
        let (name, offset) = rest.rsplit_once('"').ok_or_else(broken)?;
        let mut numbers = numbers.split_whitespace();
        let sectors = numbers.next().and_then(|text| text.parse().ok());
        let offset = match offset.split_whitespace().next() {
            Some(text) => text.parse().map_err(|_| broken())?,
            None => 0,
        };
        Ok(Some(Self {
            sectors: sectors.ok_or_else(broken)?,
            kind: numbers.next().ok_or_else(broken)?.to_owned(),
            name: name.to_owned(),
            offset,
        }))
    }
}

/// Reads a descriptor that is a file of its own, and says where its data is.
pub(in super::super) fn flat_extent(window: &Window) -> Result<FlatExtent, Fault> {
    if window.len() > byte_len(MAX_LEN) {
        return Err(Fault::damaged("its descriptor is too long"));
    }
    Descriptor::parse(&window.up_to(0, MAX_LEN)?)?.flat_extent()
}

fn several(count: usize) -> Fault {
    Fault::unsupported(
        format!("has {count} extents, and only a VMDK with one is read"),
        "export the disk as OVF, or join it with vmware-vdiskmanager -r DISK -t 0 NEW",
    )
}

/// An extent without a descriptor of its own.
pub(super) fn part_of_several() -> Fault {
    Fault::unsupported(
        "is one extent of a VMDK of several files",
        "export the disk as OVF, or join it with vmware-vdiskmanager -r DISK -t 0 NEW",
    )
}

fn unsupported(create_type: &str) -> Fault {
    let create_type: String = create_type.chars().take(64).collect();
    Fault::unsupported(
        format!("is a VMDK of the type {create_type:?}"),
        "export the disk as OVF, or join it with vmware-vdiskmanager -r DISK -t 0 NEW",
    )
}

/// Whether a name is that of a file beside the descriptor, and nothing else.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(text: &str) -> String {
        match Descriptor::parse(text.as_bytes()).and_then(|descriptor| descriptor.flat_extent()) {
            Ok(extent) => format!("{} {}", extent.name, extent.size),
            Err(fault) => fault.to_string(),
        }
    }

    #[test]
    fn only_one_plain_name_is_followed() {
        let with = |extent: &str| {
            flat(&format!(
                "# Disk DescriptorFile\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n{extent}\n"
            ))
        };
        for (extent, expected) in [
            (
                "RW 8 FLAT \"my disk-flat.vmdk\" 0",
                "my disk-flat.vmdk 4096",
            ),
            ("RW 8 VMFS \"disk-flat.vmdk\"", "disk-flat.vmdk 4096"),
            (
                "RW 8 FLAT \"../../etc/shadow\" 0",
                "outside its own directory",
            ),
            ("RW 8 FLAT \"/etc/shadow\" 0", "outside its own directory"),
            ("RW 8 FLAT \"..\" 0", "outside its own directory"),
            ("RW 8 FLAT \"\" 0", "outside its own directory"),
            ("RW 8 FLAT \"disk\" 1", "kind FLAT"),
            ("RW 8 ZERO", "kind ZERO"),
            ("RW -8 FLAT \"disk\" 0", "cannot be read"),
            ("RW 99999999999999999 FLAT \"disk\" 0", "impossible size"),
            ("RW 999999999999999 FLAT \"disk\" 0", "more than 64 TiB"),
            ("RW 8 FLAT \"one\" 0\nRW 8 FLAT \"two\" 0", "2 extents"),
            ("", "0 extents"),
            (
                "RW 8 FLAT \"disk\" 0\nparentFileNameHint=\"/x\"",
                "snapshot",
            ),
            ("RW 8 FLAT \"disk\" 0\nparentCID=01234567", "snapshot"),
            (
                "RW 8 FLAT \"disk\" 0\nencryption.keySafe = \"x\"",
                "encrypted",
            ),
            ("createType=\"twoGbMaxExtentFlat\"", "twoGbMaxExtentFlat"),
        ] {
            let said = with(extent);
            assert!(said.contains(expected), "{extent}: {said}");
        }
    }
}
