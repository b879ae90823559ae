//! What is on a disk, read from its bytes alone: partition table, boot code, superblocks, LVM.
//!
//! Nothing here mounts, writes or decides: [`Layout`] is data, and [`findings`](findings::findings)
//! says what is wrong with it. What needs files of the guest (boot loader configuration,
//! initramfs) is judged with the guest mounted, not here. Every number read from the disk is
//! checked before it is used, and every walk over the disk has an end.
//!
//! Specifications: UEFI 2.10 section 5 for both partition tables; the Linux kernel
//! (`block/partitions/msdos.c`) for the numbers of logical partitions.

mod boot_code;
mod display;
pub mod findings;
mod gaps;
mod gpt;
mod mbr;
mod part;
mod superblock;
mod volume_group;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

pub use boot_code::BootCode;
pub use gpt::HeaderState;
pub use mbr::{ChainFault, ChainFaultKind};
pub(crate) use part::Part;
pub use part::PartId;
pub use superblock::{Content, ContentKind, LinuxFs};
pub(crate) use superblock::{SWAP_HEAD, is_hibernated, own_swap_pages, swap_pages};
pub use volume_group::{
    LogicalName, LogicalVolume, LvmFault, PhysicalVolume, VolumeGroup, VolumeKind,
};

use crate::bytes::{FirstBytes, Window, sector};
use crate::lvm::Backing;
use crate::units::{ByteRange, Lba, SECTOR_SIZE};

/// The disk could not be read.
#[derive(Debug, thiserror::Error)]
#[error("reading the layout of the disk")]
pub struct LayoutError {
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// What is on a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Layout {
    /// The size of the disk in bytes.
    pub disk_size: u64,
    /// The size of a sector in bytes: always 512, as on the machines that OCI makes.
    pub sector_size: u64,
    /// Whether sector 0 ends with the signature `55 AA`.
    pub mbr_signature: bool,
    /// The kind of partition table.
    pub table: PartitionTable,
    /// The partitions, by number.
    pub partitions: Vec<Partition>,
    /// The volume groups of LVM2, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volume_groups: Vec<VolumeGroup>,
    /// What is not understood of LVM2's metadata.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lvm_faults: Vec<LvmFault>,
}

/// How a disk is divided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum PartitionTable {
    /// A DOS partition table in the master boot record.
    Dos {
        /// The disk signature, eight hexadecimal digits: the first half of a PARTUUID.
        #[serde(serialize_with = "hex")]
        #[schemars(with = "String")]
        disk_signature: u32,
        /// The code in sector 0.
        boot_code: BootCode,
        /// Where a chain of logical partitions is broken.
        chain_faults: Vec<ChainFault>,
        /// Whether a GPT header lies in sector 1 all the same.
        stale_gpt: bool,
    },
    /// A GUID partition table behind a protective or hybrid MBR.
    Gpt {
        /// The GUID of the disk, where a header could be read.
        disk_guid: Option<String>,
        /// The code in sector 0.
        boot_code: BootCode,
        /// The header and table at the beginning of the disk.
        primary: HeaderState,
        /// The header and table at its end.
        backup: HeaderState,
        /// Whether the MBR has entries besides the protective one.
        hybrid: bool,
    },
    /// None: a bare file system, or nothing.
    None {
        /// What fills the disk.
        content: Content,
    },
}

/// A part of the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Partition {
    /// The number, as in `/dev/sda1`.
    pub number: u32,
    /// Where it is entered.
    pub slot: Slot,
    /// What the table says that it is.
    #[serde(rename = "type")]
    pub type_code: TypeCode,
    /// Whether it has the active flag: DOS 0x80, GPT "legacy BIOS bootable".
    pub active: bool,
    /// Its bytes; not necessarily on the disk.
    pub range: ByteRange,
    /// The PARTUUID, as blkid prints it.
    pub part_uuid: String,
    /// The PARTLABEL of a GPT entry that has one.
    pub part_label: Option<String>,
    /// What it was called in the table that was converted to this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub former: Option<FormerName>,
    /// What is in it.
    pub content: Content,
}

/// What a partition was called before its table was converted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FormerName {
    /// The number.
    pub number: u32,
    /// The PARTUUID.
    pub part_uuid: String,
    /// The PARTLABEL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part_label: Option<String>,
}

/// The place of a partition's entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Slot {
    /// In the MBR.
    Primary,
    /// In the MBR: the container of the logical partitions.
    Extended,
    /// In the chain of extended boot records.
    Logical,
    /// In a GPT.
    Gpt,
}

/// The type that a table gives to a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum TypeCode {
    /// The type byte of a DOS entry.
    Dos(u8),
    /// The type GUID of a GPT entry, in lower case.
    Gpt(String),
}

impl Layout {
    /// Reads what is on the disk that the first `size` bytes of a file are.
    ///
    /// # Errors
    ///
    /// As [`Layout::read`].
    pub fn of_file(file: &File, size: u64) -> Result<Self, LayoutError> {
        Self::read(&mut FirstBytes::of(file, size))
    }

    /// Reads what is on `disk`.
    ///
    /// # Errors
    ///
    /// [`LayoutError`]: a read failed. Whatever the bytes are, they are no error.
    pub fn read<R: Read + Seek>(disk: &mut R) -> Result<Self, LayoutError> {
        Self::read_bytes(disk).map_err(|source| LayoutError { source })
    }

    fn read_bytes<R: Read + Seek>(disk: &mut R) -> io::Result<Self> {
        let disk_size = disk.seek(SeekFrom::End(0))?;
        let first = sector(disk, Lba::ZERO)?;
        let mbr_signature = mbr::has_signature(&first);
        let boot_code = BootCode::recognise(&first);
        let header_follows = gpt::has_header(disk)?;
        let mut partitions = Vec::new();
        let table = if !mbr_signature || mbr::is_volume_boot_record(&first, disk_size) {
            let whole = ByteRange::new(0, disk_size).unwrap_or(ByteRange::EMPTY);
            PartitionTable::None {
                content: Content::probe(&mut Window::new(disk, whole))?,
            }
        } else if mbr::is_protective(&first) {
            let gpt = gpt::read(disk, disk_size)?;
            partitions = gpt.partitions;
            PartitionTable::Gpt {
                disk_guid: gpt.disk_guid,
                boot_code,
                primary: gpt.primary,
                backup: gpt.backup,
                hybrid: mbr::is_hybrid(&first),
            }
        } else {
            let dos = mbr::read(disk, &first, disk_size)?;
            partitions = dos.partitions;
            if partitions.is_empty() {
                // An unpartitioned file system may leave room for a boot sector with a signature.
                let whole = ByteRange::new(0, disk_size).unwrap_or(ByteRange::EMPTY);
                let content = Content::probe(&mut Window::new(disk, whole))?;
                if content.kind.is_known() {
                    let table = PartitionTable::None { content };
                    return Self::with_groups(disk, disk_size, mbr_signature, table, partitions);
                }
            }
            PartitionTable::Dos {
                disk_signature: dos.disk_signature,
                boot_code,
                chain_faults: dos.chain_faults,
                stale_gpt: header_follows,
            }
        };
        for partition in &mut partitions {
            partition.content = if partition.slot == Slot::Extended {
                Content::of(ContentKind::Extended)
            } else {
                Content::probe(&mut Window::new(disk, partition.range))?
            };
        }
        Self::with_groups(disk, disk_size, mbr_signature, table, partitions)
    }

    fn with_groups<R: Read + Seek>(
        disk: &mut R,
        disk_size: u64,
        mbr_signature: bool,
        table: PartitionTable,
        partitions: Vec<Partition>,
    ) -> io::Result<Self> {
        let (volume_groups, lvm_faults) = volume_group::read(disk, disk_size, &table, &partitions)?;
        Ok(Self {
            disk_size,
            sector_size: SECTOR_SIZE,
            mbr_signature,
            table,
            partitions,
            volume_groups,
            lvm_faults,
        })
    }

    /// Fills in what is in the thin volumes, which only the kernel can tell: `look` gives it for
    /// what a volume is made of.
    pub(crate) fn look_into_thin_volumes(&mut self, look: impl Fn(&Backing) -> Option<Content>) {
        let volumes = self
            .volume_groups
            .iter_mut()
            .flat_map(|group| &mut group.logical_volumes);
        for volume in volumes.filter(|volume| volume.visible && volume.kind == VolumeKind::Thin) {
            if let Ok(backing) = &volume.backing
                && let Some(content) = look(backing)
            {
                volume.content = content;
            }
        }
    }

    /// What fills a whole device; `None` where it cannot be read.
    pub(crate) fn content_of<R: Read + Seek>(mut device: R) -> Option<Content> {
        let size = device.seek(SeekFrom::End(0)).ok()?;
        let whole = ByteRange::new(0, size)?;
        Content::probe(&mut Window::new(&mut device, whole)).ok()
    }

    /// Notes what partitions were called in the table that was converted to this one.
    pub(crate) fn remember(&mut self, former: Vec<(u32, FormerName)>) {
        for (number, name) in former {
            let mut partitions = self.partitions.iter_mut();
            if let Some(partition) = partitions.find(|partition| partition.number == number) {
                partition.former = Some(name);
            }
        }
    }

    /// Notes what is in sector 0 now.
    pub(crate) fn set_boot_code(&mut self, code: BootCode) {
        match &mut self.table {
            PartitionTable::Dos { boot_code, .. } | PartitionTable::Gpt { boot_code, .. } => {
                *boot_code = code;
            }
            PartitionTable::None { .. } => {}
        }
    }

    /// The code in sector 0; `None` where there is no partition table.
    pub fn boot_code(&self) -> Option<&BootCode> {
        match &self.table {
            PartitionTable::Dos { boot_code, .. } | PartitionTable::Gpt { boot_code, .. } => {
                Some(boot_code)
            }
            PartitionTable::None { .. } => None,
        }
    }

    /// The partition with this number.
    pub fn partition(&self, number: u32) -> Option<&Partition> {
        self.partitions
            .iter()
            .find(|partition| partition.number == number)
    }
}

impl Partition {
    /// What the type says that the partition is for, where that matters to byoi.
    pub fn role(&self) -> Option<&'static str> {
        match &self.type_code {
            TypeCode::Dos(code) => match code {
                0x82 => Some("Linux swap"),
                0x8e => Some("Linux LVM"),
                0xef => Some("EFI system"),
                0xfd => Some("Linux RAID"),
                _ => None,
            },
            TypeCode::Gpt(guid) => match guid.as_str() {
                "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" => Some("EFI system"),
                "21686148-6449-6e6f-744e-656564454649" => Some("BIOS boot"),
                "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f" => Some("Linux swap"),
                "e6d6d379-f507-44c2-a23c-238f2a3df928" => Some("Linux LVM"),
                "a19d880f-05fc-4d3b-a006-743f0f84911e" => Some("Linux RAID"),
                "bc13c2ff-59e6-4262-a352-b275fd6f7172" => Some("extended boot"),
                "4f68bce3-e8cd-4db1-96e7-fbcaf984b709" => Some("Linux root"),
                _ => None,
            },
        }
    }

    /// Whether firmware that speaks UEFI looks for a boot loader here.
    pub fn is_efi_system(&self) -> bool {
        self.role() == Some("EFI system")
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
fn hex<S: Serializer>(value: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{value:08x}"))
}

#[cfg(test)]
mod tests;
