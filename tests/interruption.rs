//! A run that ends early: the source is as it was, OUT is absent or complete, nothing is left.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use byoi_tests::disk::Bench;
use byoi_tests::{Leftovers, Said, program, run, sha256, text};

/// Every place where a run may be told to end, in the order of a build.
const PLACES: [&str; 12] = [
    "digest",
    "work-write",
    "copy",
    "mount",
    "apply",
    "guest-write",
    "guest",
    "trim",
    "seal",
    "image-write",
    "publish",
    "rename",
];
/// Those that are calls of the system which may fail.
const WRITES: [&str; 5] = [
    "work-write",
    "guest-write",
    "image-write",
    "publish",
    "rename",
];

fn build(bench: &Bench) -> Command {
    let mut command = Command::new(program("byoi-builder"));
    command
        .args(["build", text(&bench.disk()), "--no-boot-test"])
        .args(["-o", text(&bench.output())])
        .args(["--workdir", text(&bench.workdir())])
        .stdin(Stdio::null());
    command
}

/// The kernel lets go of what a killed process had, but not before the call returns that killed it.
fn no_devices_left(bench: &Bench) {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let left = Leftovers::look(bench.dir());
        if left.devices() == (&[][..], &[][..]) {
            return;
        }
        assert!(Instant::now() < until, "{left:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Whether OUT is there; what is there is whole.
fn has_output(bench: &Bench) -> bool {
    let there = bench.output().exists();
    if there {
        let _ = run("qemu-img", &["check", "-q", text(&bench.output())]).expect(0);
        std::fs::remove_file(bench.output()).unwrap();
    }
    there
}

fn fail_at(bench: &Bench, place: &str, effect: &str) -> (ExitStatus, Said) {
    let output = build(bench)
        .env("BYOI_FAIL", format!("{place}:{effect}"))
        .output()
        .unwrap();
    (output.status, Said::from(output))
}

#[test]
fn privileged_a_signal_ends_a_run_in_order() {
    let bench = Bench::with_disk();
    let before = sha256(&bench.disk());
    for signal in ["SIGINT", "SIGTERM"] {
        for place in PLACES {
            let (_, said) = fail_at(&bench, place, signal);
            no_devices_left(&bench);
            let there = has_output(&bench);
            assert_eq!(there, said.code == 0, "{place} {signal}: {}", said.stderr);
            if !there {
                assert_eq!(said.code, 3, "{place} {signal}: {}", said.stderr);
                assert!(said.stderr.contains("interrupted"), "{}", said.stderr);
            }
            assert!(
                bench.left().is_empty(),
                "{place} {signal}: {:?}",
                bench.left()
            );
        }
    }
    assert_eq!(sha256(&bench.disk()), before);
}

#[test]
fn privileged_what_a_killed_run_leaves_the_next_one_removes() {
    let bench = Bench::with_disk();
    let before = sha256(&bench.disk());
    for place in PLACES {
        let (status, said) = fail_at(&bench, place, "SIGKILL");
        assert_eq!(
            status.signal(),
            Some(9),
            "{place} was not reached: {}",
            said.stderr
        );
        no_devices_left(&bench);
        assert!(!has_output(&bench), "{place}");
    }
    let _ = Said::from(build(&bench).output().unwrap()).expect(0);
    assert!(has_output(&bench));
    assert!(bench.left().is_empty(), "{:?}", bench.left());
    assert_eq!(sha256(&bench.disk()), before);
}

#[test]
fn privileged_a_failed_write_is_told_and_leaves_nothing() {
    let bench = Bench::with_disk();
    for (effect, words) in [
        ("ENOSPC", "No space left on device"),
        ("EIO", "Input/output error"),
    ] {
        for place in WRITES {
            let (_, said) = fail_at(&bench, place, effect);
            assert_eq!(said.code, 3, "{place} {effect}: {}", said.stderr);
            assert!(said.stderr.contains(words), "{place}: {}", said.stderr);
            no_devices_left(&bench);
            assert!(
                bench.left().is_empty(),
                "{place} {effect}: {:?}",
                bench.left()
            );
        }
    }
}

#[test]
fn privileged_a_report_that_cannot_be_written_leaves_the_old_one() {
    let bench = Bench::with_disk();
    let report = bench.dir().join("report.json");
    std::fs::write(&report, "old").unwrap();
    for effect in ["ENOSPC", "EIO"] {
        let said = Said::from(
            Command::new(program("byoi-builder"))
                .args(["inspect", text(&bench.disk()), "--report", text(&report)])
                .env("BYOI_FAIL", format!("report:{effect}"))
                .output()
                .unwrap(),
        );
        assert_eq!(said.code, 3, "{effect}: {}", said.stderr);
        assert!(said.stderr.contains(text(&report)), "{}", said.stderr);
        assert_eq!(std::fs::read_to_string(&report).unwrap(), "old");
        let names = std::fs::read_dir(bench.dir()).unwrap();
        let left = names.filter(|name| {
            let name = name.as_ref().unwrap().file_name();
            name.to_string_lossy().ends_with(".byoi")
        });
        assert_eq!(left.count(), 0, "{effect}");
    }
}

#[test]
fn privileged_a_hundred_kills_at_random_leak_nothing() {
    let bench = Bench::with_disk();
    let before = sha256(&bench.disk());
    let started = Instant::now();
    let _ = Said::from(build(&bench).output().unwrap()).expect(0);
    let whole = started.elapsed();
    assert!(has_output(&bench));
    let mut random = 0x9e37_79b9_7f4a_7c15_u64 ^ u64::from(std::process::id());
    for _ in 0..100 {
        // xorshift64
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let mut child = build(&bench)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(
            whole.mul_f64(f64::from(u32::try_from(random >> 40).unwrap()) / 16_777_216.0),
        );
        child.kill().unwrap();
        child.wait().unwrap();
        has_output(&bench);
    }
    no_devices_left(&bench);
    let _ = Said::from(build(&bench).output().unwrap()).expect(0);
    assert!(has_output(&bench));
    assert!(bench.left().is_empty(), "{:?}", bench.left());
    assert_eq!(sha256(&bench.disk()), before);
}

#[test]
fn privileged_two_builds_of_one_disk_do_not_disturb_each_other() {
    let (one, two) = (Bench::with_disk(), Bench::with_disk());
    let mut running: Vec<_> = [&one, &two]
        .into_iter()
        .map(|bench| {
            build(bench)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in running.drain(..) {
        let _ = Said::from(child.wait_with_output().unwrap()).expect(0);
    }
    for bench in [&one, &two] {
        no_devices_left(bench);
        assert!(has_output(bench));
        assert!(bench.left().is_empty());
    }
}
