//! Small guests for the tests of rules.

use std::collections::BTreeMap;

use byoi_agent::facts::{Facts, Family};
use byoi_agent::guest::{Drafted, Guest};
use byoi_agent::root::GuestRoot;
use byoi_agent::rules::Rule;
use tempfile::TempDir;

use super::chain::Chain;
use crate::guest::GuestMount;
use crate::layout::{
    BootCode, Content, ContentKind, Layout, Partition, PartitionTable, Slot, TypeCode,
};
use crate::loader::{Area, BiosLoader, CoreImage, Loader, Next};
use crate::units::{ByteRange, Lba};

/// What is known of a disk with such a loader: an ext4 (UUID `c1a7`) mounted at `/`, another one
/// that is not mounted, and a swap area.
pub(super) fn chain(loader: Loader) -> Chain {
    let contents = [
        (ContentKind::Ext4, "c1a7"),
        (ContentKind::Ext4, "b007"),
        (ContentKind::Swap, "5a5a"),
    ];
    let partitions = (1..)
        .zip(contents)
        .map(|(number, (kind, uuid))| Partition {
            number,
            slot: Slot::Primary,
            type_code: TypeCode::Dos(0x83),
            active: number == 1,
            range: ByteRange::new(u64::from(number) << 20, 1 << 20).unwrap(),
            part_uuid: format!("5f3c9a1e-{number:02}"),
            part_label: None,
            former: None,
            content: Content {
                kind,
                uuid: Some(uuid.to_owned()),
                ..Content::default()
            },
        })
        .collect();
    let layout = Layout {
        disk_size: 16 << 20,
        sector_size: 512,
        mbr_signature: true,
        table: PartitionTable::Dos {
            disk_signature: 0x5f3c_9a1e,
            boot_code: BootCode::Unknown,
            chain_faults: Vec::new(),
            stale_gpt: false,
        },
        partitions,
        volume_groups: Vec::new(),
        lvm_faults: Vec::new(),
    };
    let root = GuestMount {
        point: "/".to_owned(),
        partition: 1,
        logical_volume: None,
        file_system: "ext4",
        subvolume: None,
        skipped: None,
    };
    Chain::new(loader, &layout, &[root])
}

/// GRUB 2 with such a core image behind the partition table.
pub(super) fn core(prefix: &str, config: Option<&str>, modules: &[&str]) -> Loader {
    let at = Lba::new(1);
    let core = CoreImage {
        at,
        blocks: vec![ByteRange::of_sectors(at, 53).unwrap()],
        boot_partition: None,
        area: Area {
            prefix: prefix.to_owned(),
            config: config.map(str::to_owned),
            memdisk: false,
            modules: modules.iter().map(|&module| module.to_owned()).collect(),
        },
    };
    Loader {
        bios: Some(BiosLoader {
            code: BootCode::Grub2 { core_image: at },
            next: Next::Core(Ok(core)),
        }),
        efi: Vec::new(),
    }
}

/// A guest root in a temporary directory.
pub(super) struct Fixture {
    root: GuestRoot,
    /// What the guest claims to be.
    pub facts: Facts,
    dir: TempDir,
}

impl Fixture {
    /// A Debian with these files, each a path and its content.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = dir.path().join(path.trim_start_matches('/'));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        Self {
            root: GuestRoot::open(dir.path()).unwrap(),
            facts: Facts {
                id: "debian".into(),
                version: "12".into(),
                family: Family::Debian,
                arch: Some("x86_64"),
                network_stacks: Vec::new(),
                systemd: true,
                kernels: Vec::new(),
            },
            dir,
        }
    }

    /// Adds a file that need be no text.
    pub fn write(&self, path: &str, content: &[u8]) {
        let path = self.dir.path().join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// The guest, nothing drafted.
    pub fn guest(&self) -> Guest<'_> {
        Guest::new(&self.root, &self.facts)
    }

    /// What a rule finds, as `subject:line evidence`.
    pub fn found(&self, rule: &dyn Rule) -> Vec<String> {
        shown(rule, &self.guest())
    }

    /// The files that a rule drafts, and what it still finds then. Checks that drafting again
    /// changes nothing.
    pub fn fixed(&self, rule: &dyn Rule) -> (BTreeMap<String, String>, Vec<String>) {
        let mut guest = self.guest();
        rule.fix(&mut guest).unwrap();
        let drafts = guest.drafts().clone();
        let left = shown(rule, &guest);
        rule.fix(&mut guest).unwrap();
        assert_eq!(guest.drafts(), &drafts, "drafting twice changed something");
        let drafts = drafts
            .into_iter()
            .map(|(path, draft)| match draft {
                Drafted::Content(content) => {
                    (path.to_string(), String::from_utf8(content).unwrap())
                }
                Drafted::Link(target) => unreachable!("a link to {target}"),
                Drafted::Removed => panic!("{path} was removed"),
            })
            .collect();
        (drafts, left)
    }
}

fn shown(rule: &dyn Rule, guest: &Guest<'_>) -> Vec<String> {
    rule.check(guest)
        .unwrap()
        .iter()
        .map(|defect| {
            let line = defect
                .line
                .map(|line| format!(":{line}"))
                .unwrap_or_default();
            format!("{}{line} {}", defect.subject, defect.evidence)
        })
        .collect()
}
