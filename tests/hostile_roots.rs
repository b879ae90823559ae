//! Guest roots that were made to do harm: nothing outside is touched, nothing hangs, and memory
//! does not grow with what the guest claims.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use byoi_tests::{Said, program, run, text};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::mkfifo;
use tempfile::TempDir;

const MAC: &str = "00:50:56:8a:3c:d1";

/// A directory with a guest, and beside it what the guest would like to reach.
struct Prison {
    dir: TempDir,
}

impl Prison {
    fn new() -> Self {
        let dir = TempDir::with_prefix("byoi-prison-").unwrap();
        for path in [
            "guest/etc/network",
            "guest/etc/udev/rules.d",
            "guest/sbin",
            "outside/etc",
        ] {
            fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        let prison = Self { dir };
        fs::write(prison.guest("etc/os-release"), "ID=debian\nVERSION_ID=12\n").unwrap();
        fs::write(prison.guest("etc/network/interfaces"), interfaces()).unwrap();
        fs::write(prison.outside("etc/interfaces"), interfaces()).unwrap();
        fs::write(
            prison.outside("etc/machine-id"),
            "0123456789abcdef0123456789abcdef\n",
        )
        .unwrap();
        prison
    }

    fn guest(&self, path: &str) -> std::path::PathBuf {
        self.dir.path().join("guest").join(path)
    }

    fn outside(&self, path: &str) -> std::path::PathBuf {
        self.dir.path().join("outside").join(path)
    }

    /// Prepares the guest with a minute and 256 MiB, and sees that the outside is as it was.
    fn prepare(&self) -> Said {
        let state = || {
            ["etc/interfaces", "etc/machine-id"].map(|path| {
                let path = self.outside(path);
                let metadata = fs::metadata(&path).unwrap();
                (
                    fs::read(&path).unwrap(),
                    metadata.ino(),
                    metadata.mtime_nsec(),
                    metadata.mode(),
                )
            })
        };
        let before = state();
        let said = Said::from(
            Command::new("prlimit")
                // Seconds of processor time, and of waiting for what never comes.
                .args(["--as=268435456", "--cpu=60", "timeout", "600"])
                .arg(program("byoi-agent"))
                .args(["prepare", "--yes", "--format", "json", "--root"])
                .arg(self.dir.path().join("guest"))
                .output()
                .unwrap(),
        );
        assert!(
            [0, 1, 3].contains(&said.code),
            "{}: {}",
            said.code,
            said.stderr
        );
        assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
        assert_eq!(state(), before, "the outside was touched: {}", said.stderr);
        said
    }
}

fn interfaces() -> String {
    format!(
        "auto ens192\niface ens192 inet static\n  address 192.0.2.7/24\n  hwaddress ether {MAC}\n"
    )
}

#[test]
fn links_end_inside() {
    let prison = Prison::new();
    let climb = format!(
        "../../../../../../../../..{}",
        text(&prison.outside("etc/interfaces"))
    );
    fs::remove_file(prison.guest("etc/network/interfaces")).unwrap();
    symlink(
        prison.outside("etc/interfaces"),
        prison.guest("etc/network/interfaces"),
    )
    .unwrap();
    symlink(
        climb,
        prison.guest("etc/udev/rules.d/70-persistent-net.rules"),
    )
    .unwrap();
    symlink(
        prison.outside("etc/machine-id"),
        prison.guest("etc/machine-id"),
    )
    .unwrap();
    symlink("loop-b", prison.guest("etc/loop-a")).unwrap();
    symlink("loop-a", prison.guest("etc/loop-b")).unwrap();
    symlink("../loop-a", prison.guest("etc/network/interfaces.d")).unwrap();
    symlink("/proc/self/root", prison.guest("etc/iscsi")).unwrap();
    let _ = prison.prepare();
}

#[test]
fn etc_may_be_a_link_too() {
    let prison = Prison::new();
    fs::remove_dir_all(prison.guest("etc")).unwrap();
    symlink(prison.outside("etc"), prison.guest("etc")).unwrap();
    let _ = prison.prepare();
    fs::remove_file(prison.guest("etc")).unwrap();
    symlink(
        format!("../../../../../..{}", text(&prison.outside("etc"))),
        prison.guest("etc"),
    )
    .unwrap();
    let _ = prison.prepare();
}

#[test]
fn a_link_that_is_swapped_during_the_run_leads_nowhere() {
    let prison = Prison::new();
    let (path, other) = (
        prison.guest("etc/network"),
        prison.guest("etc/network.real"),
    );
    let (link, file) = (prison.guest("etc/link"), prison.outside("etc"));
    symlink(&file, &link).unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // The directory and a link to the outside take turns.
                fs::rename(&path, &other).ok();
                fs::rename(&link, &path).ok();
                fs::rename(&path, &link).ok();
                fs::rename(&other, &path).ok();
            }
        });
        for _ in 0..20 {
            let _ = prison.prepare();
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn privileged_what_is_no_file_is_not_opened() {
    let prison = Prison::new();
    let user = Mode::S_IRUSR | Mode::S_IWUSR;
    for path in [
        "etc/fstab",
        "etc/machine-id",
        "etc/network/interfaces.d",
        "etc/udev/rules.d/70-persistent-net.rules",
    ] {
        mkfifo(&prison.guest(path), user).unwrap();
        let _ = prison.prepare();
        fs::remove_file(prison.guest(path)).unwrap();
        let listener = UnixListener::bind(prison.guest(path)).unwrap();
        let _ = prison.prepare();
        drop(listener);
        fs::remove_file(prison.guest(path)).unwrap();
        // /dev/zero, which never ends.
        mknod(&prison.guest(path), SFlag::S_IFCHR, user, makedev(1, 5)).unwrap();
        let _ = prison.prepare();
        fs::remove_file(prison.guest(path)).unwrap();
    }
}

#[test]
fn huge_files_cost_neither_memory_nor_room() {
    for path in [
        "etc/network/interfaces",
        "etc/fstab",
        "etc/machine-id",
        "etc/udev/rules.d/70-persistent-net.rules",
        "var/lib/systemd/random-seed",
        "var/lib/dhcp/dhclient.ens192.leases",
        "boot/initrd.img-6.1.0",
    ] {
        let prison = Prison::new();
        let path = prison.guest(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = File::create(&path).unwrap();
        file.set_len(10 << 30).unwrap();
        file.write_all_at(MAC.as_bytes(), 5 << 30).unwrap();
        let said = prison.prepare();
        // 512-byte blocks.
        let used = file.metadata().unwrap().blocks() * 512;
        assert!(
            used < 1 << 20,
            "{}: {used} bytes, {}",
            path.display(),
            said.stderr
        );
        if said.code == 3 {
            assert!(said.stderr.contains("larger than"), "{}", said.stderr);
        }
    }
}

#[test]
fn names_may_be_any_bytes() {
    let prison = Prison::new();
    let name = OsStr::from_bytes(b"70-\xff\xfe\n.rules");
    let rules = prison.guest("etc/udev/rules.d").join(name);
    fs::write(
        &rules,
        format!("SUBSYSTEM==\"net\", ATTR{{address}}==\"{MAC}\", NAME=\"eth0\"\n"),
    )
    .unwrap();
    fs::write(
        prison.guest("etc/udev/rules.d").join("\u{1b}[31m.rules"),
        MAC,
    )
    .unwrap();
    let _ = prison.prepare().expect(0);
    assert!(!fs::read(&rules).is_ok_and(|text| holds(&text)));
    // A terminal is not steered by a guest.
    let report = run(
        program("byoi-agent"),
        &["check", "--root", text(&prison.dir.path().join("guest"))],
    );
    assert!(!report.stdout.contains('\u{1b}'), "{:?}", report.stdout);
}

fn holds(text: &[u8]) -> bool {
    text.windows(MAC.len())
        .any(|window| window == MAC.as_bytes())
}

#[test]
fn a_hard_link_shares_nothing_with_the_new_file() {
    let prison = Prison::new();
    // As cp --link would have left it: one file, two names, one of them outside.
    fs::remove_file(prison.guest("etc/network/interfaces")).unwrap();
    fs::hard_link(
        prison.outside("etc/interfaces"),
        prison.guest("etc/network/interfaces"),
    )
    .unwrap();
    fs::hard_link(
        prison.outside("etc/machine-id"),
        prison.guest("etc/machine-id"),
    )
    .unwrap();
    let _ = prison.prepare().expect(0);
    assert!(!holds(
        &fs::read(prison.guest("etc/network/interfaces")).unwrap()
    ));
}

#[test]
fn privileged_an_immutable_file_is_named() {
    let prison = Prison::new();
    let path = prison.guest("etc/network/interfaces");
    let before = fs::read(&path).unwrap();
    let _ = run("chattr", &["+i", text(&path)]).expect(0);
    let said = prison.prepare();
    let _ = run("chattr", &["-i", text(&path)]).expect(0);
    assert_eq!(said.code, 3);
    assert!(
        said.stderr.contains("/etc/network/interfaces"),
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains("chattr -i"), "{}", said.stderr);
    assert_eq!(fs::read(&path).unwrap(), before);
    let _ = prison.prepare().expect(0);
}

#[test]
fn deep_and_wide_trees_end() {
    let prison = Prison::new();
    let mut path = prison.guest("etc/network");
    for _ in 0..200 {
        path = path.join("interfaces.d");
    }
    fs::create_dir_all(&path).unwrap();
    let list = (0..2000)
        .map(|n| format!("source /etc/network/file{n}"))
        .collect::<Vec<_>>()
        .join("\n");
    for n in 0..20 {
        fs::write(prison.guest(&format!("etc/network/file{n}")), &list).unwrap();
    }
    fs::write(prison.guest("etc/network/interfaces"), list).unwrap();
    let _ = prison.prepare();
}
