//! Volumes that iSCSI attached to a running guest: taken off, put back, and what gets in the way.
//!
//! One boot of the stack `iscsi`, whose guest serves the volumes itself, and one scenario after the
//! other in it; each leaves the volumes attached. `scripts/test.sh --matrix` runs it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use byoi_tests::{Said, program, run, stack_disk, text};
use tempfile::TempDir;

/// How long the guest may take to answer, without KVM and on a machine that does other work too.
const PATIENCE: Duration = Duration::from_secs(1200);
/// How many lines of the console a failure shows.
const LAST: usize = 30;
/// What the agent detaches with.
const PREPARE: &str = "byoi-agent prepare --yes --only iscsi/session";
/// The session that is never touched.
const BOOT_VOLUME: &str = "iqn.2015-02.oracle.boot:uefi";

/// Everything that has to be as before once the volumes are attached again.
const STATE: &str = "
iscsiadm -m session | sed 's/ *\\[[0-9]*\\]//' | sort
findmnt -rn -o TARGET,FSROOT,FSTYPE,VFS-OPTIONS,FS-OPTIONS | grep ^/srv | sort
swapon --noheadings --raw --show=SIZE,PRIO
cat /srv/data/part/file /srv/bound/file /srv/archive/file
";

/// The guest, running.
struct Guest {
    qemu: Child,
    port: u16,
    dir: TempDir,
}

impl Guest {
    fn boot() -> Self {
        let dir = TempDir::with_prefix("byoi-iscsi-").unwrap();
        let disk = stack_disk("bookworm", "iscsi", dir.path());
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
                "mkdir \"$1/mnt\" && mount -o loop,offset=1048576 \"$1/disk.raw\" \"$1/mnt\" && \
                 mkdir -p -m 0700 \"$1/mnt/root/.ssh\" && \
                 install -m 0600 \"$1/key.pub\" \"$1/mnt/root/.ssh/authorized_keys\" && \
                 install \"$2\" \"$3\" \"$1/mnt/usr/local/sbin\" && umount \"$1/mnt\"",
                "sh",
                text(dir.path()),
                text(&program("byoi-agent")),
                text(&program("byoi-reattach")),
            ],
        )
        .expect(0);
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        let guest = Self {
            qemu: qemu(&disk, port, &dir.path().join("console.log")),
            port,
            dir,
        };
        let started = Instant::now();
        while guest.ssh("true").code != 0 {
            assert!(started.elapsed() < PATIENCE, "{}", guest.console());
            thread::sleep(Duration::from_secs(3));
        }
        guest
    }

    fn console(&self) -> String {
        fs::read_to_string(self.dir.path().join("console.log")).unwrap_or_default()
    }

    /// Runs a script in the guest.
    fn ssh(&self, script: &str) -> Said {
        let mut ssh = Command::new("ssh")
            .args(["-q", "-i", text(&self.dir.path().join("key"))])
            .args(["-p", &self.port.to_string()])
            .args(["-o", "StrictHostKeyChecking=no"])
            .args(["-o", "UserKnownHostsFile=/dev/null"])
            .args(["-o", "ConnectTimeout=30", "root@127.0.0.1", "bash"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A guest that does not answer yet takes no script.
        let mut stdin = ssh.stdin.take().unwrap();
        stdin.write_all(script.as_bytes()).ok();
        drop(stdin);
        ssh.wait_with_output().unwrap().into()
    }

    /// Runs a script that has to succeed, and gives what it says.
    fn sh(&self, script: &str) -> String {
        let said = self.ssh(&format!("set -euo pipefail\n{script}"));
        said.expect(0).stdout
    }

    fn state(&self) -> String {
        self.sh(STATE)
    }

    /// Detaches, which has to be refused for a reason, and sees that nothing was changed.
    fn is_refused(&self, reason: &str) {
        let before = self.state();
        let said = self.ssh(PREPARE).expect(3);
        let message = said.stderr.trim();
        assert!(message.contains(reason), "{message}");
        assert!(message.contains("nothing was changed"), "{message}");
        assert_eq!(self.state(), before);
    }

    /// Detaches, and sees that nothing but the boot volume is left.
    fn detaches(&self) {
        let said = self.ssh(PREPARE).expect(0);
        self.is_detached(&said);
    }

    fn is_detached(&self, said: &Said) {
        let sessions = self.sh("iscsiadm -m session");
        assert_eq!(sessions.lines().count(), 1, "{sessions}\n{}", said.stdout);
        assert!(sessions.contains(BOOT_VOLUME), "{sessions}");
        let left = self.sh(
            "grep ' /srv' /proc/self/mountinfo || true; tail -n +2 /proc/swaps; \
                            ls /dev/mapper | grep -v control || true",
        );
        assert_eq!(left, "", "{}", said.stdout);
    }

    /// Attaches again, and sees that all is as it was.
    fn comes_back(&self, before: &str) {
        self.sh("byoi-reattach");
        assert_eq!(self.state(), before);
        assert_eq!(self.sh("ls /run/byoi"), "");
        self.sh("byoi-reattach");
    }
}

impl Drop for Guest {
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

fn qemu(disk: &Path, port: u16, console: &Path) -> Child {
    let log = File::create(console).unwrap();
    Command::new("qemu-system-x86_64")
        .args(["-machine", "q35,accel=tcg", "-m", "1024", "-smp", "2"])
        .args(["-display", "none", "-serial", "stdio"])
        .args([
            "-device",
            "virtio-scsi-pci",
            "-device",
            "scsi-hd,drive=disk",
        ])
        .arg("-drive")
        .arg(format!("file={},format=raw,if=none,id=disk", text(disk)))
        .arg("-netdev")
        .arg(format!("user,id=net,hostfwd=tcp:127.0.0.1:{port}-:22"))
        .args(["-device", "virtio-net-pci,netdev=net"])
        .args(["-device", "virtio-rng-pci"])
        .stdin(Stdio::null())
        .stderr(log.try_clone().unwrap())
        .stdout(log)
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "a boot: scripts/test.sh --matrix"]
fn boot_volumes_over_iscsi_come_off_and_back() {
    let guest = Guest::boot();
    let scenarios: [(&str, fn(&Guest)); 14] = [
        ("without the programs", without_the_programs),
        ("check", check),
        ("off and back", off_and_back),
        ("busy", busy),
        ("busy elsewhere", busy_elsewhere),
        ("too little memory", too_little_memory),
        ("attached again by a daemon", attached_again_by_a_daemon),
        ("no daemon", no_daemon),
        ("killed", killed),
        ("target gone", target_gone),
        ("multipath", multipath),
        ("opened by hand", opened_by_hand),
        ("the system on it", the_system_on_it),
        ("everything", everything),
    ];
    for (name, scenario) in scenarios {
        let started = Instant::now();
        scenario(&guest);
        eprintln!("{name}: {} s", started.elapsed().as_secs());
    }
}

/// Nothing is needed and nothing run where there is no session.
fn without_the_programs(guest: &Guest) {
    guest.sh("mkdir /root/away && mv /usr/sbin/iscsiadm /usr/sbin/vgchange /root/away");
    let said = guest.ssh(PREPARE).expect(0);
    assert!(said.stdout.contains("verdict     ready"), "{}", said.stdout);
    guest.sh("mv /root/away/* /usr/sbin && rmdir /root/away && test ! -e /run/byoi");
    guest.sh("attach-storage");
}

fn check(guest: &Guest) {
    let said = guest
        .ssh("byoi-agent check --only iscsi/session --format json")
        .expect(1);
    let report = said.json();
    let findings: Vec<(&str, &str, &str)> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            let part = |name: &str| finding[name].as_str().unwrap();
            (part("subject"), part("severity"), part("evidence"))
        })
        .collect();
    let portal = "at 127.0.0.1:3260";
    let data = format!("iqn.2004-04.com.example:storage.data {portal}");
    let volumes = format!("iqn.2004-04.com.example:storage.volumes {portal}");
    let boot = format!("{BOOT_VOLUME} at 169.254.0.2:3260");
    let seen = |subject: &str, severity, words: &[&str]| {
        let found = findings.iter().find(|finding| finding.0 == subject);
        let (_, found_severity, evidence) = found.unwrap();
        assert_eq!(*found_severity, severity, "{subject}");
        for word in words {
            assert!(evidence.contains(word), "{subject}: {evidence}");
        }
    };
    let mounted = ["mounted at /srv/data", "mounted at /srv/bound"];
    seen(&data, "blocker", &mounted);
    let stacked = [
        "/dev/mapper/store-my--swap",
        "mounted at /srv/archive",
        "swap on /dev/dm-",
    ];
    seen(&volumes, "blocker", &stacked);
    seen(&boot, "note", &[]);
    assert_eq!(findings.len(), 3, "{findings:?}");
}

fn off_and_back(guest: &Guest) {
    let before = guest.state();
    let planned = guest.ssh("byoi-agent prepare --dry-run --only iscsi/session --format json");
    assert_eq!(guest.state(), before, "a dry run changed something");
    let done = guest.ssh(&format!("{PREPARE} --format json")).expect(0);
    guest.is_detached(&done);
    assert_eq!(planned.json()["changes"], done.json()["changes"]);
    let again = guest.ssh(&format!("{PREPARE} --format json")).expect(0);
    assert_eq!(again.json()["changes"].as_array().unwrap().len(), 0);
    guest.comes_back(&before);
}

fn busy(guest: &Guest) {
    guest.sh("cd /srv/data/part; sleep 9001 >/dev/null 2>&1 & sleep 1");
    guest.is_refused("/srv/data is in use by sleep (process");
    guest.is_refused("its working directory): end it");
    guest.sh("pkill -f 'sleep 9001'; sleep 9002 3>/srv/archive/open >/dev/null 2>&1 & sleep 1");
    guest.is_refused("/srv/archive/open): end it");
    guest.sh("pkill -f 'sleep 9002'; mount -t tmpfs none /srv/archive/lost+found");
    guest.is_refused("/srv/archive/lost+found (tmpfs) is mounted on /srv/archive");
    guest.sh("umount /srv/archive/lost+found; rm /srv/archive/open");
}

/// A mount that only a process in a namespace of its own has, first busy, then not.
fn busy_elsewhere(guest: &Guest) {
    let before = guest.state();
    guest.sh("mkdir -p /srv/private
         disk=$(findmnt -n -o SOURCE /srv/data)
         unshare --mount --propagation private sh -c \"mount $disk /srv/private
             cd /srv/private; exec sleep 9003\" >/dev/null 2>&1 &
         sleep 2");
    guest.is_refused("/srv/private is in use by sleep");
    guest.sh("pid=$(pgrep -f '^sleep 9003')
         nsenter --target $pid --mount sh -c 'cd /; exec sleep 9004' >/dev/null 2>&1 &
         sleep 1; kill $pid; sleep 1");
    guest.detaches();
    let left = guest.sh("grep -c /srv /proc/$(pgrep -f '^sleep 9004')/mountinfo || true");
    assert_eq!(left, "0\n");
    guest.sh("pkill -f '^sleep 9004'");
    guest.comes_back(&before);
}

fn too_little_memory(guest: &Guest) {
    let before = guest.state();
    // A group of processes that may have little memory swaps; a file in memory takes the rest.
    guest.sh(
        "systemd-run -q --unit hog -p MemoryHigh=30M -p MemorySwapMax=infinity \
             sh -c 'head -c 220M /dev/zero | tail | sleep 9005'
         for ((i = 0; i < 120; i++)); do
             sleep 1
             used=$(awk 'NR == 2 { print $4 }' /proc/swaps)
             ((used < 150000)) || break
         done
         free=$(awk '/MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)
         mkdir -p /mnt/memory
         mount -t tmpfs -o size=${free}M none /mnt/memory
         head -c $((free - 90))M /dev/zero >/mnt/memory/file",
    );
    guest.is_refused("KiB of memory are free");
    guest.sh("umount /mnt/memory");
    guest.detaches();
    guest.sh("systemctl stop hog || true");
    guest.comes_back(&before);
}

/// What oci-utils does: whatever is detached is attached again within a moment.
fn attached_again_by_a_daemon(guest: &Guest) {
    let before = guest.state();
    guest.sh("cat >/etc/systemd/system/ocid.service <<'END'
[Service]
ExecStart=/bin/sh -c 'while sleep 0.2; do iscsiadm -m node -L automatic; done'
END
         systemctl daemon-reload; systemctl start ocid; sleep 2");
    guest.detaches();
    guest.sh("sleep 3");
    assert_eq!(guest.sh("iscsiadm -m session").lines().count(), 1);
    guest.sh("byoi-reattach; systemctl is-active ocid; systemctl stop ocid");
    // It logged in to all that it knows, at every portal.
    guest.sh(
        "rm /etc/systemd/system/ocid.service; systemctl daemon-reload
         for target in data volumes; do
             iscsiadm -m node -T iqn.2004-04.com.example:storage.$target -p 169.254.0.2 -u || true
         done
         iscsiadm -m node -T iqn.2015-02.oracle.boot:uefi -p 127.0.0.1 -u || true",
    );
    assert_eq!(guest.state(), before);
}

fn no_daemon(guest: &Guest) {
    let before = guest.state();
    guest.sh("systemctl stop iscsid.socket iscsid.service");
    guest.detaches();
    guest.sh("systemctl stop iscsid.socket iscsid.service");
    guest.comes_back(&before);
}

/// Killed between any two operations; a second run finishes, and what the first detached comes back.
fn killed(guest: &Guest) {
    let before = guest.state();
    for time in 1.. {
        let said = guest.ssh(&format!("BYOI_FAIL=apply@{time}:SIGKILL {PREPARE}"));
        if said.code == 0 {
            assert!(time > 8, "{time} operations");
            guest.is_detached(&said);
            guest.comes_back(&before);
            return;
        }
        guest.detaches();
        guest.comes_back(&before);
    }
}

/// The target stops answering while data waits to be written to it.
fn target_gone(guest: &Guest) {
    guest.sh(
        "head -c 20M /dev/urandom >/srv/archive/big; sha256sum /srv/archive/big >/root/sum
         pkill -STOP -x tgtd",
    );
    let said = guest.ssh(PREPARE).expect(3);
    assert!(said.stderr.contains("does not answer"), "{}", said.stderr);
    // Known beforehand by now.
    let said = guest.ssh(PREPARE).expect(3);
    assert!(
        said.stderr.contains("nothing was changed"),
        "{}",
        said.stderr
    );
    guest.sh("pkill -CONT -x tgtd
         for ((i = 0; i < 60; i++)); do
             grep -qv LOGGED_IN /sys/class/iscsi_session/*/state || break
             sleep 1
         done
         sleep 3");
    guest.detaches();
    guest.sh("byoi-reattach; sha256sum --quiet -c /root/sum; rm /srv/archive/big");
    // Nothing can be lost on a target that nobody uses.
    let before = guest.state();
    guest.sh(
        "umount /srv/bound /srv/data /srv/archive; swapoff -a; vgchange -q -a n store >/dev/null
         pkill -STOP -x tgtd
         for ((i = 0; i < 60; i++)); do
             grep -q LOGGED_IN /sys/class/iscsi_session/*/state || break
             sleep 1
         done",
    );
    guest.detaches();
    guest.sh("pkill -CONT -x tgtd; sleep 15; byoi-reattach
         vgchange -q -a y store >/dev/null; swapon -a; mount /srv/archive; mount /srv/data
         mount --bind /srv/data/part /srv/bound");
    assert_eq!(guest.state(), before);
}

/// Two sessions to one disk, and a map over them.
fn multipath(guest: &Guest) {
    guest.sh(
        "umount /srv/bound /srv/data
         node='iscsiadm -m node -T iqn.2004-04.com.example:storage.data -p 10.0.2.15'
         $node -o new >/dev/null
         for setting in authmethod:CHAP username:web01-initiator password:Quartz-Lantern-4471 \
             username_in:storage-target password_in:Velvet-Harbour-9028; do
             $node -o update -n node.session.auth.${setting%%:*} -v ${setting#*:}
         done
         $node --login >/dev/null
         udevadm settle; sleep 2
         disk=$(readlink -e /dev/disk/by-path/ip-127.0.0.1:3260-iscsi-iqn.2004-04.com.example:storage.data-lun-1)
         systemctl start multipathd; multipath -a $disk >/dev/null; multipathd reconfigure >/dev/null; sleep 3
         multipath >/dev/null || true; udevadm settle
         map=$(ls /dev/mapper/*-part1 | head -1)
         mount -o noatime $map /srv/data; mount --bind /srv/data/part /srv/bound",
    );
    let before = guest.state();
    assert_eq!(before.matches("storage.data").count(), 2, "{before}");
    guest.detaches();
    guest.comes_back(&before);
    guest.sh(
        "umount /srv/bound /srv/data; multipath -F; systemctl stop multipathd.socket multipathd
         rm -f /etc/multipath/wwids
         node='iscsiadm -m node -T iqn.2004-04.com.example:storage.data'
         $node -u >/dev/null; $node -p 10.0.2.15 -o delete
         $node -p 127.0.0.1 --login >/dev/null; sleep 2; udevadm settle
         mount /srv/data; mount --bind /srv/data/part /srv/bound",
    );
}

/// A mapping that the administrator alone can make again, as an encrypted volume is, and a swap file
/// on it. The rest comes back without it, and it does once it is there.
fn opened_by_hand(guest: &Guest) {
    const OPEN: &str = "dmsetup create safe --table '0 131072 linear /dev/store/safe 0'";
    guest.sh(&format!(
        "lvcreate -q -y -n safe -L 64M store >/dev/null
         {OPEN}; udevadm settle; mkfs.ext4 -q /dev/mapper/safe
         mkdir -p /srv/safe; mount /dev/mapper/safe /srv/safe
         head -c 20M /dev/zero >/srv/safe/swap; chmod 0600 /srv/safe/swap
         mkswap -q /srv/safe/swap >/dev/null; swapon -p 3 /srv/safe/swap"
    ));
    let before = guest.state();
    guest.detaches();
    let said = guest.ssh("byoi-reattach").expect(1);
    assert!(
        said.stderr.contains("/dev/mapper/safe is not open"),
        "{}",
        said.stderr
    );
    let rest = guest.state();
    assert!(
        rest.contains("/srv/archive") && !rest.contains("/srv/safe"),
        "{rest}"
    );
    guest.sh(OPEN);
    guest.comes_back(&before);
    guest.sh("swapoff /srv/safe/swap; umount /srv/safe; dmsetup remove safe; lvremove -q -y store/safe >/dev/null");
}

/// Root, or what root needs, on a target elsewhere.
fn the_system_on_it(guest: &Guest) {
    guest.sh("umount /srv/archive; mount /dev/store/archive /boot");
    let said = guest.ssh("byoi-agent prepare --yes --only iscsi/session --only iscsi/root");
    let said = said.expect(1);
    assert!(
        said.stdout
            .contains("the running system is on an iSCSI target elsewhere"),
        "{}",
        said.stdout
    );
    let left = guest.sh("iscsiadm -m session; grep -c ' /boot ' /proc/self/mountinfo");
    assert!(
        left.contains("storage.volumes") && !left.contains("storage.data"),
        "{left}"
    );
    guest.sh("umount /boot; mount /srv/archive; byoi-reattach");
}

/// All rules: records, secrets and fstab entries go as well; with the files back, all comes back.
///
/// In one session: without its host keys, sshd takes no other.
fn everything(guest: &Guest) {
    let before = guest.state();
    let left = guest.sh("cp -a /etc /root/etc
         exec 3>&1 >/root/log 2>&1
         { byoi-agent prepare --yes --bundle - || test $? = 1; } | cat >/root/bundle
         iscsiadm -m session >&3
         grep -rl -e 127.0.0.1,3260 -e Quartz-Lantern /etc/iscsi >&3 || true
         grep /srv /etc/fstab >&3 || true
         byoi-agent prepare --yes --format json | grep '\"changes\"' >&3
         byoi-agent restore --yes --bundle - </root/bundle
         diff -r --no-dereference /root/etc /etc >&3");
    let (session, rest) = left.split_once('\n').unwrap();
    assert!(session.contains(BOOT_VOLUME), "{left}");
    assert_eq!(rest.trim(), "\"changes\": [],", "{left}");
    assert_eq!(guest.state(), before);
    assert_eq!(guest.sh("ls /run/byoi"), "");
}
