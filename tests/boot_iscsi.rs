//! Volumes that iSCSI attached to a running guest: taken off, put back, and what gets in the way.
//!
//! One boot of the stack `iscsi`, whose guest serves the volumes itself, and one scenario after the
//! other in it; each leaves the volumes attached. `scripts/test.sh --matrix` runs it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::time::Instant;

use byoi_tests::guest::Guest;
use byoi_tests::network::Network;
use byoi_tests::{Said, stack_disk};
use tempfile::TempDir;

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

/// What a scenario does with the guest.
trait Scenario {
    fn state(&self) -> String;
    fn is_refused(&self, reason: &str);
    fn detaches(&self);
    fn is_detached(&self, said: &Said);
    fn comes_back(&self, before: &str);
}

impl Scenario for Guest<'_> {
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

#[test]
#[ignore = "a boot: scripts/test.sh --matrix"]
fn boot_volumes_over_iscsi_come_off_and_back() {
    let dir = TempDir::with_prefix("byoi-iscsi-").unwrap();
    let disk = stack_disk("bookworm", "iscsi", dir.path());
    let network = Network::OURS;
    let guest = Guest::boot(&disk, &network);
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
    guest.sh("mount -o remount,bind,ro,nosuid /srv/bound");
    let before = guest.state();
    let planned = guest.ssh("byoi-agent prepare --dry-run --only iscsi/session --format json");
    assert_eq!(guest.state(), before, "a dry run changed something");
    let done = guest.ssh(&format!("{PREPARE} --format json")).expect(0);
    guest.is_detached(&done);
    assert_eq!(planned.json()["changes"], done.json()["changes"]);
    let again = guest.ssh(&format!("{PREPARE} --format json")).expect(0);
    assert_eq!(again.json()["changes"].as_array().unwrap().len(), 0);
    guest.comes_back(&before);
    guest.sh("mount -o remount,bind,rw,suid /srv/bound");
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
