//! `byoi-agent` as a user runs it, on guest roots that are plain directories.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use byoi_tests::{LIVED_IN, Said, program, run, text};
use tempfile::TempDir;

const MAC: &str = "00:50:56:8a:3c:d1";
const SECRET: &str = "Ch4pS3cret-web01";

/// A small Debian guest that was a VMware machine.
fn guest() -> TempDir {
    let dir = TempDir::new().unwrap();
    for (path, content) in [
        ("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n".to_owned()),
        (
            "etc/network/interfaces",
            format!(
                "# Managed by hand.\nauto lo\niface lo inet loopback\n\n# The front network\nauto ens192\n\
                 iface ens192 inet static\n    address 192.168.77.41/24\n    gateway 192.168.77.1\n    \
                 hwaddress ether {MAC}\n\nauto dummy0\niface dummy0 inet static\n    address 10.9.9.9/32\n    \
                 pre-up ip link add dummy0 type dummy\n"
            ),
        ),
        ("etc/hostname", "web01\n".to_owned()),
        (
            "etc/hosts",
            "127.0.0.1 localhost\n192.168.77.41 web01.example.com web01\n".to_owned(),
        ),
        (
            "etc/udev/rules.d/70-persistent-net.rules",
            format!(
                "# PCI device 0x15ad:0x07b0 (vmxnet3)\nSUBSYSTEM==\"net\", ACTION==\"add\", \
                 ATTR{{address}}==\"{MAC}\", NAME=\"ens192\"\n"
            ),
        ),
        (
            "etc/systemd/network/10-persistent-net.link",
            format!("[Match]\nMACAddress={MAC}\n\n[Link]\nName=ens192\n"),
        ),
        (
            "etc/default/grub",
            "GRUB_TIMEOUT=1\nGRUB_CMDLINE_LINUX=\"ip=192.168.77.41::192.168.77.1:255.255.255.0:web01:ens192:none quiet\"\n"
                .to_owned(),
        ),
        (
            "etc/fstab",
            "# <file system> <mount point> <type> <options> <dump> <pass>\n\
             UUID=6e1d0cc5-6cdd-4c4b-a7e4-3f3f4e5d6c7b / ext4 errors=remount-ro 0 1\n\
             /dev/disk/by-path/ip-192.168.77.5:3260-iscsi-iqn.2004-04.com.example:data-lun-1 /srv/data ext4 _netdev 0 2\n"
                .to_owned(),
        ),
        (
            "etc/iscsi/nodes/iqn.2004-04.com.example:data/192.168.77.5,3260,1/default",
            format!("# BEGIN RECORD 2.1.8\nnode.startup = automatic\nnode.session.auth.password = {SECRET}\n# END RECORD\n"),
        ),
        (
            "etc/iscsi/iscsid.conf",
            format!("node.startup = manual\nnode.session.auth.username = web01\nnode.session.auth.password = {SECRET}\n"),
        ),
        (
            "etc/iscsi/initiatorname.iscsi",
            "InitiatorName=iqn.1993-08.org.debian:01:9f3c1d2e7a4b\n".to_owned(),
        ),
        ("etc/machine-id", "5d1c5f6f3f0b4f0e8a4b1c2d3e4f5a6b\n".to_owned()),
        (
            "var/lib/dhcp/dhclient.ens192.leases",
            "lease {\n  interface \"ens192\";\n  fixed-address 192.168.77.41;\n}\n".to_owned(),
        ),
        ("var/lib/systemd/random-seed", "0123456789abcdef".to_owned()),
        ("usr/lib/systemd/systemd", String::new()),
        ("etc/hostname", "web01\n".to_owned()),
    ] {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    dir
}

fn agent(args: &[&str]) -> Said {
    run(program("byoi-agent"), args)
}

/// Every file with its content and mode.
fn snapshot(dir: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut files = BTreeMap::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            if metadata.is_dir() {
                pending.push(path);
            } else {
                let content = if metadata.is_file() {
                    fs::read(&path).unwrap()
                } else {
                    Vec::new()
                };
                files.insert(path, (metadata.permissions().mode(), content));
            }
        }
    }
    files
}

#[test]
fn a_lived_in_guest_is_blocked_then_prepared_then_ready() {
    let guest = guest();
    let root = text(guest.path());
    let untouched = snapshot(guest.path());

    let before = agent(&["check", "--root", root, "--format", "json"]).expect(1);
    assert_eq!(before.rules("open"), LIVED_IN);
    assert_eq!(before.json()["verdict"], "blocked");
    assert_eq!(before.json()["schema"], "byoi.report/1");
    assert_eq!(snapshot(guest.path()), untouched, "check wrote something");

    let prepared = agent(&["prepare", "--root", root, "--yes", "--format", "json"]).expect(0);
    assert_eq!(prepared.rules("fixed"), LIVED_IN);
    before.validate();
    prepared.validate();
    assert_eq!(prepared.json()["verdict"], "ready");
    assert!(!prepared.stdout.contains(SECRET), "{}", prepared.stdout);

    let after = snapshot(guest.path());
    for (path, (_, content)) in &after {
        let content = String::from_utf8_lossy(content);
        assert!(!content.contains(MAC), "{}: {content}", path.display());
        assert!(!content.contains(SECRET), "{}: {content}", path.display());
    }
    let interfaces = fs::read_to_string(guest.path().join("etc/network/interfaces")).unwrap();
    assert!(
        interfaces.starts_with("# Managed by hand.\nauto lo\n"),
        "{interfaces}"
    );
    assert!(
        interfaces.contains("iface dummy0 inet static"),
        "{interfaces}"
    );
    assert!(!interfaces.contains("ens192"), "{interfaces}");

    let again = agent(&["prepare", "--root", root, "--yes", "--format", "json"]).expect(0);
    assert_eq!(again.json()["changes"].as_array().unwrap().len(), 0);
    assert_eq!(
        snapshot(guest.path()),
        after,
        "a second run changed something"
    );
    let _ = agent(&["check", "--root", root]).expect(0);
}

#[test]
fn a_dry_run_shows_what_prepare_does_and_writes_nothing() {
    let guest = guest();
    let root = text(guest.path());
    let untouched = snapshot(guest.path());
    let planned = agent(&["prepare", "--root", root, "--dry-run", "--format", "json"]).expect(1);
    assert_eq!(snapshot(guest.path()), untouched);
    assert!(!planned.stdout.contains(SECRET), "{}", planned.stdout);
    let done = agent(&["prepare", "--root", root, "--yes", "--format", "json"]).expect(0);
    assert_eq!(planned.json()["changes"], done.json()["changes"]);
}

#[test]
fn the_diffs_of_a_dry_run_are_what_prepare_does() {
    let (planned, done) = (guest(), guest());
    let prepare = |guest: &TempDir, how: &str| {
        agent(&[
            "prepare",
            how,
            "--root",
            text(guest.path()),
            // Their diffs hide the secrets.
            "--skip",
            "iscsi/credentials",
            "--skip",
            "iscsi/node-records",
            "--format",
            "json",
        ])
    };
    let report = prepare(&planned, "--dry-run").json();
    let diff = TempDir::new().unwrap();
    let diff = diff.path().join("diff");
    for change in report["changes"].as_array().unwrap() {
        let path = planned.path().join(&change["path"].as_str().unwrap()[1..]);
        if change["action"] == "remove" {
            fs::remove_file(path).unwrap();
        } else {
            fs::write(&diff, change["diff"].as_str().unwrap()).unwrap();
            let args = [
                "--quiet",
                "-p1",
                "-d",
                text(planned.path()),
                "-i",
                text(&diff),
            ];
            let _ = run("patch", &args).expect(0);
        }
    }
    let _ = prepare(&done, "--yes");
    let contents = |guest: &TempDir| -> BTreeMap<PathBuf, Vec<u8>> {
        snapshot(guest.path())
            .into_iter()
            .map(|(path, (_, content))| {
                (path.strip_prefix(guest.path()).unwrap().to_owned(), content)
            })
            .collect()
    };
    assert_eq!(contents(&planned), contents(&done));
}

#[test]
fn no_report_shows_a_secret() {
    let guest = guest();
    let root = text(guest.path());
    for (path, content) in [
        (
            "etc/iscsi/iscsi.initramfs",
            "ISCSI_PASSWORD=Quartz-Lantern-4471\nISCSI_IN_PASSWORD=Velvet-Harbour-9028\n",
        ),
        (
            "etc/iscsi/iscsid.conf",
            "node.session.auth.password = correct horse battery staple\n",
        ),
        (
            "etc/kernel/cmdline",
            "netroot=iscsi:web01:Copper-Falcon-7@169.254.0.2::::iqn.2015-02.oracle.boot:uefi \
             ip=192.168.77.41 iscsi_password=Amber-Kettle ISCSI_IN_PASSWORD=Silver-Anvil\n",
        ),
    ] {
        let path = guest.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let report = guest.path().with_extension("json");
    for args in [
        &["check"][..],
        &["check", "--format", "json"],
        &["prepare", "--dry-run"],
        &["prepare", "--dry-run", "--format", "json"],
        &["prepare", "--report", text(&report)],
    ] {
        let said = agent(&[args, &["--root", root]].concat());
        let reported = fs::read_to_string(&report).unwrap_or_default();
        let all = [said.stdout, said.stderr, reported].concat();
        assert!(all.contains("iscsi/credentials"), "{all}");
        for secret in [
            "Quartz", "Velvet", "horse", "staple", "Copper", "Amber", "Silver", SECRET,
        ] {
            assert!(!all.contains(secret), "{args:?} {secret}: {all}");
        }
    }
    fs::remove_file(report).unwrap();
}

#[test]
fn a_system_on_a_target_elsewhere_keeps_what_it_boots_with() {
    let guest = guest();
    let root = text(guest.path());
    let settings = "ISCSI_TARGET_NAME=iqn.2004-04.com.example:system\nISCSI_TARGET_IP=192.0.2.5\n\
                    ISCSI_USERNAME=web01\nISCSI_PASSWORD=Quartz-Lantern\n";
    let kept = guest.path().join("etc/iscsi/iscsi.initramfs");
    fs::write(&kept, settings).unwrap();
    let name = guest.path().join("etc/iscsi/initiatorname.iscsi");
    let before = fs::read(&name).unwrap();
    let said = agent(&["prepare", "--root", root, "--format", "json"]).expect(1);
    assert!(said.rules("open").contains(&"iscsi/root".to_owned()));
    assert_eq!(fs::read_to_string(kept).unwrap(), settings);
    assert_eq!(fs::read(name).unwrap(), before);
    let data = "etc/iscsi/nodes/iqn.2004-04.com.example:data";
    assert!(!guest.path().join(data).exists());
}

#[test]
fn a_program_that_runs_is_cleaned_away_too() {
    let guest = guest();
    let tool = guest.path().join("tmp/tool");
    fs::create_dir(guest.path().join("tmp")).unwrap();
    fs::copy("/bin/sleep", &tool).unwrap();
    let mut running = Command::new(&tool).arg("600").spawn().unwrap();
    let said = agent(&["prepare", "--clean", "--root", text(guest.path())]);
    running.kill().unwrap();
    running.wait().unwrap();
    let _ = said.expect(0);
    assert!(!tool.exists());
}

#[test]
fn a_hangup_is_ignored_where_whoever_started_the_run_says_so() {
    for (signal, code) in [("--default-signal=HUP", 3), ("--ignore-signal=HUP", 0)] {
        let guest = guest();
        let mut env = Command::new("env");
        env.args([signal, "BYOI_FAIL=guest-write:SIGHUP"]);
        env.arg(program("byoi-agent"));
        env.args(["prepare", "--root", text(guest.path())]);
        let _ = Said::from(env.output().unwrap()).expect(code);
    }
}

#[test]
fn only_and_skip_choose_the_rules() {
    let guest = guest();
    let root = text(guest.path());
    let only = agent(&[
        "check", "--root", root, "--only", "net/udev", "--format", "json",
    ])
    .expect(1);
    assert_eq!(only.rules("open"), ["net/udev"]);

    let skipped = agent(&[
        "prepare", "--root", root, "--yes", "--skip", "net/udev", "--format", "json",
    ])
    .expect(0);
    assert_eq!(skipped.rules("skipped"), ["net/udev"]);
    let rules = guest
        .path()
        .join("etc/udev/rules.d/70-persistent-net.rules");
    assert!(fs::read_to_string(rules).unwrap().contains(MAC));

    let unknown = agent(&["check", "--root", root, "--only", "net/unheard-of"]).expect(2);
    assert!(
        unknown.stderr.contains("net/unheard-of"),
        "{}",
        unknown.stderr
    );
}

#[test]
fn modes_and_attributes_survive_an_edit() {
    let guest = guest();
    let fstab = guest.path().join("etc/fstab");
    fs::set_permissions(&fstab, fs::Permissions::from_mode(0o640)).unwrap();
    xattr::set(&fstab, "user.note", b"kept").unwrap();
    let _ = agent(&["prepare", "--root", text(guest.path()), "--yes"]).expect(0);
    assert_eq!(
        fs::metadata(&fstab).unwrap().permissions().mode() & 0o7777,
        0o640
    );
    assert_eq!(
        xattr::get(&fstab, "user.note").unwrap().as_deref(),
        Some(&b"kept"[..])
    );
}

#[test]
fn links_of_the_guest_lead_nowhere_outside() {
    let guest = guest();
    let outside = TempDir::new().unwrap();
    let victim = outside.path().join("interfaces");
    let content = format!("auto ens192\niface ens192 inet static\n  hwaddress ether {MAC}\n");
    fs::write(&victim, &content).unwrap();
    let link = guest.path().join("etc/network/interfaces");
    fs::remove_file(&link).unwrap();
    symlink(&victim, &link).unwrap();
    let climbing = guest.path().join("etc/udev/rules.d/80-climb.rules");
    symlink(
        format!("../../../../../../../..{}", text(&victim)),
        climbing,
    )
    .unwrap();

    let said = agent(&["prepare", "--root", text(guest.path()), "--yes"]);
    assert!(said.code == 0 || said.code == 1, "{}", said.stderr);
    assert_eq!(fs::read_to_string(&victim).unwrap(), content);
}

#[test]
fn the_running_system_is_not_changed_without_being_asked() {
    let said = agent(&["prepare"]).expect(3);
    assert!(said.stderr.contains("--yes"), "{}", said.stderr);
}

#[test]
fn one_file_runs_in_a_root_that_holds_nothing_else() {
    let empty = TempDir::new().unwrap();
    fs::copy(program("byoi-agent"), empty.path().join("byoi-agent")).unwrap();
    let root = text(empty.path());
    let rules = run("chroot", &[root, "/byoi-agent", "rules"]).expect(0);
    assert!(rules.stdout.contains("net/mac"), "{}", rules.stdout);
    let check = run(
        "chroot",
        &[root, "/byoi-agent", "check", "--format", "json"],
    )
    .expect(0);
    assert_eq!(check.json()["verdict"], "ready");
}

#[test]
fn the_report_goes_to_a_file_as_well() {
    let guest = guest();
    let report = guest.path().join("report.json");
    let said = agent(&[
        "check",
        "--root",
        text(guest.path()),
        "--report",
        text(&report),
    ])
    .expect(1);
    assert!(
        said.stdout.contains("verdict     blocked"),
        "{}",
        said.stdout
    );
    let json: serde_json::Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    assert_eq!(json["verdict"], "blocked");
}

/// The rows of README's catalogue, from what the program says of its rules.
fn catalogue() -> String {
    let said = run(program("byoi-agent"), &["rules", "--format", "json"]).expect(0);
    let rows = said.json();
    rows.as_array()
        .unwrap()
        .iter()
        .map(|rule| {
            let part = |name: &str| rule[name].as_str().unwrap().to_owned();
            format!(
                "| `{}` | {} | {} |\n",
                part("id"),
                part("severity"),
                part("title")
            )
        })
        .collect::<Vec<_>>()
        .concat()
}

/// `BYOI_WRITE_README=1` writes it anew.
#[test]
fn the_readme_holds_the_catalogue() {
    const BEGIN: &str = "<!-- byoi-agent rules -->\n";
    const HEAD: &str = "| rule | severity | looks for |\n|---|---|---|\n";
    const END: &str = "<!-- end -->\n";
    let path = byoi_tests::workspace().join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (kept, after) = rest.split_once(END).unwrap();
    let made = format!("{HEAD}{}", catalogue());
    if std::env::var_os("BYOI_WRITE_README").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{made}{END}{after}")).unwrap();
    } else {
        assert_eq!(kept, made);
    }
}
