//! A machine in service, with volumes of a storage server elsewhere: prepared, captured, and put back
//! as it was. What was captured boots on another machine.
//!
//! `scripts/test.sh --matrix` runs it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use byoi_tests::guest::Guest;
use byoi_tests::network::{Network, copy_disk};
use byoi_tests::{PATIENCE, program, run, stack_disk, text};
use serde_json::json;
use tempfile::TempDir;

/// Where the storage server answers.
const STORAGE: &str = "192.0.2.10";

/// Makes the guest one with a static address for one card only, and with volumes in use.
const SETTLE: &str = "
for file in $(grep -l '^DHCP' /etc/systemd/network/*); do rm $file; done
cat >/etc/systemd/network/10-lan.network <<END
[Match]
MACAddress=$(cat /sys/class/net/e*/address)

[Network]
Address=10.0.2.15/24
Gateway=10.0.2.2
END
systemctl disable -q tgt
attach-storage STORAGE
umount /srv/bound
";

/// What has to be as before: sessions, mounts, swap space, addresses, files.
const STATE: &str = "
iscsiadm -m session | sed 's/ *\\[[0-9]*\\]//' | sort
findmnt -rn -o TARGET,FSROOT,FSTYPE,VFS-OPTIONS,FS-OPTIONS | grep ^/srv | sort
swapon --noheadings --raw --show=SIZE,PRIO
cat /srv/data/part/file /srv/archive/file
";

/// The address, and that nothing at boot waited for what is not there.
const ADDRESS: &str = "ip -4 -o address show scope global | sed 's/.*inet/inet/; s/valid_lft.*//'";
const DELAYS: &str = "journalctl --boot --quiet --no-pager --grep 'timed out|timeout' || true";

struct Site {
    dir: TempDir,
    disk: PathBuf,
    network: Network,
}

impl Site {
    fn new() -> Self {
        let dir = TempDir::with_prefix("byoi-capture-").unwrap();
        let disk = stack_disk("bookworm", "iscsi", dir.path());
        let storage = dir.path().join("storage.raw");
        copy_disk(&disk, &storage);
        let mount = dir.path().join("storage");
        fs::create_dir(&mount).unwrap();
        let network = Network::with_storage(&storage, &mount, STORAGE);
        Self { dir, disk, network }
    }

    fn boot(&self) -> Guest<'_> {
        Guest::boot(&self.disk, &self.network)
    }

    fn bundle(&self) -> PathBuf {
        self.dir.path().join("bundle")
    }

    /// The disk as it is now boots on a machine of its own, and reaches for no volume.
    fn is_captured(&self) {
        let disk = self.dir.path().join("captured.raw");
        copy_disk(&self.disk, &disk);
        let args = ["boot-test", text(&disk), "--format", "json"];
        let said = run(program("byoi-builder"), &[&args[..], &PATIENCE].concat()).expect(0);
        let proof = &said.json()["boot_proof"];
        assert_eq!(proof["verdict"], "proved", "{proof}");
        assert_eq!(proof["network"]["tcp_calls"], json!([]), "{proof}");
        for waited in ["Timed out", "Dependency failed"] {
            assert!(!said.stdout.contains(waited), "{proof}");
        }
        fs::remove_file(disk).unwrap();
    }
}

/// Runs a command to its end, which is in order with one of these exit codes.
fn ends(mut command: Command, codes: &[i32]) -> String {
    let output = command.stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let code = output.status.code().unwrap();
    assert!(codes.contains(&code), "{code}: {said}");
    said
}

/// Powers the guest off, prepared, with the bundle streamed to where it came from.
fn leaves(guest: Guest<'_>, options: &str, bundle: &Path) {
    let mut prepare = guest.command(&format!(
        "byoi-agent prepare --yes --bundle - --poweroff {options}"
    ));
    prepare.stdout(File::create(bundle).unwrap());
    let said = ends(prepare, &[0]);
    eprintln!("{said}");
    guest.is_off();
}

/// Restores, and sees that all is there again.
fn returns(guest: &Guest<'_>, bundle: &Path, before: &str) {
    assert_eq!(guest.sh(DELAYS), "");
    let address = guest.sh(ADDRESS);
    assert!(address.contains("dynamic"), "{address}");
    assert_eq!(
        guest.sh("grep /srv /etc/fstab || true; iscsiadm -m session 2>/dev/null || true"),
        ""
    );
    // Under a name that the server does not let in.
    guest.sh("systemctl start iscsid");
    let mut restore = guest.command("byoi-agent restore --yes --bundle -");
    restore.stdin(File::open(bundle).unwrap());
    ends(restore, &[0]);
    assert_eq!(guest.sh(STATE), before);
    assert_eq!(guest.sh("diff -r --no-dereference /root/etc /etc"), "");
}

/// Restarts what was restored, and sees that it is what it was by itself. As it stops, the network
/// has to stay until what is mounted over it is not any more.
fn serves(guest: &Guest<'_>, before: &str) {
    let running = guest.console().len();
    guest.restarts();
    let console = guest.console();
    let line = |words: [&str; 2]| {
        let mut lines = console[running..].lines();
        lines.position(|line| words.iter().all(|word| line.contains(word)))
    };
    let (unmounted, network) = (
        line(["Unmounted", "srv-data.mount"]),
        line(["Stopped", "network.target"]),
    );
    assert!(unmounted.is_some() && unmounted < network, "{console}");
    assert_eq!(guest.sh(STATE), before);
    let address = guest.sh(ADDRESS);
    assert!(!address.contains("dynamic"), "{address}");
}

#[test]
#[ignore = "boots: scripts/test.sh --matrix"]
fn boot_a_captured_machine_and_its_source() {
    let site = Site::new();
    let guest = site.boot();
    guest.sh(&SETTLE.replace("STORAGE", STORAGE));
    guest.restarts();
    let before = guest.sh(STATE);
    assert!(before.matches(STORAGE).count() == 2, "{before}");
    guest.sh("rm -rf /root/etc; cp -a /etc /root/etc");

    leaves(guest, "", &site.bundle());
    site.is_captured();
    let guest = site.boot();
    returns(&guest, &site.bundle(), &before);
    serves(&guest, &before);

    // As it stops, with the network down already.
    leaves(guest, "--at-shutdown", &site.bundle());
    site.is_captured();
    let guest = site.boot();
    returns(&guest, &site.bundle(), &before);
    serves(&guest, &before);
}
