//! Images made to do harm: the answer is a sentence or a finding, in bounded memory and time, and
//! nothing of the host gets out.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::Path;
use std::process::Command;

use byoi_tests::{Leftovers, Said, program, run, sha256, text, workspace};
use tempfile::TempDir;

/// The most address space that a command may take, in bytes. Threads take much of it and use little.
const MEMORY: u64 = 2 << 30;
/// Whoever is not done by then does not end, in seconds.
const PATIENCE: u32 = 600;

/// What is made, the exit codes of `inspect` and `check`, and words that `check` says.
const IMAGES: [(&str, i32, i32, &str); 11] = [
    ("extended-cycle", 0, 1, "the chain of logical partitions"),
    ("gpt-entries", 0, 1, "primary GPT is implausible"),
    (
        "lvm-negative-extents",
        0,
        1,
        "metadata of LVM are not understood",
    ),
    ("grub-loop", 0, 1, "never comes to its end"),
    (
        "cpio-sizes",
        0,
        1,
        "exceeds the limit of 4096 bytes in a path",
    ),
    (
        "gzip-bomb",
        0,
        1,
        "exceeds the limit of 2147483648 unpacked bytes",
    ),
    (
        "xz-bomb",
        0,
        1,
        "exceeds the limit of 2147483648 unpacked bytes",
    ),
    ("links-out", 0, 1, "verdict     blocked"),
    ("qcow2-backing", 3, 1, "image/backing-file"),
    (
        "qcow2-l1",
        3,
        3,
        "the first table lies behind the end of the file",
    ),
    ("vmdk-extent", 3, 3, "outside its own directory"),
];

fn make(name: &str, dir: &Path) -> std::path::PathBuf {
    let image = dir.join(name);
    let _ = run(
        workspace().join("vm-fixtures/hostile/make.py"),
        &[name, text(&image)],
    )
    .expect(0);
    image
}

/// Runs the builder within bounds and sees that it leaves nothing.
fn bounded(dir: &Path, args: &[&str]) -> Said {
    let workdir = dir.join("work");
    fs::create_dir_all(&workdir).unwrap();
    let said = Said::from(
        Command::new("timeout")
            .args([&PATIENCE.to_string(), "prlimit", &format!("--as={MEMORY}")])
            .arg(program("byoi-builder"))
            .args(args)
            .args(["--workdir", text(&workdir)])
            .output()
            .unwrap(),
    );
    assert!(
        !said.stderr.contains("panicked"),
        "{args:?}: {}",
        said.stderr
    );
    let left = Leftovers::look(dir);
    assert_eq!(left.devices(), (&[][..], &[][..]), "{args:?}");
    assert_eq!(
        Leftovers::look(&workdir).files(),
        [] as [&Path; 0],
        "{args:?}"
    );
    said
}

#[test]
fn privileged_every_hostile_image_is_judged_and_none_is_believed() {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let secret = users.lines().next().unwrap();
    for (name, inspected, checked, words) in IMAGES {
        let dir = TempDir::with_prefix("byoi-hostile-").unwrap();
        let image = make(name, dir.path());
        let before = sha256(&image);
        let output = dir.path().join("out.qcow2");
        for (args, code) in [
            (&["inspect", text(&image)][..], Some(inspected)),
            (&["check", text(&image)], Some(checked)),
            (
                &["build", text(&image), "-o", text(&output), "--no-boot-test"],
                None,
            ),
        ] {
            let said = bounded(dir.path(), args);
            let both = format!("{}{}", said.stdout, said.stderr);
            match code {
                Some(code) => assert_eq!(said.code, code, "{name} {args:?}\n{both}"),
                None => assert!([1, 3].contains(&said.code), "{name} {args:?}\n{both}"),
            }
            assert!(!both.contains(secret), "{name} {args:?}\n{both}");
            if args[0] == "check" {
                assert!(both.contains(words), "{name}\n{both}");
            }
        }
        assert_eq!(sha256(&image), before, "{name} was written");
        assert!(!output.exists(), "{name} became an image");
    }
}

#[test]
fn every_generator_is_in_the_table() {
    let names = run(workspace().join("vm-fixtures/hostile/make.py"), &[]).expect(0);
    assert_eq!(
        names.stdout.lines().collect::<Vec<_>>(),
        IMAGES.map(|image| image.0)
    );
}
