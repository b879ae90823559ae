//! What OCI refuses in a layout, or what keeps it from booting.
//!
//! OCI asks for a disk "with a valid master boot record (MBR) and boot loader", set up for BIOS
//! boot and not encrypted (Importing Custom Linux Images). In practice a GPT passes as long as
//! sector 0 is signed and holds boot code, or the image's firmware is set to UEFI.

use byoi_agent::finding::{Finding, Severity, Status};
use byoi_agent::rules::DOC_IMPORT_LINUX;

use super::{
    BootCode, ChainFault, ChainFaultKind, ContentKind, HeaderState, Layout, Partition,
    PartitionTable, Slot,
};
use crate::units::ByteRange;

fn finding(
    (rule, severity): (&'static str, Severity),
    subject: impl Into<String>,
    evidence: impl Into<String>,
    message: &str,
    hint: &str,
) -> Finding {
    Finding {
        rule,
        severity,
        status: Status::Open,
        subject: subject.into(),
        line: None,
        evidence: evidence.into(),
        message: message.to_owned(),
        hint: hint.to_owned(),
        doc: DOC_IMPORT_LINUX,
    }
}

const DISK: &str = "disk";

/// Judges a layout. The order is that of the rules' names within disk, table and partitions. A GPT
/// blocks unless it is accepted.
pub fn findings(layout: &Layout, accept_gpt: bool) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(signature(layout));
    found.extend(boot_code(layout));
    found.extend(gpt(layout, accept_gpt));
    bounds(layout, &mut found);
    overlap(layout, &mut found);
    found.extend(active(layout));
    encrypted(layout, &mut found);
    missing_volumes(layout, &mut found);
    lvm_faults(layout, &mut found);
    found
}

/// What explains that no root file system was found: volumes of which a part is not on the disk.
pub fn partial_volumes(layout: &Layout) -> Vec<Finding> {
    let partial = layout.volume_groups.iter().flat_map(|group| {
        let volumes = group.logical_volumes.iter();
        volumes
            .filter(|volume| volume.visible && volume.is_partial())
            .map(move |volume| (group, volume))
    });
    partial
        .map(|(group, volume)| {
            finding(
                (MISSING_VOLUME, Severity::Blocker),
                format!("logical volume {}/{}", group.name, volume.name),
                volume.obstacle.clone().unwrap_or_default(),
                "a part of the volume is on another disk, and no root file system is on this one",
                "move the volume to the boot disk (pvmove, vgreduce) and export it again",
            )
        })
        .collect()
}

const MISSING_VOLUME: &str = "disk/missing-volume";

/// Groups go on without a physical volume; what needs it does not. Which of that the guest cannot
/// do without, its fstab says.
fn missing_volumes(layout: &Layout, found: &mut Vec<Finding>) {
    for group in &layout.volume_groups {
        for physical in &group.physical_volumes {
            if physical.partition.is_none() {
                found.push(finding(
                    (MISSING_VOLUME, Severity::Warning),
                    format!("volume group {}", group.name),
                    format!("physical volume {}", physical.uuid.escape_debug()),
                    "a physical volume of the group is not on this disk, or not for certain",
                    "remove it from the group (pvmove, vgreduce) before the export",
                ));
            }
        }
    }
}

fn lvm_faults(layout: &Layout, found: &mut Vec<Finding>) {
    for fault in &layout.lvm_faults {
        found.push(finding(
            ("disk/lvm-metadata", Severity::Warning),
            match fault.partition {
                0 => DISK.to_owned(),
                number => format!("partition {number}"),
            },
            fault.reason.clone(),
            "metadata of LVM are not understood",
            "look at them with vgck and pvck; vgcfgrestore brings an older state back",
        ));
    }
}

/// File systems whose journal has to be replayed: whoever reads them without writing, as `check`
/// does, does not see what is in it.
pub fn unclean(layout: &Layout) -> Vec<Finding> {
    let unclean = layout.parts().filter(|part| part.content().needs_recovery);
    unclean
        .map(|part| {
            finding(
                ("disk/unclean", Severity::Note),
                part.id().to_string(),
                format!(
                    "the journal of an {} is not empty",
                    part.content().kind.name()
                ),
                "the file system was not unmounted: its last changes are not looked at",
                "shut the machine down before its disk is exported; build replays the journal",
            )
        })
        .collect()
}

fn signature(layout: &Layout) -> Option<Finding> {
    const RULE: (&str, Severity) = ("disk/mbr-signature", Severity::Blocker);
    let PartitionTable::None { content } = &layout.table else {
        return None;
    };
    let evidence = match (content.kind, layout.mbr_signature) {
        (ContentKind::Empty, false) => "sector 0 and what follows are zeros".to_owned(),
        (ContentKind::Unknown | ContentKind::Empty, _) => {
            "sector 0 does not end with 55 AA".to_owned()
        }
        (kind, _) => format!("the whole disk is one {} without partitions", kind.name()),
    };
    Some(finding(
        RULE,
        DISK,
        evidence,
        "the disk has no master boot record",
        "import the whole boot disk of the machine, not a partition or a data volume of it",
    ))
}

fn boot_code(layout: &Layout) -> Option<Finding> {
    const RULE: &str = "disk/mbr-boot-code";
    let efi = layout.partitions.iter().any(Partition::is_efi_system);
    match (layout.boot_code()?, efi) {
        (BootCode::None, true) => Some(finding(
            (RULE, Severity::Warning),
            DISK,
            "the code area of sector 0 is zero; there is an EFI system partition",
            "the disk boots by UEFI only, and OCI boots an imported image by BIOS at first",
            "install a BIOS boot loader as well, or set the firmware of the imported image to UEFI_64",
        )),
        (BootCode::None, false) => Some(finding(
            (RULE, Severity::Blocker),
            DISK,
            "the code area of sector 0 is zero",
            "the disk has no boot loader",
            "install one on the whole disk (grub-install /dev/sdX) before the export",
        )),
        (BootCode::Unknown, _) => Some(finding(
            (RULE, Severity::Note),
            DISK,
            "the code in sector 0 is of no boot loader that byoi knows",
            "whether the disk boots cannot be told from its first sector",
            "let the boot test decide",
        )),
        _ => None,
    }
}

const GPT: &str = "disk/gpt";

/// Why a GPT was not converted.
pub fn not_convertible(reason: String) -> Finding {
    finding(
        (GPT, Severity::Warning),
        DISK,
        reason,
        "the GPT cannot be converted to an MBR",
        "change the partitions, or use --accept-gpt",
    )
}

/// Why GRUB was not put onto the disk.
pub fn not_reinstalled(reason: String) -> Finding {
    finding(
        ("boot/loader", Severity::Note),
        DISK,
        reason,
        "GRUB was not reinstalled",
        "run grub-install /dev/sdX in the guest before the export",
    )
}

fn gpt(layout: &Layout, accept: bool) -> Option<Finding> {
    const RULE: &str = GPT;
    match &layout.table {
        PartitionTable::Gpt {
            primary: HeaderState::Valid,
            backup: HeaderState::Valid,
            hybrid,
            ..
        } => Some(finding(
            (
                RULE,
                if accept {
                    Severity::Warning
                } else {
                    Severity::Blocker
                },
            ),
            DISK,
            if *hybrid {
                "a GPT with a hybrid MBR"
            } else {
                "a GPT with a protective MBR"
            },
            "OCI asks for the partition table of an MBR",
            "give --convert-gpt to byoi-builder build; or --accept-gpt, as in practice OCI boots \
             disks with a GPT",
        )),
        PartitionTable::Gpt {
            primary, backup, ..
        } => {
            let none = *primary != HeaderState::Valid && *backup != HeaderState::Valid;
            Some(finding(
                (
                    RULE,
                    if none || !accept {
                        Severity::Blocker
                    } else {
                        Severity::Warning
                    },
                ),
                DISK,
                format!(
                    "the primary GPT is {}, its backup {}",
                    state(*primary),
                    state(*backup)
                ),
                if none {
                    "the GPT is damaged: no partition can be found"
                } else {
                    "one of the two copies of the GPT is damaged"
                },
                "repair it with sgdisk --verify and gdisk's recovery menu",
            ))
        }
        PartitionTable::Dos {
            stale_gpt: true, ..
        } => Some(finding(
            (RULE, Severity::Note),
            DISK,
            "sector 1 begins with EFI PART, but the MBR has no protective entry",
            "a GPT header of earlier times is left; the DOS partition table counts",
            "remove it with sgdisk --zap if a boot loader trips over it",
        )),
        PartitionTable::Dos { .. } | PartitionTable::None { .. } => None,
    }
}

fn state(state: HeaderState) -> &'static str {
    match state {
        HeaderState::Valid => "whole",
        HeaderState::Missing => "missing",
        HeaderState::OtherSectorSize => "written for sectors of 4096 bytes",
        HeaderState::Implausible => "implausible",
        HeaderState::HeaderChecksum => "damaged (header checksum)",
        HeaderState::TableChecksum => "damaged (table checksum)",
        HeaderState::Displaced => "not at the end of the disk, which was enlarged",
    }
}

fn bounds(layout: &Layout, found: &mut Vec<Finding>) {
    const RULE: (&str, Severity) = ("disk/partition-bounds", Severity::Blocker);
    for partition in &layout.partitions {
        let container = container(layout, partition);
        let message = if partition.range.end() > layout.disk_size {
            "the partition ends behind the end of the disk"
        } else if container.is_some_and(|range| !range.contains(partition.range)) {
            "the logical partition is not inside the extended one"
        } else {
            continue;
        };
        found.push(finding(
            RULE,
            subject(partition),
            format!("{}, disk of {} bytes", partition.range, layout.disk_size),
            message,
            "the image is cut off, or the table belongs to another disk: export it again",
        ));
    }
    let faults: &[ChainFault] = match &layout.table {
        PartitionTable::Dos { chain_faults, .. } => chain_faults,
        PartitionTable::Gpt { .. } | PartitionTable::None { .. } => &[],
    };
    for fault in faults {
        let reason = match fault.kind {
            ChainFaultKind::OutsideDisk => "lies behind the end of the disk",
            ChainFaultKind::NoSignature => "does not end with 55 AA",
            ChainFaultKind::Loop => "leads back to itself",
            ChainFaultKind::TooLong => "leads on for longer than Linux follows",
        };
        found.push(finding(
            RULE,
            DISK,
            format!("the extended boot record at {} {reason}", fault.at),
            "the chain of logical partitions is broken: partitions may be missing",
            "repair it with sfdisk or testdisk",
        ));
    }
}

/// The extended partition that a logical one belongs to: the one that it begins in, or the first.
fn container(layout: &Layout, partition: &Partition) -> Option<ByteRange> {
    if partition.slot != Slot::Logical {
        return None;
    }
    let ranges = || {
        layout
            .partitions
            .iter()
            .filter(|other| other.slot == Slot::Extended)
            .map(|extended| extended.range)
    };
    ranges()
        .find(|range| {
            range.start() <= partition.range.start() && partition.range.start() < range.end()
        })
        .or_else(|| ranges().next())
}

/// Each partition is reported once, with the first one before it that it overlaps.
fn overlap(layout: &Layout, found: &mut Vec<Finding>) {
    const RULE: &str = "disk/partition-overlap";
    for (index, partition) in layout.partitions.iter().enumerate() {
        let first = layout.partitions[..index]
            .iter()
            .find(|other| !is_nested(other, partition) && other.range.overlaps(partition.range));
        let Some(other) = first else { continue };
        // Of two superblocks, one is overwritten by the other's partition sooner or later.
        let both = other.content.kind.is_known() && partition.content.kind.is_known();
        found.push(finding(
            (
                RULE,
                if both {
                    Severity::Blocker
                } else {
                    Severity::Warning
                },
            ),
            subject(partition),
            format!(
                "partition {} has {}, partition {} has {}",
                other.number, other.range, partition.number, partition.range
            ),
            "two partitions share a part of the disk",
            "remove the entry that is not in use",
        ));
    }
}

fn is_nested(one: &Partition, other: &Partition) -> bool {
    matches!(
        (one.slot, other.slot),
        (Slot::Extended, Slot::Logical) | (Slot::Logical, Slot::Extended)
    )
}

fn active(layout: &Layout) -> Option<Finding> {
    let PartitionTable::Dos { boot_code, .. } = &layout.table else {
        return None;
    };
    let active: Vec<String> = layout
        .partitions
        .iter()
        .filter(|partition| partition.active && partition.slot != Slot::Logical)
        .map(|partition| partition.number.to_string())
        .collect();
    let message = match (active.len(), boot_code.needs_active_partition()) {
        (1, _) => return None,
        (0, true) => "no partition is active, and the boot code starts the active one",
        (0, false) => "no partition is active: Oracle's tools and some firmware ask for one",
        _ => "more than one partition is active",
    };
    Some(finding(
        ("disk/active-partition", Severity::Warning),
        DISK,
        format!(
            "active: {}; boot code: {}",
            if active.is_empty() {
                "none".to_owned()
            } else {
                active.join(", ")
            },
            boot_code.name()
        ),
        message,
        "mark the partition with the boot loader active (sfdisk --activate)",
    ))
}

fn encrypted(layout: &Layout, found: &mut Vec<Finding>) {
    const RULE: (&str, Severity) = ("disk/encrypted", Severity::Blocker);
    const MESSAGE: &str = "it is encrypted, and OCI imports no encrypted disk";
    const HINT: &str = "decrypt it before the export; OCI encrypts boot volumes by itself";
    let parts = layout
        .parts()
        .map(|part| (part.id().to_string(), part.content().kind));
    let whole = match &layout.table {
        PartitionTable::None { content } => Some((DISK.to_owned(), content.kind)),
        PartitionTable::Dos { .. } | PartitionTable::Gpt { .. } => None,
    };
    for (subject, kind) in parts.chain(whole) {
        if kind.is_encrypted() {
            found.push(finding(RULE, subject, kind.name(), MESSAGE, HINT));
        }
    }
}

fn subject(partition: &Partition) -> String {
    format!("partition {}", partition.number)
}
