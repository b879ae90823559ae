//! The same on every other suite of Debian: untouched, the disk fails the proof; built, it passes.
//!
//! Two boots a suite, without KVM some minutes each: `scripts/test.sh --matrix` runs them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use byoi_tests::{LIVED_IN, PATIENCE, fixture_disk, program, run, text};
use tempfile::TempDir;

fn untouched_fails_and_built_passes(suite: &str) {
    let disk = fixture_disk(suite);
    let builder = program("byoi-builder");
    let args = ["boot-test", text(&disk), "--format", "json"];
    let untouched = run(&builder, &[args.as_slice(), &PATIENCE].concat()).expect(1);
    assert_eq!(untouched.json()["boot_proof"]["verdict"], "refuted");

    let dir = TempDir::with_prefix("byoi-test-").unwrap();
    let image = dir.path().join("disk.qcow2");
    let args = ["build", text(&disk), "-o", text(&image), "--format", "json"];
    let built = run(&builder, &[args.as_slice(), &PATIENCE].concat()).expect(0);
    assert_eq!(built.json()["boot_proof"]["verdict"], "proved");
    let fixed = built.rules("fixed");
    for rule in LIVED_IN {
        assert!(fixed.contains(&rule.to_owned()), "{rule}: {fixed:?}");
    }
    let _ = run("qemu-img", &["check", "-q", text(&image)]).expect(0);
}

#[test]
#[ignore = "two boots: scripts/test.sh --matrix"]
fn boot_bullseye() {
    untouched_fails_and_built_passes("bullseye");
}

#[test]
#[ignore = "two boots: scripts/test.sh --matrix"]
fn boot_trixie() {
    untouched_fails_and_built_passes("trixie");
}
