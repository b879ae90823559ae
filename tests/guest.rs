//! A guest that runs, and is told what to do over SSH.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::network::Network;
use crate::{Said, program, run, text};

/// How long the guest may take to answer or to stop, without KVM and on a machine that does other
/// work too.
const PATIENCE: Duration = Duration::from_secs(1200);
/// How many lines of the console a failure shows.
const LAST: usize = 30;

/// Which boot it is.
const BOOT: &str = "cat /proc/sys/kernel/random/boot_id";

/// A disk that lets its holder in and has the agent: its root file system is at 1 MiB.
#[derive(Debug)]
pub struct Entry {
    /// The key, and what the console says.
    dir: TempDir,
}

impl Entry {
    /// Puts a key and the programs on a disk.
    pub fn into_disk(disk: &Path) -> Self {
        let dir = TempDir::with_prefix("byoi-guest-").expect("a temporary directory");
        let key = dir.path().join("key");
        let _ = run(
            "ssh-keygen",
            &["-q", "-t", "ed25519", "-N", "", "-f", text(&key)],
        )
        .expect(0);
        let _ = run(
            "unshare",
            &[
                "--mount",
                "sh",
                "-euc",
                "mkdir \"$1/mnt\" && mount -o loop,offset=1048576 \"$2\" \"$1/mnt\" && \
                 mkdir -p -m 0700 \"$1/mnt/root/.ssh\" && \
                 install -m 0600 \"$1/key.pub\" \"$1/mnt/root/.ssh/authorized_keys\" && \
                 install \"$3\" \"$4\" \"$1/mnt/usr/local/sbin\" && umount \"$1/mnt\"",
                "sh",
                text(dir.path()),
                text(disk),
                text(&program("byoi-agent")),
                text(&program("byoi-reattach")),
            ],
        )
        .expect(0);
        Self { dir }
    }

    fn key(&self) -> PathBuf {
        self.dir.path().join("key")
    }

    fn console(&self) -> PathBuf {
        self.dir.path().join("console.log")
    }
}

/// A guest, running.
#[derive(Debug)]
pub struct Guest<'a> {
    qemu: Child,
    port: u16,
    network: &'a Network,
    entry: Entry,
}

impl<'a> Guest<'a> {
    /// Boots a disk whose root file system is at 1 MiB, and waits until the guest answers.
    pub fn boot(disk: &Path, network: &'a Network) -> Self {
        let drive = format!("file={},format=raw,if=none,id=disk", text(disk));
        let devices = [
            "-device",
            "virtio-scsi-pci",
            "-device",
            "scsi-hd,drive=disk",
            "-drive",
            &drive,
        ];
        Self::start(Entry::into_disk(disk), &devices, network)
    }

    /// Boots from what these arguments of QEMU name, and waits until the guest answers.
    pub fn start(entry: Entry, boots_from: &[&str], network: &'a Network) -> Self {
        let port = Network::free_port();
        let guest = Self {
            qemu: qemu(network, boots_from, port, &entry.console()),
            port,
            network,
            entry,
        };
        guest.answers();
        guest
    }

    /// Waits until it answers, and has started all that it starts at boot.
    pub fn answers(&self) {
        let started = Instant::now();
        while self.ssh(BOOT).code != 0 {
            assert!(started.elapsed() < PATIENCE, "{}", self.console());
            thread::sleep(Duration::from_secs(3));
        }
        // Exits with an error if a unit failed, which is not this function's business.
        self.ssh("systemctl is-system-running --wait");
    }

    /// Restarts it, and waits until it answers again.
    pub fn restarts(&self) {
        let before = self.sh(BOOT);
        self.ssh("reboot");
        let started = Instant::now();
        loop {
            let said = self.ssh(BOOT);
            if said.code == 0 && said.stdout != before {
                return self.answers();
            }
            assert!(started.elapsed() < PATIENCE, "{}", self.console());
            thread::sleep(Duration::from_secs(3));
        }
    }

    /// Waits until it has powered itself off.
    pub fn is_off(mut self) {
        let started = Instant::now();
        while self.qemu.try_wait().expect("QEMU").is_none() {
            assert!(started.elapsed() < PATIENCE, "{}", self.console());
            thread::sleep(Duration::from_secs(1));
        }
    }

    /// What its console said since it was started.
    pub fn console(&self) -> String {
        fs::read(self.entry.console())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// A command that runs another in it, with the standard streams of this one.
    pub fn command(&self, inside: &str) -> Command {
        let mut ssh = self.network.command("ssh");
        ssh.args(["-q", "-i", text(&self.entry.key())])
            .args(["-p", &self.port.to_string()])
            .args(["-o", "StrictHostKeyChecking=no"])
            .args(["-o", "UserKnownHostsFile=/dev/null"])
            .args(["-o", "ConnectTimeout=30", "root@127.0.0.1", inside]);
        ssh
    }

    /// Runs a script in it.
    pub fn ssh(&self, script: &str) -> Said {
        let mut ssh = self
            .command("bash")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("ssh");
        // A guest that does not answer yet takes no script.
        if let Some(mut stdin) = ssh.stdin.take() {
            stdin.write_all(script.as_bytes()).ok();
        }
        ssh.wait_with_output().expect("ssh").into()
    }

    /// Runs a script that has to succeed, and gives what it says.
    pub fn sh(&self, script: &str) -> String {
        let said = self.ssh(&format!("set -euo pipefail\n{script}"));
        said.expect(0).stdout
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        self.qemu.kill().ok();
        self.qemu.wait().ok();
        if thread::panicking() {
            let console = self.console();
            let lines: Vec<&str> = console.lines().collect();
            let last = &lines[lines.len().saturating_sub(LAST)..];
            eprintln!("console:\n{}", last.join("\n"));
        }
    }
}

fn qemu(network: &Network, boots_from: &[&str], port: u16, console: &Path) -> Child {
    let log = File::create(console).expect("a file for the console");
    let errors = log.try_clone().expect("a file for the console");
    network
        .command("qemu-system-x86_64")
        .args(["-machine", "q35,accel=tcg", "-m", "1024", "-smp", "2"])
        .args(["-display", "none", "-serial", "stdio"])
        .args(boots_from)
        .arg("-netdev")
        .arg(format!("user,id=net,hostfwd=tcp:127.0.0.1:{port}-:22"))
        .args(["-device", "virtio-net-pci,netdev=net"])
        .args(["-device", "virtio-rng-pci"])
        .stdin(Stdio::null())
        .stderr(errors)
        .stdout(log)
        .spawn()
        .expect("qemu-system-x86_64")
}
