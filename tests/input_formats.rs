//! Every format that people bring, through the program: from a path and from standard input, read
//! whole, judged, refused in one sentence, and nothing left behind.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use byoi_tests::disk::Bench;
use byoi_tests::{Leftovers, Said, program, run, sha256, text};

/// How an image is made of `disk.raw`, its format in the report, and in what it is packed.
const IMAGES: [(&str, &str, &[&str]); 11] = [
    ("cp disk.raw image", "raw", &[]),
    (
        "qemu-img convert -f raw -O qcow2 -c disk.raw image",
        "qcow2",
        &[],
    ),
    (
        "qemu-img convert -f raw -O vmdk -o subformat=streamOptimized disk.raw image",
        "vmdk",
        &[],
    ),
    (
        "qemu-img convert -f raw -O vmdk disk.raw image",
        "vmdk",
        &[],
    ),
    ("qemu-img convert -f raw -O vdi disk.raw image", "vdi", &[]),
    (
        "qemu-img convert -f raw -O vpc -o force_size=on disk.raw image",
        "vhd",
        &[],
    ),
    (
        "qemu-img convert -f raw -O vhdx disk.raw image",
        "vhdx",
        &[],
    ),
    ("gzip -1 < disk.raw > image", "raw", &["gzip"]),
    ("zstd -q < disk.raw > image", "raw", &["zstd"]),
    (
        "qemu-img convert -f raw -O qcow2 disk.raw q && xz -0 < q > image",
        "qcow2",
        &["xz"],
    ),
    (
        "qemu-img convert -f raw -O vmdk -o subformat=streamOptimized disk.raw disk.vmdk && \
         gzip -f disk.vmdk && echo x > disk.ovf && tar cf image disk.ovf disk.vmdk.gz",
        "vmdk",
        &["ova", "gzip"],
    ),
];

fn make(bench: &Bench, script: &str) {
    let script = format!("cd \"$1\" && {script}");
    let _ = run("sh", &["-euc", &script, "sh", text(bench.dir())]).expect(0);
}

/// Runs the builder on `image` or, where the path is `-`, on standard input.
fn builder(bench: &Bench, command: &str, path: &str, further: &[&str]) -> Said {
    let image = bench.dir().join("image");
    let workdir = bench.workdir();
    let mut builder = Command::new(program("byoi-builder"));
    builder
        .args([command, path, "--format", "json"])
        .args(["--workdir", text(&workdir)])
        .args(further);
    if path == "-" {
        builder.stdin(File::open(image).unwrap());
    }
    let said = Said::from(builder.output().unwrap());
    let left = Leftovers::look(&workdir);
    assert_eq!(left.files(), Vec::<&Path>::new(), "{}", said.stderr);
    assert_eq!(Leftovers::look(bench.dir()).devices(), (&[][..], &[][..]));
    said
}

#[test]
fn every_format_is_converted_from_a_path_and_from_standard_input() {
    let bench = Bench::with_disk();
    let mut outputs = BTreeSet::new();
    for (script, format, containers) in IMAGES {
        make(&bench, script);
        let image = bench.dir().join("image");
        let before = sha256(&image);
        for path in [text(&image), "-"] {
            let output = bench.output();
            let said = builder(&bench, "convert", path, &["-o", text(&output)]).expect(0);
            outputs.insert(sha256(&output));
            assert_eq!(outputs.len(), 1, "{script}: not the bytes of the others");
            said.validate();
            let subject = &said.json()["subject"];
            assert_eq!(subject["format"], format, "{script}");
            let packed: Vec<&str> = subject["containers"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|name| name.as_str())
                .collect();
            assert_eq!(packed, containers, "{script}");
            let raw = bench.disk();
            let _ = run(
                "qemu-img",
                &[
                    "compare",
                    "-f",
                    "raw",
                    "-F",
                    "qcow2",
                    text(&raw),
                    text(&output),
                ],
            )
            .expect(0);
        }
        assert_eq!(sha256(&image), before, "{script}: the source was written");
    }
}

#[test]
fn privileged_every_format_is_judged_and_built() {
    let bench = Bench::with_disk();
    for (script, format, containers) in IMAGES {
        make(&bench, script);
        let image = bench.dir().join("image");
        let inspect = builder(&bench, "inspect", text(&image), &[]).expect(0);
        assert_eq!(inspect.json()["guest"]["id"], "debian", "{script}");
        let check = builder(&bench, "check", text(&image), &[]).expect(1);
        check.validate();
        let taken = containers.is_empty() && matches!(format, "qcow2" | "vmdk");
        assert_eq!(
            check.rules("open").contains(&"image/format".to_owned()),
            !taken,
            "{script}"
        );
        let output = bench.output();
        let said = builder(
            &bench,
            "build",
            if format == "raw" { "-" } else { text(&image) },
            &["-o", text(&output), "--no-boot-test"],
        )
        .expect(0);
        said.validate();
        let report = said.json();
        assert_eq!(report["verdict"], "ready");
        assert_eq!(report["subject"]["format"], format);
        assert_eq!(report["subject"]["sha256"], sha256(&image), "{script}");
        assert_eq!(report["output"]["format"], "qcow2");
    }
}

#[test]
fn privileged_what_oci_takes_in_no_case_is_a_judgement() {
    let bench = Bench::with_disk();
    for (script, rule) in [
        (
            "qemu-img create -q -f qcow2 --object secret,id=s,data=x \
             -o encrypt.format=luks,encrypt.key-secret=s image 4M",
            "image/encrypted",
        ),
        (
            "qemu-img create -q -f qcow2 -u -b /etc/passwd -F raw image 4M",
            "image/backing-file",
        ),
        ("rm -f image && truncate -s 401G image", "image/size"),
        (
            "rm -f image && qemu-img create -q -f vhdx image 401G",
            "image/size",
        ),
    ] {
        make(&bench, script);
        let image = bench.dir().join("image");
        for (command, further) in [
            ("check", vec![]),
            ("build", vec!["-o", text(&bench.output()), "--no-boot-test"]),
        ] {
            let said = builder(&bench, command, text(&image), &further).expect(1);
            said.validate();
            assert!(
                said.rules("open").contains(&rule.to_owned()),
                "{script} {command}: {}",
                said.stdout
            );
            assert!(!bench.output().exists());
        }
    }
    // Where nothing is judged, the same is a failure.
    make(
        &bench,
        "qemu-img create -q -f qcow2 -u -b /etc/passwd -F raw image 4M",
    );
    let image = bench.dir().join("image");
    let said = builder(&bench, "inspect", text(&image), &[]).expect(3);
    assert!(said.stderr.contains("--allow-backing"), "{}", said.stderr);
}

#[test]
fn the_disk_of_an_archive_is_chosen() {
    let bench = Bench::with_disk();
    make(
        &bench,
        "qemu-img convert -f raw -O qcow2 disk.raw system.qcow2 && \
         qemu-img create -q -f qcow2 data.qcow2 8M && tar cf image system.qcow2 data.qcow2",
    );
    let image = bench.dir().join("image");
    let output = bench.output();
    let said = builder(&bench, "convert", text(&image), &["-o", text(&output)]).expect(3);
    for word in ["system.qcow2, data.qcow2", "--disk N"] {
        assert!(said.stderr.contains(word), "{}", said.stderr);
    }
    for (number, size) in [("1", 48 << 20), ("2", 8 << 20)] {
        let further = ["-o", text(&output), "--disk", number];
        let said = builder(&bench, "convert", text(&image), &further).expect(0);
        assert_eq!(said.json()["subject"]["virtual_size"], size);
    }
    let _ = builder(
        &bench,
        "convert",
        text(&image),
        &["-o", text(&output), "--disk", "0"],
    )
    .expect(2);
}

#[test]
fn writes_that_fail_are_told_and_leave_nothing() {
    let bench = Bench::with_disk();
    for (script, path) in [
        ("qemu-img convert -f raw -O vmdk disk.raw image", ""),
        ("zstd -q < disk.raw > image", ""),
        ("cp disk.raw image", "-"),
    ] {
        make(&bench, &format!("rm -f image; {script}"));
        let image = bench.dir().join("image");
        let path = if path.is_empty() { text(&image) } else { path };
        for (effect, words) in [
            ("ENOSPC", "No space left on device"),
            ("EIO", "Input/output error"),
            ("SIGINT", "interrupted"),
            ("SIGKILL", ""),
        ] {
            let workdir = bench.workdir();
            let mut builder = Command::new(program("byoi-builder"));
            builder
                .args(["convert", path, "-o", text(&bench.output())])
                .args(["--workdir", text(&workdir)])
                .env("BYOI_FAIL", format!("work-write@3:{effect}"))
                .stdin(File::open(&image).unwrap());
            let output = builder.output().unwrap();
            if effect == "SIGKILL" {
                assert_eq!(output.status.signal(), Some(9), "{script}");
            } else {
                let said = Said::from(output).expect(3);
                assert!(said.stderr.contains(words), "{script}: {}", said.stderr);
            }
            assert_eq!(bench.left(), Vec::<&Path>::new(), "{script} {effect}");
        }
    }
}

#[test]
fn a_signal_ends_the_wait_for_standard_input() {
    let bench = Bench::new();
    let workdir = bench.workdir();
    let mut child = Command::new(program("byoi-builder"))
        .args(["inspect", "-", "--workdir", text(&workdir)])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The line comes before the first read.
    let mut line = String::new();
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut stderr, &mut line).unwrap();
    assert!(line.contains("standard input"), "{line}");
    let _ = run("kill", &["-INT", &child.id().to_string()]).expect(0);
    let until = Instant::now() + Duration::from_secs(20);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < until, "the program waits on");
        thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(3));
    assert!(bench.left().is_empty());
}
