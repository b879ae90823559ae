//! Every way in which an image or a host may be wrong: one clear sentence, the exit code, nothing
//! left behind.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use byoi_tests::disk::{Bench, SIZE, START};
use byoi_tests::{Leftovers, Said, program, run, sha256, text};

/// Runs `build` without a boot test and sees that it leaves nothing but, perhaps, OUT.
fn build(bench: &Bench) -> Said {
    build_with(bench, &bench.output(), &bench.workdir(), &[])
}

fn build_with(bench: &Bench, output: &Path, workdir: &Path, env: &[(&str, &str)]) -> Said {
    let disk = bench.disk();
    let before = disk.is_file().then(|| sha256(&disk));
    let mut command = Command::new(program("byoi-builder"));
    command
        .args(["build", text(&disk), "--no-boot-test", "--format", "json"])
        .args(["-o", text(output), "--workdir", text(workdir)])
        .envs(env.iter().copied());
    let said = Said::from(command.output().unwrap());
    if let Some(before) = before {
        assert_eq!(sha256(&disk), before, "the source was written");
    }
    if said.code == 0 {
        assert_eq!(bench.left(), [output], "{}", said.stderr);
    } else {
        assert_eq!(bench.left(), Vec::<&Path>::new(), "{}", said.stderr);
    }
    let left = Leftovers::look(bench.dir());
    assert_eq!(left.devices(), (&[][..], &[][..]), "{}", said.stderr);
    said
}

/// A failure: exit code 3 and one sentence on standard error that has all of `words` in it.
fn fails(said: &Said, words: &[&str]) {
    assert_eq!(said.code, 3, "{}\n{}", said.stdout, said.stderr);
    assert_eq!(said.stdout, "");
    let sentences: Vec<&str> = said
        .stderr
        .lines()
        .filter(|line| line.starts_with("byoi-builder: "))
        .collect();
    let [sentence] = sentences.as_slice() else {
        panic!("{}", said.stderr);
    };
    for word in words {
        assert!(sentence.contains(word), "{word:?} is not in {sentence:?}");
    }
    assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
}

/// A judgement: exit code 1, and this rule among the open blockers, with something to do.
fn blocks(said: &Said, rule: &str) {
    assert_eq!(said.code, 1, "{}\n{}", said.stdout, said.stderr);
    said.validate();
    let report = said.json();
    let finding = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|finding| finding["rule"] == rule && finding["status"] == "open")
        .unwrap_or_else(|| panic!("{rule} is not in {}", said.stdout));
    assert_eq!(finding["severity"], "blocker");
    assert_ne!(finding["hint"], "");
    assert_eq!(report["verdict"], "blocked");
    assert!(report.get("output").is_none());
}

#[test]
fn privileged_a_good_disk_is_built() {
    let bench = Bench::with_disk();
    let said = build(&bench).expect(0);
    assert_eq!(said.json()["verdict"], "ready");
    said.validate();
    let inspect = run(
        program("byoi-builder"),
        &["inspect", text(&bench.disk()), "--format", "json"],
    )
    .expect(0);
    inspect.validate();
    let report = inspect.json();
    assert!(report.get("verdict").is_none());
    assert_eq!(report["guest"]["id"], "debian");
    assert_eq!(report["mounts"][0]["point"], "/");
    assert_eq!(report["layout"]["partitions"][0]["content"]["kind"], "ext4");
}

#[test]
fn privileged_files_that_are_no_disk() {
    let bench = Bench::new();
    fails(&build(&bench), &["disk.raw", "No such file"]);
    File::create(bench.disk()).unwrap();
    fails(&build(&bench), &["disk.raw", "is empty", "copy the disk"]);
    bench.cut(1000);
    fails(&build(&bench), &["disk.raw", "1000 bytes", "cut off"]);
    fs::remove_file(bench.disk()).unwrap();
    fs::create_dir(bench.disk()).unwrap();
    fails(&build(&bench), &["disk.raw", "is a directory"]);
    fs::remove_dir(bench.disk()).unwrap();
    let _ = run(
        "qemu-img",
        &["create", "-q", "-f", "qed", text(&bench.disk()), "1M"],
    )
    .expect(0);
    fails(&build(&bench), &["disk.raw", "QED", "qemu-img convert"]);
    fs::write(
        bench.disk(),
        b"# Disk DescriptorFile\ncreateType=\"custom\"\n",
    )
    .unwrap();
    fails(&build(&bench), &["disk.raw", "\"custom\"", "OVF"]);
}

#[test]
fn privileged_tables_that_oci_refuses() {
    for (rule, spoil) in [
        (
            "disk/mbr-signature",
            &(|bench: &Bench| bench.write(510, &[0, 0])) as &dyn Fn(&Bench),
        ),
        ("disk/mbr-signature", &|bench| {
            File::create(bench.disk()).unwrap();
            bench.cut(SIZE);
        }),
        ("disk/mbr-signature", &|bench| {
            File::create(bench.disk()).unwrap();
            bench.cut(SIZE);
            bench.guest(0, SIZE, &[]);
        }),
        ("disk/mbr-boot-code", &|bench| bench.write(0, &[0; 440])),
        ("disk/partition-bounds", &|bench| bench.cut(SIZE / 2)),
        ("disk/partition-overlap", &|bench| {
            // Swap space amid the root file system.
            let mut entry = [0; 16];
            entry[4] = 0x82;
            entry[8..12].copy_from_slice(&65_536_u32.to_le_bytes());
            entry[12..].copy_from_slice(&8192_u32.to_le_bytes());
            bench.write(446 + 16, &entry);
            bench.write((65_536 << 9) + 1024, &1_u32.to_le_bytes());
            bench.write((65_536 << 9) + 4086, b"SWAPSPACE2");
        }),
        ("disk/partition-bounds", &|bench| {
            // An extended partition whose second boot record leads back to itself.
            bench.table("label: dos\nstart=2048,size=61440,type=83,bootable\ntype=5\n");
            bench.boot_code();
            bench.guest(START, 30 << 20, &[]);
            let first = START + (30 << 20);
            let mut record = [0; 512];
            record[446 + 4] = 0x83;
            record[446 + 8..446 + 12].copy_from_slice(&64_u32.to_le_bytes());
            record[446 + 12..446 + 16].copy_from_slice(&64_u32.to_le_bytes());
            record[462 + 4] = 5;
            record[462 + 8..462 + 12].copy_from_slice(&1024_u32.to_le_bytes());
            record[462 + 12..462 + 16].copy_from_slice(&1024_u32.to_le_bytes());
            record[510..].copy_from_slice(&[0x55, 0xaa]);
            bench.write(first, &record);
            bench.write(first + (1024 << 9), &record);
        }),
        ("disk/gpt", &|bench| {
            bench.table("label: gpt\nstart=2048\n");
            bench.boot_code();
            // Both headers, the primary and its backup.
            bench.write(512, &[0; 512]);
            bench.write(SIZE - 512, &[0; 512]);
        }),
    ] {
        let bench = Bench::with_disk();
        spoil(&bench);
        blocks(&build(&bench), rule);
        let check = run(
            program("byoi-builder"),
            &["check", text(&bench.disk()), "--format", "json"],
        );
        blocks(&check, rule);
    }
}

#[test]
fn privileged_disks_without_a_guest() {
    let bench = Bench::with_disk();
    bench.file_system(START, SIZE - START, &[("data/file", "no system")]);
    fails(
        &build(&bench),
        &["no Linux root file system", "partition 1 is ext4"],
    );

    let bench = Bench::with_disk();
    bench.write(START, &[0xa5; 128 << 10]);
    fails(
        &build(&bench),
        &["no Linux root file system", "of unknown content"],
    );

    let bench = Bench::with_disk();
    // The inodes, that of the root directory among them.
    bench.write(START + (4096 * 8), &[0xff; 1 << 20]);
    fails(&build(&bench), &["partition 1", "fsck"]);

    let bench = Bench::with_disk();
    bench.table("label: dos\nstart=2048,size=65536,type=83,bootable\ntype=82\n");
    bench.boot_code();
    bench.guest(START, 32 << 20, &[]);
    let swap = START + (32 << 20);
    bench.write(swap + 4086, b"S1SUSPEND\0");
    bench.write(swap + 1024, &1_u32.to_le_bytes());
    fails(&build(&bench), &["partition 2", "hibernat", "shut"]);
}

#[test]
fn privileged_a_dirty_journal_is_replayed_in_the_copy() {
    let bench = Bench::with_disk();
    let (mount, copy) = (bench.dir().join("mnt"), bench.dir().join("copy"));
    fs::create_dir(&mount).unwrap();
    // The disk as it is while the guest runs.
    let _ = run(
        "unshare",
        &[
            "--mount",
            "sh",
            "-euc",
            "mount -o loop,offset=1048576 \"$1\" \"$2\"; echo late > \"$2/usr/late\"; \
             sync -f \"$2\"; echo later > \"$2/usr/later\"; sync -f \"$2\"; cp \"$1\" \"$3\"; \
             umount \"$2\"; mv \"$3\" \"$1\"",
            "sh",
            text(&bench.disk()),
            text(&mount),
            text(&copy),
        ],
    )
    .expect(0);
    fs::remove_dir(mount).unwrap();
    let check = run(
        program("byoi-builder"),
        &["check", text(&bench.disk()), "--format", "json"],
    );
    assert!(
        check.rules("open").contains(&"disk/unclean".to_owned()),
        "{}",
        check.stdout
    );
    let _ = build(&bench).expect(0);
}

#[test]
fn privileged_places_without_room() {
    let bench = Bench::with_disk();
    let (workdir, output) = (bench.workdir(), bench.output());
    let build_with_small = |place: &Path| {
        run(
            "unshare",
            &[
                "--mount",
                "sh",
                "-euc",
                "mount -t tmpfs -o size=128k tmpfs \"$1\"; shift; exec \"$@\"",
                "sh",
                text(place),
                text(&program("byoi-builder")),
                "build",
                text(&bench.disk()),
                "--no-boot-test",
                "-o",
                text(&output),
                "--workdir",
                text(&workdir),
            ],
        )
    };
    fails(
        &build_with_small(&workdir),
        &["work has", "bytes free", "--workdir"],
    );
    fails(
        &build_with_small(output.parent().unwrap()),
        &["disk.qcow2", "No space left"],
    );
}

#[test]
fn privileged_a_guest_without_room_is_named() {
    let bench = Bench::with_disk();
    let mount = bench.dir().join("mnt");
    fs::create_dir(&mount).unwrap();
    // Small files get what the file system keeps back from large ones.
    let _ = run(
        "unshare",
        &[
            "--mount",
            "sh",
            "-uc",
            "for round in 1 2; do mount -o loop,offset=1048576 \"$1\" \"$2\" || exit; \
             cat /dev/zero > \"$2/usr/full$round\"; n=0; \
             while echo x > \"$2/usr/$round.$n\"; do n=$((n + 1)); done; \
             umount \"$2\" || exit; done",
            "sh",
            text(&bench.disk()),
            text(&mount),
        ],
    )
    .expect(0);
    fs::remove_dir(mount).unwrap();
    fails(&build(&bench), &["No space left", "/etc/"]);
}

#[test]
fn privileged_outputs_that_cannot_be() {
    let bench = Bench::with_disk();
    let nowhere = bench.dir().join("nowhere").join("disk.qcow2");
    let workdir = bench.workdir();
    for (output, words) in [
        (&nowhere, ["nowhere/disk.qcow2", "No such file"]),
        (&workdir, ["/work", "not a regular file"]),
        (&bench.disk(), ["disk.raw", "source image"]),
    ] {
        fails(&build_with(&bench, output, &workdir, &[]), &words);
    }
    let said = build_with(&bench, &bench.output(), &nowhere, &[]);
    fails(&said, &["nowhere/disk.qcow2", "--workdir"]);
}

#[test]
fn privileged_disks_in_use() {
    let bench = Bench::with_disk();
    let mut qemu = Command::new("qemu-system-x86_64")
        .args(["-nodefaults", "-display", "none", "-S", "-accel", "tcg"])
        .arg("-drive")
        .arg(format!("if=virtio,format=raw,file={}", text(&bench.disk())))
        .args(["-qmp", "stdio"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // The greeting comes when the disk is open.
    let mut greeting = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(qemu.stdout.take().unwrap()),
        &mut greeting,
    )
    .unwrap();
    assert!(greeting.contains("QMP"), "{greeting}");
    let said = build(&bench);
    qemu.kill().unwrap();
    qemu.wait().unwrap();
    fails(&said, &["disk.raw", "is open for writing", "shut"]);
    let _ = build(&bench).expect(0);
}

#[test]
fn privileged_hosts_that_lack_something() {
    let bench = Bench::with_disk();
    let empty = bench.dir().join("empty");
    fs::create_dir(&empty).unwrap();
    let path = [("PATH", text(&empty))];
    let said = build_with(&bench, &bench.output(), &bench.workdir(), &path);
    fails(&said, &["e2fsck", "install", "e2fsprogs"]);
    for tool in ["e2fsck", "unshare"] {
        let found = run("sh", &["-c", "command -v \"$1\"", "sh", tool]).expect(0);
        std::os::unix::fs::symlink(found.stdout.trim(), empty.join(tool)).unwrap();
    }
    let test = run(
        "env",
        &[
            &format!("PATH={}", text(&empty)),
            text(&program("byoi-builder")),
            "boot-test",
            text(&bench.disk()),
        ],
    );
    fails(&test, &["qemu-system-x86_64", "install"]);

    // Anybody may read the disk and write to the directories, and nobody is root.
    for dir in [
        bench.dir().to_owned(),
        bench.workdir(),
        bench.dir().join("out"),
    ] {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let copy = bench.dir().join("byoi-builder");
    fs::copy(program("byoi-builder"), &copy).unwrap();
    let said = run(
        "setpriv",
        &[
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            text(&copy),
            "build",
            text(&bench.disk()),
            "-o",
            text(&bench.output()),
        ],
    );
    fails(&said, &["root"]);
}

#[test]
fn convert_takes_any_raw_disk() {
    let bench = Bench::new();
    let _ = bench.workdir();
    for size in [0, 1, 511, 512, 65_536, 65_537, 3 << 20] {
        let disk = File::create(bench.disk()).unwrap();
        disk.set_len(size).unwrap();
        if size > 0 {
            disk.write_all_at(b"x", size - 1).unwrap();
        }
        let said = run(
            program("byoi-builder"),
            &[
                "convert",
                text(&bench.disk()),
                "-o",
                text(&bench.output()),
                "--format",
                "json",
            ],
        )
        .expect(0);
        assert!(said.json().get("verdict").is_none());
        said.validate();
        let _ = run("qemu-img", &["check", "-q", text(&bench.output())]).expect(0);
        let _ = run(
            "qemu-img",
            &[
                "compare",
                "-q",
                "-f",
                "raw",
                "-F",
                "qcow2",
                text(&bench.disk()),
                text(&bench.output()),
            ],
        )
        .expect(0);
    }
}

#[test]
fn privileged_a_report_is_never_written_over_an_image() {
    let bench = Bench::with_disk();
    let (disk, alias) = (bench.disk(), bench.dir().join("alias"));
    fs::hard_link(&disk, &alias).unwrap();
    let before = sha256(&disk);
    for report in [&disk, &alias] {
        for command in ["check", "inspect", "boot-test"] {
            let args = [command, text(&disk), "--report", text(report)];
            fails(&run(program("byoi-builder"), &args), &["is the image"]);
        }
        let output = bench.output();
        let args = ["convert", text(&disk), "-o", text(&output), "--report"];
        for report in [report, &output] {
            let said = run(
                program("byoi-builder"),
                &[&args[..], &[text(report)]].concat(),
            );
            fails(&said, &["is the image"]);
        }
    }
    assert_eq!(sha256(&disk), before);
}
