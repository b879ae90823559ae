//! `convert` when the image cannot be written: the error is told, and nothing is left.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::Path;
use std::process::Command;

use byoi_tests::{Said, program, run, text};
use tempfile::TempDir;

/// A folder with a disk of 64 MiB in it, with 6 MB of data and a hole.
fn folder() -> TempDir {
    let dir = TempDir::new().unwrap();
    let script = "head -c 6000000 /dev/urandom > disk; seq 9999 >> disk; truncate -s 64M disk";
    let disk = format!("cd \"$1\" && {script}");
    let _ = run("sh", &["-euc", &disk, "sh", text(dir.path())]).expect(0);
    dir
}

fn convert(dir: &Path, out: &str) -> Command {
    let mut command = Command::new(program("byoi-builder"));
    command
        .args(["convert", "disk", "-o", out, "--level", "fast"])
        .current_dir(dir);
    command
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn whichever_write_fails_nothing_is_left() {
    let dir = folder();
    for (out, format) in [("out.qcow2", "qcow2"), ("out.vmdk", "vmdk")] {
        for (effect, words) in [
            ("ENOSPC", "No space left on device"),
            ("EIO", "Input/output error"),
        ] {
            let mut writes = 0;
            loop {
                writes += 1;
                let order = format!("image-write@{writes}:{effect}");
                let output = convert(dir.path(), out).env("BYOI_FAIL", order).output();
                let said = Said::from(output.unwrap());
                if said.code == 0 {
                    break;
                }
                assert_eq!(said.code, 3, "{out} {writes}: {}", said.stderr);
                assert!(said.stderr.contains(words), "{}", said.stderr);
                assert_eq!(names(dir.path()), ["disk"], "{out} {writes} {effect}");
            }
            // Two pieces at least, of which the last has the tables.
            assert!(writes > 2, "{out} {effect}: {writes}");
            let image = dir.path().join(out);
            let compare = ["compare", "-q", "-f", "raw", "-F", format];
            let disk = dir.path().join("disk");
            let _ = run(
                "qemu-img",
                &[&compare[..], &[text(&disk), text(&image)]].concat(),
            )
            .expect(0);
            fs::remove_file(image).unwrap();
        }
    }
}

#[test]
fn a_file_that_may_not_grow_is_an_error() {
    let dir = folder();
    for (out, left) in [("out.qcow2", "old"), ("out.vmdk", "old")] {
        fs::write(dir.path().join(out), left).unwrap();
        // In KiB. The kernel takes the first part of the write that crosses the limit.
        for limit in [0, 1, 4097, 5500] {
            let limited = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$@\"");
            let mut command = Command::new("bash");
            command
                .args(["-euc", &limited, "bash", text(&program("byoi-builder"))])
                .args(["convert", "disk", "-o", out, "--level", "fast"])
                .current_dir(dir.path());
            let said = Said::from(command.output().unwrap());
            assert_eq!(said.code, 3, "{out} {limit}: {}", said.stderr);
            assert!(said.stderr.contains("File too large"), "{}", said.stderr);
            assert_eq!(fs::read_to_string(dir.path().join(out)).unwrap(), left);
        }
        fs::remove_file(dir.path().join(out)).unwrap();
        assert_eq!(names(dir.path()), ["disk"]);
    }
}

#[test]
fn the_name_chooses_the_format() {
    let dir = folder();
    for (out, format) in [
        ("out.vmdk", "vmdk"),
        ("OUT.VMDK", "vmdk"),
        ("out.img", "qcow2"),
    ] {
        let output = convert(dir.path(), out).args(["--format", "json"]).output();
        let said = Said::from(output.unwrap()).expect(0);
        assert_eq!(said.json()["output"]["format"], format, "{out}");
        let sum = byoi_tests::sha256(&dir.path().join(out));
        assert_eq!(said.json()["output"]["sha256"], sum.as_str(), "{out}");
        let _ = run(
            "qemu-img",
            &["check", "-q", "-f", format, text(&dir.path().join(out))],
        )
        .expect(0);
    }
    for compression in ["zstd", "none"] {
        let output = convert(dir.path(), "x.vmdk")
            .args(["--compression", compression])
            .output();
        let _ = Said::from(output.unwrap()).expect(2);
    }
}
