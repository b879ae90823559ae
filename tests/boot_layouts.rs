//! A guest on each layout of disk is broken as VMware leaves it, is mended, and boots.
//!
//! One boot a layout, without KVM some minutes each: `scripts/test.sh --matrix` runs them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use byoi_tests::{PATIENCE, layout_disk, program, run, text};
use tempfile::TempDir;

/// The rules that mend every layout.
const ALL: [&str; 7] = [
    "boot/fstab-device",
    "boot/fstab-missing-volume",
    "boot/initramfs-virtio",
    "boot/serial-console",
    "net/name-pinned",
    "net/no-dhcp",
    "net/static",
];

/// What mends a root that is named as the kernel counts disks.
const BY_DEVICE: &[&str] = &["boot/root-by-device"];
const LVM: &[&str] = &["identity/lvm-devices"];
const GPT: &[&str] = &["boot/root-by-device", "disk/gpt"];
const UEFI: &[&str] = &["boot/efi-fallback", "boot/root-by-device"];

fn is_mended_and_boots(suite: &str, layout: &str, options: &[&str], rules: &[&str]) {
    let dir = TempDir::with_prefix("byoi-test-").unwrap();
    let disk = layout_disk(suite, layout, dir.path());
    let image = dir.path().join("disk.qcow2");
    let args = ["build", text(&disk), "-o", text(&image), "--format", "json"];
    let built = run(
        program("byoi-builder"),
        &[args.as_slice(), &PATIENCE, options].concat(),
    )
    .expect(0);
    let proof = &built.json()["boot_proof"];
    assert_eq!(proof["verdict"], "proved", "{proof}");
    assert!(proof["lease"]["address"].is_string(), "{proof}");
    let fixed = built.rules("fixed");
    for rule in ALL.iter().chain(rules) {
        assert!(fixed.contains(&(*rule).to_owned()), "{rule}: {fixed:?}");
    }
    let _ = run("qemu-img", &["check", "-q", text(&image)]).expect(0);
}

macro_rules! layouts {
    ($($test:ident: $suite:literal $layout:literal $options:expr, $rules:expr;)*) => {
        $(#[test]
        #[ignore = "a boot: scripts/test.sh --matrix"]
        fn $test() {
            is_mended_and_boots($suite, $layout, &$options, $rules);
        })*
    };
}

layouts! {
    boot_lvm_xfs: "bookworm" "lvm-xfs" [], LVM;
    boot_uefi: "bookworm" "uefi" ["--firmware", "uefi", "--accept-gpt"], UEFI;
    boot_btrfs: "bookworm" "btrfs" [], BY_DEVICE;
    boot_dracut_lvm: "bookworm" "dracut-lvm" [], LVM;
    boot_gpt_bios: "bookworm" "gpt-bios" ["--convert-gpt"], GPT;
    boot_logical: "bookworm" "logical" [], BY_DEVICE;
    boot_bullseye_lvm_xfs: "bullseye" "lvm-xfs" [], LVM;
    boot_bullseye_uefi: "bullseye" "uefi" ["--firmware", "uefi", "--accept-gpt"], UEFI;
    boot_trixie_lvm_xfs: "trixie" "lvm-xfs" [], LVM;
    boot_trixie_uefi: "trixie" "uefi" ["--firmware", "uefi", "--accept-gpt"], UEFI;
}
