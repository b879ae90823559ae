//! `prepare --bundle` and `restore`: what comes back is what was there, wherever either was cut off,
//! and nothing comes back that should not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use byoi_tests::{Said, copy_tree, program, run, text, workspace};
use nix::fcntl::{FcntlArg, fcntl};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tempfile::TempDir;

/// What a path is and everything it has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Object {
    format: u32,
    owner: (u32, u32),
    mode: u32,
    modified: (i64, i64),
    device: u64,
    content: Vec<u8>,
    xattrs: BTreeMap<OsString, Vec<u8>>,
}

impl Object {
    fn of(path: &Path) -> Self {
        let metadata = fs::symlink_metadata(path).unwrap();
        let kind = metadata.file_type();
        let xattrs = xattr::list(path).unwrap().map(|name| {
            let value = xattr::get(path, &name).unwrap().unwrap();
            (name, value)
        });
        Self {
            format: metadata.mode() & 0o170_000,
            owner: (metadata.uid(), metadata.gid()),
            mode: metadata.mode() & 0o7777,
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            device: metadata.rdev(),
            content: if kind.is_symlink() {
                fs::read_link(path)
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes()
            } else if kind.is_file() {
                fs::read(path).unwrap()
            } else {
                Vec::new()
            },
            xattrs: xattrs.collect(),
        }
    }
}

/// Everything in a guest root, the root itself too.
fn snapshot(root: &Path) -> BTreeMap<PathBuf, Object> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        let object = Object::of(&path);
        if path.is_dir() && !path.is_symlink() {
            pending.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
        found.insert(path.strip_prefix(root).unwrap().to_owned(), object);
    }
    found
}

/// Shows what differs only.
fn assert_same(
    found: &BTreeMap<PathBuf, Object>,
    expected: &BTreeMap<PathBuf, Object>,
    context: &str,
) {
    for path in found.keys().chain(expected.keys()) {
        assert_eq!(
            found.get(path),
            expected.get(path),
            "{context}: {}",
            path.display()
        );
    }
}

/// A guest root and room beside it.
struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new(from: &Path) -> Self {
        let dir = TempDir::with_prefix("byoi-test-").unwrap();
        copy_tree(from, &dir.path().join("root"));
        Self { dir }
    }

    fn of(name: &str) -> Self {
        Self::new(
            &workspace()
                .join("vm-fixtures/roots")
                .join(name)
                .join("before"),
        )
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn bundle(&self) -> PathBuf {
        self.dir.path().join("bundle.tar")
    }

    fn command(&self, verb: &str, bundle: &Path, more: &[&str]) -> Command {
        let mut command = Command::new(program("byoi-agent"));
        command
            .args([verb, "--root", text(&self.root())])
            .args(["--bundle", text(bundle)])
            .args(more)
            .stdin(Stdio::null());
        command
    }

    fn prepare(&self, bundle: &Path, more: &[&str]) -> Said {
        self.command("prepare", bundle, more)
            .output()
            .unwrap()
            .into()
    }

    fn restore(&self, more: &[&str]) -> Said {
        self.command("restore", &self.bundle(), more)
            .output()
            .unwrap()
            .into()
    }

    /// Starts a `prepare` that streams its bundle.
    fn stream(&self, to: impl Into<OwnedFd>, more: &[&str]) -> Child {
        self.command("prepare", Path::new("-"), more)
            .stdout(Stdio::from(to.into()))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn file(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    fn again(&self, from: &Path) {
        fs::remove_dir_all(self.root()).unwrap();
        copy_tree(from, &self.root());
    }
}

/// Every root that there is: the reviewed ones, and the collection of networks beside the checkout.
fn roots() -> Vec<PathBuf> {
    let listed = |dir: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let mut roots: Vec<PathBuf> = listed(&workspace().join("vm-fixtures/roots"))
        .into_iter()
        .map(|root| root.join("before"))
        .collect();
    let corpus = std::env::var_os("BYOI_CORPUS").map_or_else(
        || workspace().join("../shared/corpus/network"),
        PathBuf::from,
    );
    roots.extend(listed(&corpus));
    roots.sort();
    roots
}

#[test]
fn what_was_prepared_is_restored_in_every_root() {
    for root in roots() {
        let bench = Bench::new(&root);
        let before = snapshot(&bench.root());
        let _ = bench.prepare(&bench.bundle(), &["--clean"]);
        assert!(bench.bundle().is_file(), "{}", root.display());
        let _ = bench.restore(&[]).expect(0);
        let name = root.display().to_string();
        assert_same(&snapshot(&bench.root()), &before, &name);
        let again = bench.restore(&["--format", "json"]).expect(0).json();
        assert_eq!(again["changes"].as_array().unwrap().len(), 0, "{name}");
        assert_same(&snapshot(&bench.root()), &before, &name);
    }
}

/// Numbers from a seed, the same every time.
struct Dice(u64);

impl Dice {
    fn roll<T: Copy>(&mut self, of: &[T]) -> T {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let length = u64::try_from(of.len()).unwrap();
        of[usize::try_from((self.0 >> 33) % length).unwrap()]
    }
}

/// Gives everything in a root owners, modes, times and attributes of all kinds, and adds what is not
/// a file.
fn decorate(root: &Path, seed: u64) {
    let mut dice = Dice(seed);
    for dir in ["etc/iscsi/nodes", "var/lib/dhcp", "var/lib/iscsi/nodes/iqn"] {
        let dir = root.join(dir);
        fs::create_dir_all(&dir).unwrap();
        symlink("/nowhere", dir.join("dangling")).unwrap();
        let _ = run("mkfifo", &[text(&dir.join("fifo"))]).expect(0);
        let _ = run("mknod", &[text(&dir.join("device")), "c", "1", "3"]).expect(0);
        fs::write(dir.join("dhclient-\u{e4}.leases\n"), "lease {\n}\n").unwrap();
        let long = "l".repeat(120);
        fs::create_dir(dir.join(&long)).unwrap();
        fs::write(dir.join(&long).join("record"), [0, 10, 255]).unwrap();
        symlink(&long, dir.join("leads-far")).unwrap();
    }
    for path in snapshot(root).into_keys().map(|path| root.join(path)) {
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        lchown(
            &path,
            Some(dice.roll(&[0, 0, 7, 3_000_000])),
            Some(dice.roll(&[0, 100])),
        )
        .unwrap();
        let label = dice.roll(&["etc_t", "net_conf_t"]);
        let label = format!("system_u:object_r:{label}:s0\0");
        xattr::set(&path, "security.selinux", label.as_bytes()).unwrap();
        if dice.roll(&[true, false]) {
            xattr::set(&path, "trusted.byoi", b"line\n\0\xff=%").unwrap();
        }
        if !kind.is_symlink() && !kind.is_dir() {
            let mode = dice.roll(&[0o600, 0o640, 0o644, 0o4755, 0o2711]);
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }
        if kind.is_file() && dice.roll(&[true, false]) {
            let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            xattr::set(&path, "security.capability", &capability).unwrap();
        }
        if kind.is_file() && dice.roll(&[true, false]) {
            // u::rw- u:7:r-- g::r-- m::r-- o::---
            let mut acl = vec![2, 0, 0, 0];
            for (tag, bits, id) in [
                (1, 6, !0),
                (2, 4, 7),
                (4, 4, !0),
                (16, 4, !0),
                (32, 0, !0_u32),
            ] {
                acl.extend([tag, 0, bits, 0]);
                acl.extend(id.to_le_bytes());
            }
            // A file system without ACLs has none to keep.
            xattr::set(&path, "system.posix_acl_access", &acl).ok();
        }
        let time = dice.roll(&["@0", "@1234567890.987654321", "@-86400.25", "@4102444800"]);
        let _ = run("touch", &["--no-dereference", "--date", time, text(&path)]).expect(0);
    }
}

#[derive(Debug, Clone)]
struct Case {
    root: usize,
    seed: u64,
    clean: bool,
    prepare_ends: Option<u32>,
    restore_ends: Option<u32>,
}

#[test]
fn restoring_a_prepared_guest_is_the_identity() {
    let roots = roots();
    let cases = (
        0..roots.len(),
        any::<u64>(),
        any::<bool>(),
        proptest::option::of(1..25_u32),
        proptest::option::of(1..40_u32),
    )
        .prop_map(|(root, seed, clean, prepare_ends, restore_ends)| Case {
            root,
            seed,
            clean,
            prepare_ends,
            restore_ends,
        });
    let mut runner = TestRunner::new(Config {
        cases: 48,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&cases, |case| {
            let bench = Bench::new(&roots[case.root]);
            decorate(&bench.root(), case.seed);
            let before = snapshot(&bench.root());
            let more: &[&str] = if case.clean { &["--clean"] } else { &[] };
            let ends = |place: &str, time: Option<u32>| {
                time.map_or(String::new(), |time| format!("{place}@{time}:SIGKILL"))
            };
            let _ = bench
                .command("prepare", &bench.bundle(), more)
                .env("BYOI_FAIL", ends("apply", case.prepare_ends))
                .output()
                .unwrap();
            let _ = bench
                .command("restore", &bench.bundle(), &[])
                .env("BYOI_FAIL", ends("restore", case.restore_ends))
                .output()
                .unwrap();
            let _ = bench.restore(&[]).expect(0);
            assert_same(&snapshot(&bench.root()), &before, &format!("{case:?}"));
            Ok(())
        })
        .unwrap();
}

/// Each path of a guest that was left in the middle is as in one of two states; our own temporary
/// files do not count.
fn is_between(
    found: &BTreeMap<PathBuf, Object>,
    states: [&BTreeMap<PathBuf, Object>; 2],
    context: &str,
) {
    let told =
        |object: Option<&Object>| object.map(|object| (object.format, object.content.clone()));
    let paths = found.keys().chain(states[0].keys()).chain(states[1].keys());
    for path in paths.filter(|path| !path.ends_with(".byoi-new")) {
        let now = told(found.get(path));
        assert!(
            states.iter().any(|state| told(state.get(path)) == now),
            "{context}: {} is {now:?}",
            path.display()
        );
    }
}

/// The most steps that a plan of a fixture has.
const MANY: u32 = 80;

/// Lets a run end at a place when it is reached for the first time, the second and so on, in each of
/// these ways, until it does not end there any more.
fn at_every(places: &[&str], mut run: impl FnMut(&str, &str, u32) -> Said) {
    for place in places {
        for effect in ["SIGKILL", "EIO"] {
            let ended = (1..MANY).find(|time| {
                let order = format!("{place}@{time}:{effect}");
                run(place, &order, *time).code == 0
            });
            let times = ended.unwrap_or_else(|| panic!("{place} has no end"));
            assert!(times > 1, "{place} was not reached");
        }
    }
}

#[test]
fn prepare_may_end_anywhere() {
    let name = "oracle-linux-7";
    let bench = Bench::of(name);
    decorate(&bench.root(), 7);
    let kept = bench.dir.path().join("kept");
    copy_tree(&bench.root(), &kept);
    let before = snapshot(&bench.root());
    let _ = bench.prepare(&bench.bundle(), &[]).expect(0);
    let after = snapshot(&bench.root());
    let second = bench.dir.path().join("second.tar");
    at_every(
        &["bundle-write", "bundle", "apply", "guest-write"],
        |place, order, time| {
            bench.again(&kept);
            fs::remove_file(bench.bundle()).ok();
            fs::remove_file(&second).ok();
            let ended: Said = bench
                .command("prepare", &bench.bundle(), &[])
                .env("BYOI_FAIL", order)
                .output()
                .unwrap()
                .into();
            let context = format!("{name} {order}: {}", ended.stderr);
            let left = snapshot(&bench.root());
            if !bench.bundle().exists() {
                assert!(place.starts_with("bundle"), "{context}");
                assert_same(&left, &before, &context);
                return ended;
            }
            is_between(&left, [&before, &after], &context);
            if time.is_multiple_of(2) {
                // A second run completes the first; its bundle has the rest.
                let _ = bench.prepare(&second, &[]).expect(0);
                is_between(&snapshot(&bench.root()), [&after, &after], &context);
                if time.is_multiple_of(4) {
                    let later = bench.command("restore", &second, &[]).output().unwrap();
                    let _ = Said::from(later).expect(0);
                }
            }
            let _ = bench.restore(&[]).expect(0);
            assert_same(&snapshot(&bench.root()), &before, &context);
            ended
        },
    );
}

#[test]
fn restore_may_end_anywhere() {
    let name = "ubuntu-18.04";
    let bench = Bench::of(name);
    decorate(&bench.root(), 11);
    let before = snapshot(&bench.root());
    let _ = bench.prepare(&bench.bundle(), &[]).expect(0);
    let after = snapshot(&bench.root());
    let kept = bench.dir.path().join("kept");
    copy_tree(&bench.root(), &kept);
    at_every(&["restore", "guest-put"], |_, order, _| {
        bench.again(&kept);
        let ended: Said = bench
            .command("restore", &bench.bundle(), &[])
            .env("BYOI_FAIL", order)
            .output()
            .unwrap()
            .into();
        let context = format!("{name} {order}: {}", ended.stderr);
        is_between(&snapshot(&bench.root()), [&before, &after], &context);
        let _ = bench.restore(&[]).expect(0);
        assert_same(&snapshot(&bench.root()), &before, &context);
        ended
    });
}

/// A prepared guest with its bundle.
fn prepared() -> Bench {
    let bench = Bench::of("rocky-9");
    let _ = bench.prepare(&bench.bundle(), &[]).expect(0);
    bench
}

#[test]
fn a_bundle_of_another_machine_or_time_is_refused() {
    let change = |path: &'static str, content: &'static str| {
        move |bench: &Bench| {
            let path = bench.file(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
    };
    let connections = "etc/NetworkManager/system-connections";
    let rows: [(&str, Box<dyn Fn(&Bench)>); 5] = [
        (
            "of another machine:\n  host name is web02",
            Box::new(change("etc/hostname", "web02\n")),
        ),
        (
            "/etc/hosts is a file of 4 bytes; it was a file of",
            Box::new(change("etc/hosts", "new\n")),
        ),
        (
            "enp1s0.nmconnection is a file of 0 bytes; it was a file of 319 bytes, and prepare left \
             nothing",
            Box::new(change(
                "etc/NetworkManager/system-connections/enp1s0.nmconnection",
                "",
            )),
        ),
        (
            "dhcp-any-ethernet.nmconnection is a link to hosts",
            Box::new(move |bench| {
                let made = bench
                    .file(connections)
                    .join("dhcp-any-ethernet.nmconnection");
                fs::remove_file(&made).unwrap();
                symlink("hosts", made).unwrap();
            }),
        ),
        (
            "/etc/hosts is a directory",
            Box::new(|bench| {
                fs::remove_file(bench.file("etc/hosts")).unwrap();
                fs::create_dir_all(bench.file("etc/hosts/d")).unwrap();
            }),
        ),
    ];
    for (words, change) in rows {
        let bench = Bench::of("rocky-9");
        let mut before = snapshot(&bench.root());
        let _ = bench.prepare(&bench.bundle(), &[]).expect(0);
        change(&bench);
        let changed = snapshot(&bench.root());
        let said = bench.restore(&[]).expect(3);
        assert!(said.stderr.contains(words), "{words}: {}", said.stderr);
        assert!(said.stderr.contains("--force"), "{}", said.stderr);
        assert_same(&snapshot(&bench.root()), &changed, words);
        let _ = bench.restore(&["--force"]).expect(0);
        let hostname = Path::new("etc/hostname");
        before.insert(hostname.to_owned(), changed[hostname].clone());
        assert_same(&snapshot(&bench.root()), &before, words);
    }
}

#[test]
fn what_the_guest_makes_anew_by_itself_is_no_change() {
    let bench = Bench::of("rocky-9");
    let before = snapshot(&bench.root());
    let _ = bench.prepare(&bench.bundle(), &[]).expect(0);
    fs::write(
        bench.file("etc/machine-id"),
        "0123456789abcdef0123456789abcdef\n",
    )
    .unwrap();
    let _ = bench.restore(&[]).expect(0);
    assert_same(&snapshot(&bench.root()), &before, "machine-id");
}

#[test]
fn what_cloud_init_renders_at_the_next_boot_is_no_change() {
    let network = "etc/netplan/50-cloud-init.yaml";
    let rendered = "# This file is generated from information provided by the datasource.\n\
                    network:\n  version: 2\n";
    let bench = Bench::of("ubuntu-18.04");
    let before = snapshot(&bench.root());
    let _ = bench.prepare(&bench.bundle(), &[]).expect(0);
    assert!(!bench.file(network).exists());
    fs::write(bench.file(network), rendered).unwrap();
    let _ = bench.restore(&[]).expect(0);
    assert_same(&snapshot(&bench.root()), &before, "rendered again");

    // Where there was none before.
    fs::remove_file(bench.bundle()).unwrap();
    let own = bench.file("etc/netplan/01-netcfg.yaml");
    fs::rename(bench.file(network), &own).unwrap();
    let before = snapshot(&bench.root());
    let _ = bench.prepare(&bench.bundle(), &[]).expect(0);
    fs::write(bench.file(network), rendered).unwrap();
    let _ = bench.restore(&[]).expect(0);
    assert_same(&snapshot(&bench.root()), &before, "rendered");
}

#[test]
fn a_damaged_bundle_restores_nothing() {
    let bench = prepared();
    let after = snapshot(&bench.root());
    let whole = fs::read(bench.bundle()).unwrap();
    let refused = |bytes: &[u8], context: &str| {
        fs::write(bench.bundle(), bytes).unwrap();
        let said = bench.restore(&["--force"]).expect(3);
        assert!(
            said.stderr.contains("bundle is damaged"),
            "{context}: {}",
            said.stderr
        );
        assert_same(&snapshot(&bench.root()), &after, context);
    };
    // The last two blocks, which end every archive, say nothing.
    for length in (0..whole.len() - 1024).step_by(256) {
        refused(&whole[..length], &format!("cut at {length}"));
    }
    for (from, to) in [
        // The same length, or the archive itself would be damaged.
        (&b"\"/etc/hosts\""[..], &b"\"/../hosts\""[..]),
        (b"\"/etc/hosts\"", b"\"/etc//osts\""),
        (b"\"/etc/hosts\"", b"\"etc/hosts/\""),
        (b"\"/etc/hosts\"", b"\"/etc/hostt\""),
        (b"\"/etc/hosts\"", b"\"/etc/%00st\""),
        (b"\"/etc/hosts\"", b"\"/aaa/hosts\""),
        (b"127.0.0.1", b"128.0.0.1"),
        (b"byoi-bundle.json", b"byoi-bundle.jso_"),
    ] {
        let at = whole
            .windows(from.len())
            .position(|bytes| bytes == from)
            .unwrap();
        let mut bytes = whole.clone();
        bytes[at..at + to.len()].copy_from_slice(to);
        refused(&bytes, &String::from_utf8_lossy(to));
    }
    refused(b"", "nothing");
    refused(&[0; 4096], "zeros");
    refused(b"PK, a file of another kind", "another kind");
    fs::write(bench.bundle(), &whole).unwrap();
    let _ = bench.restore(&[]).expect(0);
}

#[test]
fn links_on_the_way_lead_nowhere_outside() {
    let bench = prepared();
    let outside = bench.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::rename(
        bench.file("etc/NetworkManager"),
        bench.dir.path().join("aside"),
    )
    .unwrap();
    symlink(&outside, bench.file("etc/NetworkManager")).unwrap();
    let said = bench.restore(&[]).expect(3);
    assert!(said.stderr.contains("changed since"), "{}", said.stderr);
    let _ = bench.restore(&["--force"]);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn a_bundle_is_not_written_into_the_guest_nor_over_another() {
    let bench = Bench::of("rocky-9");
    let before = snapshot(&bench.root());
    let refused = |path: &Path, words: &str| {
        let said = bench.prepare(path, &[]).expect(3);
        assert!(said.stderr.contains(words), "{}", said.stderr);
        assert_same(&snapshot(&bench.root()), &before, words);
    };
    refused(&bench.file("root.tar"), "inside the guest");
    refused(&bench.file("etc/../etc/b.tar"), "inside the guest");
    symlink(bench.file("etc"), bench.dir.path().join("link")).unwrap();
    refused(&bench.dir.path().join("link/b.tar"), "inside the guest");
    refused(&bench.dir.path().join("none/b.tar"), "No such file");
    refused(bench.dir.path(), "something else has that name");
    fs::write(bench.bundle(), "kept").unwrap();
    refused(&bench.bundle(), "restore takes the later bundle first");
    assert_eq!(fs::read(bench.bundle()).unwrap(), b"kept");
    let inside = File::create(bench.file("redirected")).unwrap();
    let said: Said = bench
        .command("prepare", Path::new("-"), &[])
        .stdout(inside)
        .output()
        .unwrap()
        .into();
    assert!(said.expect(3).stderr.contains("inside the guest"));
    for option in ["--poweroff", "--at-shutdown"] {
        let said = bench
            .prepare(&bench.dir.path().join("b.tar"), &[option])
            .expect(2);
        assert!(
            said.stderr.contains("for the running system"),
            "{}",
            said.stderr
        );
    }
}

#[test]
fn a_bundle_goes_through_pipes() {
    let bench = Bench::of("ubuntu-20.04");
    let before = snapshot(&bench.root());
    let report = bench.dir.path().join("report.json");
    let made = bench
        .command("prepare", Path::new("-"), &["--report", text(&report)])
        .output()
        .unwrap();
    assert!(made.status.success());
    assert!(String::from_utf8_lossy(&made.stderr).contains("verdict     ready"));
    assert!(
        fs::read_to_string(&report)
            .unwrap()
            .contains("byoi.report/1")
    );
    fs::write(bench.bundle(), &made.stdout).unwrap();

    // Any tar reads it.
    let listed = run("tar", &["--list", "--file", text(&bench.bundle())]).expect(0);
    assert!(
        listed.stdout.starts_with("byoi-bundle.json\netc/\n"),
        "{}",
        listed.stdout
    );
    let restored: Said = bench
        .command("restore", Path::new("-"), &["--format", "json"])
        .stdin(File::open(bench.bundle()).unwrap())
        .output()
        .unwrap()
        .into();
    let restored = restored.expect(0);
    restored.validate();
    assert!(!restored.json()["changes"].as_array().unwrap().is_empty());
    assert_same(&snapshot(&bench.root()), &before, "through a pipe");
}

#[test]
fn a_dry_run_says_what_is_restored_and_writes_nothing() {
    let bench = prepared();
    let after = snapshot(&bench.root());
    let mode = fs::metadata(bench.bundle()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let dry = bench.restore(&["--dry-run"]).expect(0);
    assert!(dry.stdout.contains("edit     /etc/hosts"), "{}", dry.stdout);
    assert_same(&snapshot(&bench.root()), &after, "dry run");
    let done = bench.restore(&[]).expect(0);
    assert_eq!(done.stdout, dry.stdout);
}

#[test]
fn holes_are_neither_kept_nor_filled() {
    const SIZE: u64 = 300 << 30;
    let bench = Bench::of("rocky-9");
    let log = bench.file("var/log/lastlog");
    fs::create_dir_all(log.parent().unwrap()).unwrap();
    let sparse = File::create(&log).unwrap();
    for offset in [292_000, SIZE - 292] {
        sparse.write_all_at(&[7; 292], offset).unwrap();
    }
    let same = |context: &str| {
        let restored = File::open(&log).unwrap();
        let metadata = restored.metadata().unwrap();
        assert_eq!(metadata.len(), SIZE, "{context}");
        assert!(metadata.blocks() < 1024, "{context}: {}", metadata.blocks());
        let mut record = [0; 292];
        for offset in [292_000, SIZE - 292] {
            restored.read_exact_at(&mut record, offset).unwrap();
            assert_eq!(record, [7; 292], "{context}");
        }
    };
    same("before");
    let _ = bench.prepare(&bench.bundle(), &["--clean"]).expect(0);
    assert_eq!(fs::metadata(&log).unwrap().len(), 0);
    assert!(fs::metadata(bench.bundle()).unwrap().len() < 1 << 20);
    let _ = bench.restore(&[]).expect(0);
    same("restored");
    let again = bench.restore(&["--format", "json"]).expect(0).json();
    assert_eq!(again["changes"].as_array().unwrap().len(), 0);

    // Any tar unpacks it.
    fs::remove_file(&log).unwrap();
    let (root, bundle) = (bench.root(), bench.bundle());
    let args = [
        "--extract",
        "--directory",
        text(&root),
        "--file",
        text(&bundle),
        "var/log/lastlog",
    ];
    let _ = run("tar", &args).expect(0);
    same("unpacked");
}

/// A pipe that holds a whole bundle that nobody reads.
fn deep_pipe() -> (PipeReader, OwnedFd) {
    let (reader, writer) = io::pipe().unwrap();
    fcntl(&writer, FcntlArg::F_SETPIPE_SZ(1 << 20)).unwrap();
    (reader, writer.into())
}

/// Waits until so many bytes wait to be read.
fn await_waiting(reader: &impl AsFd, length: u64) {
    while rustix::io::ioctl_fionread(reader).unwrap() < length {
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn nothing_is_changed_before_the_bundle_is_taken() {
    let bench = Bench::of("rocky-9");
    let kept = bench.dir.path().join("kept");
    copy_tree(&bench.root(), &kept);
    let before = snapshot(&bench.root());
    let _ = bench.prepare(&bench.bundle(), &[]).expect(0);
    let after = snapshot(&bench.root());
    let length = fs::metadata(bench.bundle()).unwrap().len();
    let pipe = || -> (OwnedFd, OwnedFd) {
        let (reader, writer) = deep_pipe();
        (reader.into(), writer)
    };
    let socket = || -> (OwnedFd, OwnedFd) {
        let (reader, writer) = UnixStream::pair().unwrap();
        (reader.into(), writer.into())
    };
    for (kind, ends) in [
        ("pipe", &pipe as &dyn Fn() -> (OwnedFd, OwnedFd)),
        ("socket", &socket),
    ] {
        bench.again(&kept);
        let (reader, writer) = ends();
        let child = bench.stream(writer, &[]);
        await_waiting(&reader, length);
        drop(reader);
        let said = Said::from(child.wait_with_output().unwrap()).expect(3);
        assert!(
            said.stderr.contains("Broken pipe"),
            "{kind}: {}",
            said.stderr
        );
        assert_same(&snapshot(&bench.root()), &before, kind);

        let (reader, writer) = ends();
        let child = bench.stream(writer, &[]);
        await_waiting(&reader, length);
        let mut taken = Vec::new();
        File::from(reader).read_to_end(&mut taken).unwrap();
        let _ = Said::from(child.wait_with_output().unwrap()).expect(0);
        assert_eq!(u64::try_from(taken.len()).unwrap(), length, "{kind}");
        is_between(&snapshot(&bench.root()), [&after, &after], kind);
    }
}

#[test]
fn what_is_edited_while_the_bundle_streams_is_not_lost() {
    let profile = "etc/NetworkManager/system-connections/enp1s0.nmconnection";
    let nodes = "var/lib/iscsi/nodes/iqn.x:y/192.0.2.5,3260,1";
    for path in [profile.to_owned(), format!("{nodes}/added")] {
        let bench = Bench::of("rocky-9");
        fs::create_dir_all(bench.file(nodes)).unwrap();
        // A pipe holds much less, so that this is what the program is at while we edit.
        fs::write(bench.file(nodes).join("default"), "#\n".repeat(1 << 20)).unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        let child = bench.stream(writer, &[]);
        let mut bundle = vec![0; 1 << 20];
        reader.read_exact(&mut bundle).unwrap();
        let mut edited = File::options()
            .create(true)
            .append(true)
            .open(bench.file(&path))
            .unwrap();
        edited.write_all(b"# edited\n").unwrap();
        reader.read_to_end(&mut bundle).unwrap();
        let said = Said::from(child.wait_with_output().unwrap()).expect(3);
        assert!(
            said.stderr.contains(&format!("/{path} changed")),
            "{}",
            said.stderr
        );
        let left = fs::read_to_string(bench.file(&path)).unwrap();
        assert!(left.ends_with("# edited\n"), "{path}: {left}");
    }
}

#[test]
fn a_connection_that_is_cut_stops_nothing_and_the_report_is_written() {
    let bench = Bench::of("rocky-9");
    let report = bench.dir.path().join("report.json");
    let silent = || {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        writer
    };
    let mut command = bench.command("prepare", Path::new("-"), &["--report", text(&report)]);
    let ended = command
        .stdout(File::create(bench.bundle()).unwrap())
        .stderr(silent())
        .status()
        .unwrap();
    assert_eq!(ended.code(), Some(3));
    let written = fs::read_to_string(&report).unwrap();
    assert!(written.contains("\"verdict\": \"ready\""), "{written}");
    // The second one has nothing to keep and cannot say so.
    let second = bench.dir.path().join("second.tar");
    let mut command = bench.command("prepare", &second, &[]);
    assert_eq!(
        command.stderr(silent()).output().unwrap().status.code(),
        Some(0)
    );
    let mut command = bench.command("prepare", &second, &[]);
    assert_eq!(
        command.stderr(silent()).output().unwrap().status.code(),
        Some(3)
    );
    let _ = bench.restore(&[]).expect(0);
}
