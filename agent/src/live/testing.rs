//! Machines for the tests: what the kernel shows of one, written after a real Debian 12.

use crate::root::GuestRoot;
use crate::rules::fixture::Fixture;

/// A machine to be described.
#[derive(Debug, Default)]
pub struct Machine {
    files: Vec<(String, String)>,
    mounts: String,
    swaps: String,
}

/// The process that looks.
const OWN: u32 = 100;
/// Where the sessions of the tests are served.
pub const PORTAL: &str = "192.0.2.5";

impl Machine {
    /// A machine on a local disk, with open-iscsi installed.
    pub fn new() -> Self {
        Self::default()
            .file("/usr/sbin/iscsiadm", "")
            .file(
                "/proc/meminfo",
                "MemTotal: 983496 kB\nMemAvailable: 700000 kB\n",
            )
            .file("/proc/self", &format!("-> {OWN}"))
            .namespace(OWN, "byoi-agent", "mnt:[4026531841]")
            .device("sda", "8:0", &[])
            .partition("sda", 1, "8:1", &[])
            .mount("26 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw")
    }

    /// Adds a file, or with `-> TARGET` a link.
    pub fn file(mut self, path: &str, content: &str) -> Self {
        self.files.push((path.to_owned(), content.to_owned()));
        self
    }

    fn namespace(self, process: u32, name: &str, id: &str) -> Self {
        self.file(&format!("/proc/{process}/comm"), &format!("{name}\n"))
            .file(&format!("/proc/{process}/ns/mnt"), &format!("-> {id}"))
    }

    /// Adds a process with a mount namespace of its own.
    pub fn container(self, process: u32, name: &str, mounts: &str) -> Self {
        self.namespace(process, name, &format!("mnt:[{process}]"))
            .file(&format!("/proc/{process}/mountinfo"), mounts)
    }

    /// Adds a session with one disk, LUN 1.
    pub fn session(self, id: u32, target: &str, disk: &str) -> Self {
        self.session_at(id, target, PORTAL, "LOGGED_IN", disk)
    }

    /// As [`Machine::session`], at another address or in another state.
    pub fn session_at(self, id: u32, target: &str, address: &str, state: &str, disk: &str) -> Self {
        let session = format!("/sys/devices/platform/host{id}/session{id}");
        let class = format!("{session}/iscsi_session/session{id}");
        let connection = format!("{session}/connection{id}:0/iscsi_connection/connection{id}:0");
        let unit = format!("{session}/target{id}:0:0/{id}:0:0:1/block/{disk}/uevent");
        self.file(
            &format!("/sys/class/iscsi_session/session{id}"),
            &format!("-> ../../{}", class.trim_start_matches("/sys/")),
        )
        .file(&format!("{class}/targetname"), &format!("{target}\n"))
        .file(&format!("{class}/tpgt"), "1\n")
        .file(&format!("{class}/ifacename"), "default\n")
        .file(&format!("{class}/state"), &format!("{state}\n"))
        .file(&format!("{connection}/persistent_address"), address)
        .file(&format!("{connection}/persistent_port"), "3260\n")
        .file(&unit, "")
    }

    /// Adds a block device that others hold.
    pub fn device(self, name: &str, number: &str, holders: &[&str]) -> Self {
        let dir = format!("/sys/block/{name}");
        self.file(&format!("{dir}/dev"), number)
            .holders(&dir, holders)
    }

    /// Adds a partition.
    pub fn partition(self, disk: &str, at: u32, number: &str, holders: &[&str]) -> Self {
        let dir = format!("/sys/block/{disk}/{disk}{at}");
        self.file(&format!("{dir}/dev"), number)
            .file(&format!("{dir}/partition"), &at.to_string())
            .holders(&dir, holders)
    }

    /// Adds a mapping.
    pub fn mapping(self, at: u32, name: &str, id: &str, holders: &[&str]) -> Self {
        let dir = format!("/sys/block/dm-{at}");
        self.device(&format!("dm-{at}"), &format!("254:{at}"), holders)
            .file(&format!("{dir}/dm/name"), &format!("{name}\n"))
            .file(&format!("{dir}/dm/uuid"), &format!("{id}\n"))
    }

    fn holders(mut self, dir: &str, holders: &[&str]) -> Self {
        for holder in holders {
            self = self.file(&format!("{dir}/holders/{holder}"), "");
        }
        self
    }

    /// Adds a line of our own mount table.
    pub fn mount(mut self, line: &str) -> Self {
        self.mounts.push_str(line);
        self.mounts.push('\n');
        self
    }

    /// Adds swap space.
    pub fn swap(mut self, path: &str, used: u64) -> Self {
        self.swaps
            .push_str(&format_args!("{path} partition 409596 {used} 7\n").to_string());
        self
    }

    /// Runs something with the machine.
    pub fn with<T>(self, run: impl FnOnce(&GuestRoot) -> T) -> T {
        self.fixture().with(|guest| run(guest.root()))
    }

    /// The machine as a guest root.
    pub fn fixture(self) -> Fixture {
        let swaps = format!("Filename Type Size Used Priority\n{}", self.swaps);
        let mounts = self.mounts.clone();
        let machine = self
            .file(&format!("/proc/{OWN}/mountinfo"), &mounts)
            .file("/proc/swaps", &swaps);
        let files: Vec<(&str, &str)> = machine
            .files
            .iter()
            .map(|(path, content)| (path.as_str(), content.as_str()))
            .collect();
        Fixture::new(&files)
    }
}

/// The identity of a logical volume: one letter for the group, one for the volume.
pub fn lvm_id(group: char, volume: char) -> String {
    let repeated = |letter: char| letter.to_string().repeat(32);
    format!("LVM-{}{}", repeated(group), repeated(volume))
}
