//! A guest of each network stack gets its lease with the NIC under a new MAC and a new name.
//!
//! One boot a stack, without KVM some minutes each: `scripts/test.sh --matrix` runs them. ifupdown's
//! are in `boot_build`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use byoi_tests::{PATIENCE, program, run, stack_disk, text};
use tempfile::TempDir;

fn gets_its_lease(stack: &str) {
    let dir = TempDir::with_prefix("byoi-test-").unwrap();
    let disk = stack_disk("bookworm", stack, dir.path());
    let image = dir.path().join("disk.qcow2");
    let args = ["build", text(&disk), "-o", text(&image), "--format", "json"];
    let built = run(
        program("byoi-builder"),
        &[args.as_slice(), &PATIENCE].concat(),
    )
    .expect(0);
    let report = built.json();
    let proof = &report["boot_proof"];
    assert_eq!(proof["verdict"], "proved", "{proof}");
    assert!(proof["lease"]["address"].is_string(), "{proof}");
    let fixed = built.rules("fixed");
    assert!(fixed.contains(&"net/mac".to_owned()), "{fixed:?}");
}

macro_rules! stacks {
    ($($test:ident: $stack:literal,)*) => {
        $(#[test]
        #[ignore = "a boot: scripts/test.sh --matrix"]
        fn $test() {
            gets_its_lease($stack);
        })*
    };
}

stacks! {
    boot_cloud_init: "cloud-init",
    boot_dracut: "dracut",
    boot_netplan_networkd: "netplan-networkd",
    boot_netplan_networkmanager: "netplan-networkmanager",
    boot_networkd: "networkd",
    boot_networkmanager: "networkmanager",
}
