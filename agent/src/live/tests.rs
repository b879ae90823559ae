//! What is seen, planned and refused on machines of every kind.

use std::rc::Rc;

use super::Release;
use super::kernel::Kernel;
use super::operation::Operation;
use super::survey::{Role, Survey};
use super::testing::{Machine, PORTAL, lvm_id};
use crate::rules::KnownDisk;
use crate::rules::iscsi_credentials::IscsiCredentials;
use crate::rules::iscsi_initiator_name::IscsiInitiatorName;
use crate::rules::iscsi_mount::IscsiMount;
use crate::rules::iscsi_node_records::IscsiNodeRecords;
use crate::rules::iscsi_root::IscsiRoot;
use crate::rules::iscsi_session::IscsiSession;

const DATA: &str = "iqn.2004-04.com.example:storage.data";
const VOLUMES: &str = "iqn.2004-04.com.example:storage.volumes";

fn running() -> Rc<KnownDisk> {
    Rc::new(KnownDisk {
        is_running: true,
        ..KnownDisk::default()
    })
}

fn plan(machine: Machine) -> Release {
    machine.with(|root| Release::plan(root).unwrap())
}

/// The operations as command lines, but the first, which keeps the record.
fn operations(release: &Release) -> Vec<String> {
    let mut operations = release.operations.iter();
    let first = operations.next();
    assert!(first.is_none_or(|first| matches!(first, Operation::Remember(_))));
    operations.map(ToString::to_string).collect()
}

fn roles(machine: Machine) -> Vec<Role> {
    machine.with(|root| {
        let survey = Survey::read(Kernel(root)).unwrap();
        let sessions = survey.into_iter().flat_map(|survey| survey.sessions);
        sessions.map(|attached| attached.role).collect()
    })
}

/// One disk with a file system and a directory of it bound elsewhere, one with LVM: data and swap.
fn storage() -> Machine {
    Machine::new()
        .session(1, DATA, "sdb")
        .session(2, VOLUMES, "sdc")
        .device("sdb", "8:16", &[])
        .device("sdc", "8:32", &["dm-0", "dm-1"])
        .mapping(0, "store-data", &lvm_id('g', 'a'), &[])
        .mapping(1, "store-my--swap", &lvm_id('g', 'b'), &[])
        .mount("205 26 254:0 / /srv/archive rw,relatime shared:83 - ext4 /dev/mapper/store-data rw")
        .mount("212 26 8:16 / /srv/data rw,noatime shared:113 - ext4 /dev/sdb rw,stripe=4")
        .mount("219 26 8:16 /sub /srv/bind rw,noatime shared:113 - ext4 /dev/sdb rw,stripe=4")
        .swap("/dev/dm-1", 0)
}

#[test]
fn everything_is_released_in_order() {
    let record = "/etc/iscsi/nodes/iqn.2004-04.com.example:storage.data/192.0.2.5,3260,1/default";
    let machine = storage().file(record, "").file(
        "/sys/fs/cgroup/system.slice/ocid.service/cgroup.procs",
        "7\n",
    );
    let release = plan(machine);
    assert_eq!(
        operations(&release),
        [
            "systemctl stop ocid.service",
            "swapoff /dev/dm-1",
            "umount /srv/bind",
            "umount /srv/data",
            "umount /srv/archive",
            "vgchange --activate n store",
            "iscsiadm -m session -r 1 -u",
            "iscsiadm -m session -r 2 -u",
        ]
    );
    assert_eq!(release.obstacles, Vec::<String>::new());
    let written = release.record;
    assert_eq!(written.sessions[0].records, [record]);
    assert_eq!(written.services, ["ocid.service"]);
    let mounts: Vec<_> = written
        .mounts
        .iter()
        .map(|mount| {
            let source = mount.source.to_string();
            (source, &*mount.root, &*mount.target, &*mount.options)
        })
        .collect();
    let disk = format!("disk 1 of {DATA} at {PORTAL}:3260");
    assert_eq!(
        mounts,
        [
            (
                "/dev/mapper/store-data".to_owned(),
                "/",
                "/srv/archive",
                "rw,relatime"
            ),
            (disk.clone(), "/", "/srv/data", "rw,noatime,stripe=4"),
            (disk, "/sub", "/srv/bind", "rw,noatime,stripe=4"),
        ]
    );
    assert_eq!(
        written.swaps[0].source.to_string(),
        "/dev/mapper/store-my--swap"
    );
    assert_eq!(written.swaps[0].priority, 7);
}

#[test]
fn without_a_session_nothing_is_done() {
    for machine in [Machine::new(), Machine::default()] {
        assert_eq!(plan(machine), Release::default());
    }
}

#[test]
fn a_run_that_completes_another_knows_what_that_one_did() {
    let first = plan(storage()).record;
    let machine = Machine::new().file(
        super::record::PLACE,
        &serde_json::to_string(&first).unwrap(),
    );
    let second = plan(machine);
    assert!(second.operations.is_empty());
    assert_eq!(second.record, first);
}

#[test]
fn what_is_stacked_comes_off_from_the_top() {
    let machine = Machine::new()
        .session(1, DATA, "sdb")
        .session(2, DATA, "sdc")
        .session(3, VOLUMES, "sdd")
        .device("sdb", "8:16", &["dm-0"])
        .device("sdc", "8:32", &["dm-0"])
        .mapping(0, "mpatha", "mpath-360000", &["dm-1"])
        .mapping(1, "mpatha-part1", "part1-mpath-360000", &["dm-2"])
        .mapping(2, "store-data", &lvm_id('g', 'a'), &["dm-3"])
        .mapping(3, "safe", "CRYPT-LUKS2-0-safe", &[])
        .device("sdd", "8:48", &[])
        .partition("sdd", 1, "8:49", &["md127"])
        .device("md127", "9:127", &[])
        .file("/sys/block/md127/md/level", "raid1\n")
        .mount("40 26 254:3 / /srv/safe rw - xfs /dev/mapper/safe rw")
        .mount("41 26 9:127 / /srv/array rw - xfs /dev/md127 rw");
    let release = plan(machine);
    assert_eq!(
        operations(&release),
        [
            "umount /srv/array",
            "umount /srv/safe",
            "dmsetup remove safe",
            "vgchange --activate n store",
            "dmsetup remove mpatha-part1",
            "multipath -f mpatha",
            "mdadm --stop /dev/md127",
            "iscsiadm -m session -r 1 -u",
            "iscsiadm -m session -r 2 -u",
            "iscsiadm -m session -r 3 -u",
        ]
    );
}

#[test]
fn a_group_that_is_local_in_part_keeps_that_part() {
    let machine = Machine::new()
        .session(1, DATA, "sdb")
        .device("sdb", "8:16", &["dm-1"])
        .mapping(0, "vg-root", &lvm_id('g', 'a'), &[])
        .mapping(1, "vg-data", &lvm_id('g', 'b'), &[])
        .partition("sda", 2, "8:2", &["dm-0", "dm-1"]);
    let release = plan(machine);
    assert_eq!(
        operations(&release),
        [
            "lvchange --activate n vg/data",
            "iscsiadm -m session -r 1 -u"
        ]
    );
    assert_eq!(release.record.groups[0].volumes, ["data"]);
}

#[test]
fn the_boot_volume_and_the_system_stay() {
    let boot = "iqn.2015-02.oracle.boot:uefi";
    let attached = |target, address| {
        Machine::new()
            .session_at(1, target, address, "LOGGED_IN", "sdb")
            .device("sdb", "8:16", &[])
            .partition("sdb", 1, "8:17", &[])
    };
    let chosen = |flags: &str| {
        attached(DATA, PORTAL)
            .file("/sys/firmware/ibft/target0/target-name", DATA)
            .file("/sys/firmware/ibft/target0/flags", flags)
    };
    for (machine, expected) in [
        (attached(boot, PORTAL), Role::BootVolume),
        (attached(DATA, "169.254.0.2"), Role::BootVolume),
        (chosen("3\n"), Role::BootVolume),
        (chosen("1\n"), Role::Data),
        (attached(DATA, PORTAL), Role::Data),
        (
            attached(DATA, PORTAL).mount("30 26 8:17 / /boot rw - ext4 /dev/sdb1 rw"),
            Role::System,
        ),
        (
            // A btrfs has a number of its own, and names but one of its devices.
            attached(DATA, PORTAL)
                .file("/sys/fs/btrfs/5b2c/devices/sda2", "")
                .file("/sys/fs/btrfs/5b2c/devices/sdb1", "")
                .partition("sda", 2, "8:2", &[])
                .mount("31 26 0:40 /@var /var rw - btrfs /dev/sda2 rw,subvol=/@var"),
            Role::System,
        ),
    ] {
        assert_eq!(roles(machine), [expected]);
    }
    let system = || attached(DATA, PORTAL).mount("30 26 8:17 / /boot rw - ext4 /dev/sdb1 rw");
    assert!(plan(system()).operations.is_empty());
    let fixture = system().fixture();
    let subject = format!("{DATA} at {PORTAL}:3260");
    let root = IscsiRoot::new(running());
    assert_eq!(fixture.open(&root), std::slice::from_ref(&subject));
    assert!(fixture.open(&IscsiSession::new(true)).is_empty());
    let fixture = attached(boot, PORTAL).fixture();
    assert!(fixture.open(&IscsiSession::new(true)).is_empty());
    assert_eq!(fixture.check(&IscsiSession::new(true)).len(), 1);
    let fixture = attached(DATA, PORTAL).fixture();
    assert_eq!(fixture.open(&IscsiSession::new(true)), [subject]);
    // A guest on a disk has no kernel to ask.
    assert!(fixture.check(&IscsiSession::new(false)).is_empty());
    assert!(fixture.check(&IscsiRoot::default()).is_empty());
}

#[test]
fn what_stands_in_the_way_is_named() {
    let with = |machine: Machine| plan(machine).obstacles;
    for (machine, expected) in [
        (
            storage().mount("230 212 0:50 / /srv/data/run rw - tmpfs tmpfs rw"),
            "/srv/data/run (tmpfs) is mounted on /srv/data: unmount it",
        ),
        (
            storage().mount(
                "231 1 0:51 / /run/merged rw - overlay overlay rw,lowerdir=/usr:/srv/data/lower",
            ),
            "/run/merged (overlay) has a layer at /srv/data/lower: unmount it",
        ),
        (
            storage()
                .device("loop0", "7:0", &[])
                .file("/sys/block/loop0/loop/backing_file", "/srv/data/disk.img\n"),
            "/dev/loop0 is made of /srv/data/disk.img: unmount it, then detach it with losetup -d /dev/loop0",
        ),
        (
            storage().swap("/srv/archive/swap", 800_000),
            "800000 KiB are swapped out to /dev/dm-1 and /srv/archive/swap and 700000 KiB of memory \
             are free: end what needs so much, or add local swap space",
        ),
        (
            Machine::new()
                .session_at(7, DATA, PORTAL, "FAILED", "sdb")
                .device("sdb", "8:16", &[])
                .mount("40 26 8:16 / /srv/data rw - ext4 /dev/sdb rw"),
            "the target iqn.2004-04.com.example:storage.data at 192.0.2.5:3260 does not answer and \
             its volumes are in use: bring it back, or give up what was not written to it yet: \
             umount -l, then iscsiadm -m session -r 7 -u",
        ),
    ] {
        assert_eq!(with(machine), [expected]);
    }
    // One path that answers is enough.
    let two_paths = |state| {
        Machine::new()
            .session_at(7, DATA, PORTAL, "FAILED", "sdb")
            .session_at(8, DATA, "192.0.2.6", state, "sdc")
            .device("sdb", "8:16", &["dm-0"])
            .device("sdc", "8:32", &["dm-0"])
            .mapping(0, "mpatha", "mpath-360000", &[])
            .mount("40 26 254:0 / /srv/data rw - ext4 /dev/mapper/mpatha rw")
    };
    assert!(with(two_paths("LOGGED_IN")).is_empty());
    assert_eq!(with(two_paths("FAILED")).len(), 2);
    // Nothing is lost where nothing is in use.
    let silent = Machine::new()
        .session_at(7, DATA, PORTAL, "FAILED", "sdb")
        .device("sdb", "8:16", &[]);
    assert!(with(silent).is_empty());
    // Local swap space takes what does not fit into memory.
    let roomy = storage()
        .swap("/srv/archive/swap", 800_000)
        .swap("/dev/sda1", 0);
    assert!(with(roomy).is_empty());
}

#[test]
fn mounts_that_only_a_container_has_are_released_there() {
    let copies = "\
300 290 8:1 / / rw master:1 - ext4 /dev/sda1 rw
301 300 8:16 / /srv/data rw,noatime master:113 - ext4 /dev/sdb rw
302 300 254:0 / /data rw - ext4 /dev/mapper/store-data rw
";
    let release = plan(storage().container(812, "nginx", copies));
    let unmounts: Vec<String> = operations(&release)
        .into_iter()
        .filter(|line| line.contains("umount"))
        .collect();
    assert_eq!(
        unmounts,
        [
            "umount /srv/bind",
            "umount /srv/data",
            "umount /srv/archive",
            "nsenter --target 812 --mount umount /data",
        ]
    );
    assert_eq!(release.record.elsewhere.len(), 1);
    assert_eq!(release.record.elsewhere[0].process, "nginx (process 812)");
}

#[test]
fn a_mount_on_access_is_stopped_and_started_by_its_unit() {
    let machine = Machine::new()
        .session(1, DATA, "sdb")
        .device("sdb", "8:16", &[])
        .mount("40 26 0:33 / /srv/my-data rw - autofs systemd-1 rw,fd=50")
        .mount("41 40 8:16 / /srv/my-data rw - ext4 /dev/sdb rw");
    let release = plan(machine);
    assert_eq!(
        operations(&release),
        [
            "umount /srv/my-data",
            "systemctl stop srv-my\\x2ddata.automount",
            "iscsiadm -m session -r 1 -u"
        ]
    );
    let unit = release.record.mounts[0].automount.as_deref();
    assert_eq!(unit, Some("srv-my\\x2ddata.automount"));
}

#[test]
fn what_a_map_of_autofs_mounts_has_no_unit() {
    let machine = Machine::new()
        .session(1, DATA, "sdb")
        .device("sdb", "8:16", &[])
        .mount("40 26 0:33 / /srv/data rw - autofs /etc/auto.direct rw,fd=50")
        .mount("41 40 8:16 / /srv/data rw - ext4 /dev/sdb rw");
    let release = plan(machine);
    assert_eq!(
        operations(&release),
        ["umount /srv/data", "iscsiadm -m session -r 1 -u"]
    );
    assert_eq!(release.record.mounts[0].automount, None);
}

#[test]
fn a_system_that_only_the_kernel_knows_to_be_elsewhere_can_boot_again() {
    let name = "/etc/iscsi/initiatorname.iscsi";
    let conf = "/etc/iscsi/iscsid.conf";
    let own = format!("/etc/iscsi/nodes/{DATA}/{PORTAL},3260,1/default");
    let other = format!("/etc/iscsi/nodes/iqn.x:other/{PORTAL},3260,1/default");
    let machine = |on_root: bool| {
        let machine = Machine::new()
            .session(1, DATA, "sdb")
            .device("sdb", "8:16", &[])
            .file("/etc/os-release", "ID=debian\n")
            .file(name, "InitiatorName=iqn.1993-08.org.debian:01:web01\n")
            .file(conf, "node.session.auth.password = Quartz Lantern\n")
            .file(&own, "node.startup = automatic\n")
            .file(&other, "node.startup = automatic\n");
        let target = if on_root { "/usr" } else { "/srv" };
        machine.mount(&format!("30 26 8:16 / {target} rw - ext4 /dev/sdb rw"))
    };
    for on_root in [true, false] {
        let fixture = machine(on_root).fixture();
        fixture.fix_once(&[
            &IscsiNodeRecords::new(running()),
            &IscsiCredentials::new(running()),
            &IscsiInitiatorName::new(running()),
        ]);
        assert_eq!(fixture.has(&own), on_root);
        assert!(!fixture.has(&other));
        let kept = |path: &str, part: &str| fixture.text(path).unwrap().contains(part);
        assert_eq!(kept(name, "web01"), on_root);
        assert_eq!(kept(conf, "Quartz"), on_root);
    }
}

#[test]
fn entries_and_units_of_attached_volumes_go_whatever_they_are_called() {
    let fstab = "/etc/fstab";
    let mount = "/etc/systemd/system/srv-b.mount";
    let other = "/etc/systemd/system/srv-c.mount";
    let swap = "/etc/systemd/system/swap.swap";
    let fixture = Machine::new()
        .session(1, DATA, "sdb")
        .device("sdb", "8:16", &[])
        .partition("sdb", 1, "8:17", &[])
        .partition("sdb", 2, "8:18", &[])
        .partition("sdb", 3, "8:19", &[])
        .file("/dev/sdb3", "")
        .file("/dev/disk/by-uuid/5a1e", "-> ../../sdb3")
        .mount("30 26 8:17 / /srv/a rw - ext4 /dev/sdb1 rw")
        .mount("31 26 8:18 / /srv/b rw - ext4 /dev/sdb2 rw")
        .file(
            fstab,
            "UUID=a / ext4 defaults\nUUID=b /srv/a ext4 defaults\nUUID=c /srv/c ext4 defaults\n\
             UUID=5a1e none swap sw\n/srv/a/swap none swap sw\n",
        )
        .file(mount, "[Mount]\nWhat=UUID=d\nWhere=/srv/b\n")
        .file(other, "[Mount]\nWhat=UUID=e\nWhere=/srv/c\n")
        .file(swap, "[Swap]\nWhat=/dev/disk/by-uuid/5a1e\n")
        .fixture();
    // A guest on a disk has no kernel to ask.
    fixture.fix(&[&IscsiMount::default()]);
    assert!(fixture.has(mount) && fixture.has(swap));
    fixture.fix(&[&IscsiMount::new(running())]);
    assert_eq!(
        fixture.text(fstab).unwrap(),
        "UUID=a / ext4 defaults\nUUID=c /srv/c ext4 defaults\n"
    );
    assert!(!fixture.has(mount) && !fixture.has(swap));
    assert!(fixture.has(other));
}
