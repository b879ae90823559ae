//! `byoi-builder` as a user runs it, where it has to refuse.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs::{self, File};

use byoi_tests::{Said, program, run, text};
use tempfile::TempDir;

fn builder(args: &[&str]) -> Said {
    run(program("byoi-builder"), args)
}

#[test]
fn the_source_is_never_the_output() {
    let dir = TempDir::new().unwrap();
    let image = dir.path().join("disk.raw");
    File::create(&image).unwrap().set_len(4 << 20).unwrap();
    let link = dir.path().join("link.qcow2");
    fs::hard_link(&image, &link).unwrap();
    for out in [&image, &link] {
        let refused =
            builder(&["build", text(&image), "-o", text(out), "--no-boot-test"]).expect(3);
        assert!(
            refused.stderr.contains("source image"),
            "{}",
            refused.stderr
        );
    }
    assert_eq!(fs::read(&image).unwrap(), vec![0; 4 << 20]);
}

#[test]
fn a_wrong_command_line_is_told_from_a_failure() {
    let _ = builder(&["build"]).expect(2);
    let _ = builder(&["build", "x", "-o", "y", "--level", "10"]).expect(2);
    let _ = builder(&["boot-test", "x", "--firmware", "coreboot"]).expect(2);
}

#[test]
fn help_fits_eighty_columns() {
    for (name, commands) in [
        (
            "byoi-builder",
            &["check", "inspect", "build", "convert", "boot-test"][..],
        ),
        ("byoi-agent", &["check", "prepare", "rules"][..]),
    ] {
        let mut helps = vec![run(program(name), &["--help"]).expect(0)];
        helps.extend(
            commands
                .iter()
                .map(|command| run(program(name), &[command, "--help"]).expect(0)),
        );
        for line in helps.iter().flat_map(|help| help.stdout.lines()) {
            assert!(line.chars().count() <= 80, "{name}: {line}");
        }
    }
}
