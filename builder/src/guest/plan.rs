//! Which further file systems are mounted, where and in which order: a decision on data alone.

use byoi_agent::parse::fstab::Entry;

use super::root::Root;
use crate::layout::{ContentKind, Layout, Part, PartId};
use crate::volumes::{OwnDisk, Resolution, Volumes};

/// One further mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// The mount point, an absolute path without `.` and empty components.
    pub(super) point: String,
    /// What is mounted.
    pub(super) part: PartId,
    /// The mount option that chooses a btrfs subvolume.
    pub(super) subvolume: Option<String>,
    /// Why it is not even tried.
    pub(super) refused: Option<&'static str>,
}

/// Reads the mounts off the root's fstab: those of partitions and volumes of this disk, parents
/// first.
/// Swap areas, network and foreign file systems are none.
pub(super) fn plan(root: &Root, layout: &Layout) -> Vec<Step> {
    let disk = root.own_disk();
    let volumes = Volumes::on(layout);
    let mut steps: Vec<Step> = Vec::new();
    for entry in &root.fstab {
        if let Some(mut step) = step(entry, &disk, &volumes, layout) {
            let of_btrfs = layout
                .part(&step.part)
                .is_some_and(|part| part.content().kind == ContentKind::Btrfs);
            let taken = step.part == root.part || steps.iter().any(|other| other.part == step.part);
            if taken && !of_btrfs {
                step.refused = Some("its file system is mounted elsewhere");
            } else if steps.iter().any(|other| other.point == step.point) {
                step.refused = Some("another line has this mount point");
            }
            steps.push(step);
        }
    }
    steps.sort_by_key(|step| step.point.matches('/').count());
    steps
}

fn step(entry: &Entry, disk: &OwnDisk, volumes: &Volumes, layout: &Layout) -> Option<Step> {
    if !entry.target.starts_with('/') {
        return None;
    }
    let part = resolve(&entry.source, disk, volumes, layout)?;
    if matches!(
        part.content().kind,
        ContentKind::Swap | ContentKind::Hibernated
    ) || entry.is_swap()
    {
        return None;
    }
    let components: Vec<&str> = entry
        .target
        .split('/')
        .filter(|component| !matches!(*component, "" | "."))
        .collect();
    if components.is_empty() {
        return None;
    }
    let refused = components
        .contains(&"..")
        .then_some("its mount point has .. in it");
    Some(Step {
        point: format!("/{}", components.join("/")),
        part: part.id(),
        subvolume: subvolume(entry),
        refused,
    })
}

/// The part of this disk that an entry mounts.
pub(super) fn resolve<'a>(
    source: &str,
    disk: &OwnDisk,
    volumes: &Volumes,
    layout: &'a Layout,
) -> Option<Part<'a>> {
    match volumes.find(source, disk) {
        Resolution::Here(volume) => layout.part(&volume.id()),
        _ => None,
    }
}

/// The option that chooses a btrfs subvolume.
fn subvolume(entry: &Entry) -> Option<String> {
    entry
        .options
        .iter()
        .rev()
        .find(|option| option.starts_with("subvol=") || option.starts_with("subvolid="))
        .cloned()
}

#[cfg(test)]
mod tests {
    use byoi_agent::parse::fstab;

    use super::*;
    use crate::layout::{Content, Partition, PartitionTable, Slot, TypeCode};
    use crate::units::ByteRange;

    fn layout() -> Layout {
        let kinds = [
            ContentKind::Ext4,
            ContentKind::Xfs,
            ContentKind::Swap,
            ContentKind::Btrfs,
            ContentKind::Vfat,
        ];
        let partitions = (1..)
            .zip(kinds)
            .map(|(number, kind)| Partition {
                number,
                slot: Slot::Gpt,
                type_code: TypeCode::Gpt(String::new()),
                active: false,
                range: ByteRange::new(0, 1).unwrap(),
                part_uuid: format!("part-{number}"),
                part_label: None,
                former: None,
                content: Content {
                    kind,
                    uuid: Some(format!("FS-{number}")),
                    label: Some(format!("label {number}")),
                    ..Content::default()
                },
            })
            .collect();
        Layout {
            disk_size: 1,
            sector_size: 512,
            mbr_signature: true,
            table: PartitionTable::None {
                content: Content::default(),
            },
            partitions,
            volume_groups: Vec::new(),
            lvm_faults: Vec::new(),
        }
    }

    #[test]
    fn an_fstab_becomes_mounts() {
        let other = "its file system is mounted elsewhere";
        let cases: [(&str, &[(&str, u32, Option<&str>)]); 9] = [
            // Parents first, whatever the order of the lines.
            (
                "UUID=FS-2 /boot/efi auto\nUUID=FS-5 /boot auto",
                &[("/boot", 5, None), ("/boot/efi", 2, None)],
            ),
            // This disk is what root's line says; elsewhere any first disk is.
            (
                "/dev/vdb1 / ext4\n/dev/vdb2 /a xfs\n/dev/vda5 /b vfat",
                &[("/a", 2, None)],
            ),
            (
                "UUID=FS-1 / ext4\n/dev/nvme0n1p2 /a xfs\n/dev/sdb5 /b auto",
                &[("/a", 2, None)],
            ),
            (
                "LABEL=label\\0402 /a xfs\nPARTUUID=PART-5 //b/./ auto",
                &[("/a", 2, None), ("/b", 5, None)],
            ),
            (
                "uuid=fs-2 /a xfs\n/dev/disk/by-label/label\\x202 /b xfs",
                &[("/b", 2, None)],
            ),
            // Not of this disk, or not to be mounted.
            (
                "UUID=FS-3 none swap\nhost:/e /n nfs\ntmpfs /tmp tmpfs\n/dev/mapper/vg-x /x xfs",
                &[],
            ),
            ("UUID=FS-2 / xfs\nUUID=FS-2 relative xfs", &[]),
            (
                "UUID=FS-2 /a/../.. xfs",
                &[("/a/../..", 2, Some("its mount point has .. in it"))],
            ),
            (
                "UUID=FS-2 /a xfs\nUUID=FS-2 /b xfs",
                &[("/a", 2, None), ("/b", 2, Some(other))],
            ),
        ];
        for (text, expected) in cases {
            let root = Root::for_tests(PartId::Partition(1), fstab::entries(text));
            let steps = plan(&root, &layout());
            let steps: Vec<_> = steps
                .iter()
                .map(|step| match step.part {
                    PartId::Partition(number) => (step.point.as_str(), number, step.refused),
                    PartId::Logical(_) => unreachable!("there are none"),
                })
                .collect();
            assert_eq!(steps, expected, "{text}");
        }
    }

    #[test]
    fn a_btrfs_may_be_mounted_again() {
        let text = "UUID=FS-4 /home btrfs subvol=@home\nUUID=FS-4 /srv btrfs subvolid=258,ro";
        let root = Root::for_tests(PartId::Partition(4), fstab::entries(text));
        let options: Vec<_> = plan(&root, &layout())
            .into_iter()
            .map(|step| (step.subvolume, step.refused))
            .collect();
        let expected =
            ["subvol=@home", "subvolid=258"].map(|option| (Some(option.to_owned()), None));
        assert_eq!(options, expected);
    }
}
