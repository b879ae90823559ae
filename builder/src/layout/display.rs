//! A layout for a person, as `inspect` prints it.

use std::fmt;

use super::{BootCode, Layout, Partition, PartitionTable, Slot, TypeCode};

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "disk        {} bytes, {}", self.disk_size, self.table)?;
        if let Some(boot_code) = self.boot_code() {
            writeln!(f, "boot code   {boot_code}")?;
        }
        for partition in &self.partitions {
            writeln!(f, "{partition}")?;
        }
        Ok(())
    }
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
        write!(f, ", {}", self.content.kind.name())?;
        if self.slot == Slot::Logical {
            f.write_str(" (logical)")?;
        }
        for (tag, value) in [
            ("UUID", &self.content.uuid),
            ("LABEL", &self.content.label),
            ("PARTLABEL", &self.part_label),
        ] {
            if let Some(value) = value {
                // A label is whatever bytes the guest put there.
                write!(f, " {tag}={}", value.escape_debug())?;
            }
        }
        Ok(())
    }
}
