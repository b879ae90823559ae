//! A layout for a person, as `inspect` prints it.

use std::fmt;

use super::{BootCode, Content, Layout, Partition, PartitionTable, Slot, TypeCode, VolumeGroup};

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "disk        {} bytes, {}", self.disk_size, self.table)?;
        if let Some(boot_code) = self.boot_code() {
            writeln!(f, "boot code   {boot_code}")?;
        }
        for partition in &self.partitions {
            writeln!(f, "{partition}")?;
        }
        for group in &self.volume_groups {
            write!(f, "{group}")?;
        }
        for fault in &self.lvm_faults {
            writeln!(
                f,
                "LVM         metadata on {} not understood: {}",
                place(fault.partition),
                fault.reason
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for VolumeGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group       {}, UUID {} on ", self.name, self.uuid)?;
        for (index, physical) in self.physical_volumes.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            match physical.partition {
                Some(number) => f.write_str(&place(number))?,
                None => write!(f, "{} (not on this disk)", physical.uuid.escape_debug())?,
            }
        }
        writeln!(f)?;
        for volume in self.logical_volumes.iter().filter(|volume| volume.visible) {
            write!(
                f,
                "volume      {}/{} {} bytes, {}, {}",
                self.name,
                volume.name,
                volume.size,
                volume.kind.name(),
                volume.content.kind.name()
            )?;
            identifiers(f, &volume.content, None)?;
            if let Some(obstacle) = &volume.obstacle {
                write!(f, " (cannot be had: {obstacle})")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn place(partition: u32) -> String {
    match partition {
        0 => "the whole disk".to_owned(),
        number => format!("partition {number}"),
    }
}

fn identifiers(
    f: &mut fmt::Formatter<'_>,
    content: &Content,
    part_label: Option<&String>,
) -> fmt::Result {
    for (tag, value) in [
        ("UUID", content.uuid.as_ref()),
        ("LABEL", content.label.as_ref()),
        ("PARTLABEL", part_label),
    ] {
        if let Some(value) = value {
            // A label is whatever bytes the guest put there.
            write!(f, " {tag}={}", value.escape_debug())?;
        }
    }
    Ok(())
}

impl fmt::Display for PartitionTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dos { disk_signature, .. } => {
                write!(f, "DOS partition table, signature {disk_signature:08x}")
            }
            Self::Gpt { disk_guid, .. } => match disk_guid {
                Some(guid) => write!(f, "GPT, GUID {guid}"),
                None => f.write_str("GPT that cannot be read"),
            },
            Self::None { content } => {
                write!(f, "no partition table, content: {}", content.kind.name())
            }
        }
    }
}

impl fmt::Display for BootCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grub2 { core_image } => write!(f, "{}, core image at {core_image}", self.name()),
            Self::Unknown => f.write_str("not recognised"),
            _ => f.write_str(self.name()),
        }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "partition {:<2}{} {}, type ",
            self.number,
            if self.active { "*" } else { " " },
            self.range
        )?;
        match &self.type_code {
            TypeCode::Dos(code) => write!(f, "{code:#04x}")?,
            TypeCode::Gpt(guid) => f.write_str(guid)?,
        }
        if let Some(role) = self.role() {
            write!(f, " ({role})")?;
        }
        write!(f, ", {}", self.content.kind.name())?;
        if self.slot == Slot::Logical {
            f.write_str(" (logical)")?;
        }
        identifiers(f, &self.content, self.part_label.as_ref())
    }
}
