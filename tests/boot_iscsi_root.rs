//! A guest that boots from an iSCSI target of a storage server: blocked, and left alone.
//!
//! `scripts/test.sh --matrix` runs it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::Path;

use byoi_tests::guest::{Entry, Guest};
use byoi_tests::network::{Network, copy_disk};
use byoi_tests::{stack_disk, text};
use tempfile::TempDir;

/// Where the storage server answers.
const STORAGE: &str = "192.0.2.10";
/// What it serves the disk as.
const TARGET: &str = "iqn.2004-04.com.example:storage.system";

/// Everything that has to be as before.
const STATE: &str = "
iscsiadm -m session | sed 's/ *\\[[0-9]*\\]//'
findmnt -rn -o TARGET,FSTYPE,VFS-OPTIONS /
";

/// Prepares, and says what the report says. Without its host keys, sshd takes no other connection.
const PREPARE: &str = "
set -o pipefail
byoi-agent prepare --yes --bundle - --report /dev/shm/report --skip identity/ssh-host-keys |
    cat >/dev/shm/bundle
code=$?
cat /dev/shm/report
exit $code
";

/// Takes kernel and initramfs out of a disk, and lets networkd keep the address that the initramfs
/// was given.
const TAKE: &str = r#"
mkdir "$2/mnt"
mount -o loop,offset=1048576 "$1" "$2/mnt"
cp "$2"/mnt/boot/vmlinuz-* "$2/vmlinuz"
cp "$2"/mnt/boot/initrd.img-* "$2/initrd"
cat >"$2/mnt/etc/systemd/network/10-lan.network" <<END
[Match]
Name=e*

[Network]
DHCP=ipv4
KeepConfiguration=yes
END
umount "$2/mnt"
"#;

/// Lets the storage server serve a disk.
const SERVE: &str = r#"
touch "$1/system.img"
mount --bind "$2" "$1/system.img"
tgtadm="chroot $1 tgtadm --lld iscsi"
$tgtadm --op new --mode target --tid 9 --targetname "$3"
$tgtadm --op new --mode logicalunit --tid 9 --lun 1 --backing-store /system.img
$tgtadm --op bind --mode target --tid 9 --initiator-address ALL
"#;

fn sh(mut command: std::process::Command, script: &str, args: &[&str]) {
    let output = command
        .args(["-euc", script, "sh"])
        .args(args)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Boots from the target that the disk is served as.
fn boot<'a>(entry: Entry, dir: &Path, network: &'a Network) -> Guest<'a> {
    let arguments = format!(
        "console=ttyS0 ip=dhcp iscsi_initiator=iqn.1993-08.org.debian:01:web01 \
         iscsi_target_name={TARGET} iscsi_target_ip={STORAGE} \
         root=/dev/disk/by-path/ip-{STORAGE}:3260-iscsi-{TARGET}-lun-1-part1"
    );
    let (kernel, initramfs) = (dir.join("vmlinuz"), dir.join("initrd"));
    let boots_from = [
        "-kernel",
        text(&kernel),
        "-initrd",
        text(&initramfs),
        "-append",
        &arguments,
    ];
    Guest::start(entry, &boots_from, network)
}

#[test]
#[ignore = "a boot: scripts/test.sh --matrix"]
fn boot_a_system_on_an_iscsi_target_is_left_alone() {
    let dir = TempDir::with_prefix("byoi-root-").unwrap();
    let disk = stack_disk("bookworm", "iscsi", dir.path());
    let storage = dir.path().join("storage.raw");
    copy_disk(&disk, &storage);
    let mut unshare = std::process::Command::new("unshare");
    unshare.args(["--mount", "sh"]);
    sh(unshare, TAKE, &[text(&disk), text(dir.path())]);
    let entry = Entry::into_disk(&disk);
    let mount = dir.path().join("storage");
    fs::create_dir(&mount).unwrap();
    let network = Network::with_storage(&storage, &mount, STORAGE);
    sh(
        network.command("sh"),
        SERVE,
        &[text(&mount), text(&disk), TARGET],
    );

    let guest = boot(entry, dir.path(), &network);
    let before = guest.sh(STATE);
    assert!(before.contains(TARGET), "{before}");
    let said = guest.ssh("byoi-agent check --format json").expect(1);
    assert!(said.rules("open").contains(&"iscsi/root".to_owned()));

    // What is files is done and can be undone; the session stays.
    let said = guest.ssh(PREPARE).expect(1);
    assert!(said.rules("open").contains(&"iscsi/root".to_owned()));
    let session = "iscsi/session".to_owned();
    assert!(!said.rules("fixed").contains(&session), "{}", said.stdout);
    assert_eq!(guest.sh(STATE), before);
    guest.sh("byoi-agent restore --yes --bundle - </dev/shm/bundle; echo alive >/root/alive; sync");
    assert_eq!(guest.sh(STATE), before);
}
