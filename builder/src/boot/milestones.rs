//! What a line on the console tells about the boot.
//!
//! Only lines that a working boot cannot do without, or that end a boot, count. Texts are those of
//! SeaBIOS, GRUB, Linux, initramfs-tools, dracut, systemd, SysV init and OpenRC.

use schemars::JsonSchema;
use serde::Serialize;

use super::seconds::Seconds;

/// How far a boot got. A later stage proves the earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The firmware found a boot loader.
    Loader,
    /// The kernel runs.
    Kernel,
    /// The root file system is mounted.
    Root,
    /// The multi-user target or a login prompt is reached.
    Login,
}

/// Why a boot goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// The firmware finds nothing to boot.
    NotBootable,
    /// The boot loader does not find its files or its configuration.
    LoaderPrompt,
    /// The initramfs does not find the root file system.
    InitramfsShell,
    /// The kernel gave up.
    KernelPanic,
    /// systemd or init wants an administrator.
    EmergencyMode,
}

/// What one line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// The firmware starts to boot: the first time, or again after a reset.
    PowerOn,
    /// A stage is reached.
    Reached(Stage),
    /// The boot has failed.
    Failed(Trouble),
}

/// A stage, when it was reached, and what showed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Milestone {
    /// The stage.
    pub stage: Stage,
    /// When.
    pub seconds: Seconds,
    /// The line or the packet that showed it.
    pub evidence: String,
}

impl Stage {
    /// All, in order.
    pub const ALL: [Self; 4] = [Self::Loader, Self::Kernel, Self::Root, Self::Login];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loader => "boot loader ran",
            Self::Kernel => "kernel started",
            Self::Root => "root mounted",
            Self::Login => "login reached",
        }
    }
}

impl Trouble {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotBootable => "the firmware found nothing to boot",
            Self::LoaderPrompt => "the boot loader stopped at its prompt",
            Self::InitramfsShell => "the initramfs did not find the root file system",
            Self::KernelPanic => "the kernel panicked",
            Self::EmergencyMode => "the guest stopped in emergency mode",
        }
    }
}

/// What firmware says once each time it starts.
const POWER_ON: &[&str] = &["SeaBIOS (version ", "UEFI firmware (version "];

const NOT_BOOTABLE: &[&str] = &[
    "BdsDxe: No bootable option or device was found",
    "No bootable device",
    "Boot failed: not a bootable disk",
    "Boot failed: could not read",
    "This is not a bootable disk",
    "Missing operating system",
    "Operating System not found",
    "Error loading operating system",
    "Invalid partition table",
];
const LOADER_PROMPT: &[&str] = &[
    "grub rescue>",
    "Minimal BASH-like line editing is supported",
    "GRUB Geom Error",
    "GRUB Read Error",
    "GRUB Hard Disk Error",
];
const INITRAMFS_SHELL: &[&str] = &[
    "does not exist.  Dropping to a shell",
    "Gave up waiting for root",
    "dracut-emergency",
    "Entering emergency mode. Exit the shell",
    "dracut: FATAL",
    "Warning: Could not boot",
    "dracut:/#",
];
const KERNEL_PANIC: &[&str] = &["Kernel panic - not syncing", "Kernel panic: "];
const EMERGENCY_MODE: &[&str] = &[
    "You are in emergency mode",
    "You are in rescue mode",
    "Give root password for maintenance",
    "Press Enter for maintenance",
    "Cannot open access to console, the root account is locked",
    "Reached target emergency.target",
    "Reached target Emergency Mode",
];
const MULTI_USER: &[&str] = &[
    "multi-user.target",
    "Multi-User System",
    "graphical.target",
    "Graphical Interface",
];
/// What is printed by, or only after, whoever mounted the root file system.
const ROOT: &[&str] = &[
    "VFS: Mounted root",
    ": mounted filesystem",
    "): Ending clean mount",
    "): Ending recovery",
    "Begin: Running /scripts/local-bottom",
    "Begin: Running /scripts/init-bottom",
    "Mounted sysroot.mount",
    "Mounted /sysroot",
    "Switching root",
    "Switch Root",
    "INIT: version",
    "is starting up Linux",
];
const KERNEL: &[&str] = &[
    "Linux version ",
    "Decompressing Linux",
    "Loading, please wait",
];
/// systemd's status lines, in the initramfs as well.
const STATUS: &[&str] = &["[  OK  ]", "OK  ] ", "[FAILED]", "[DEPEND]", "[ TIME ]"];
const LOADER: &[&str] = &[
    "GRUB",
    "Loading Linux",
    "Loading initial ramdisk",
    "SYSLINUX",
    "EXTLINUX",
    "ISOLINUX",
];

/// Reads a line without escape sequences.
pub fn read(line: &str) -> Option<Sign> {
    let has = |texts: &[&str]| texts.iter().any(|text| line.contains(text));
    let sign = if has(KERNEL_PANIC) {
        Sign::Failed(Trouble::KernelPanic)
    } else if has(INITRAMFS_SHELL) || line.starts_with("(initramfs)") {
        Sign::Failed(Trouble::InitramfsShell)
    } else if has(EMERGENCY_MODE) {
        Sign::Failed(Trouble::EmergencyMode)
    } else if !is_printk(line) && (has(LOADER_PROMPT) || line.starts_with("grub>")) {
        Sign::Failed(Trouble::LoaderPrompt)
    } else if !is_printk(line) && has(NOT_BOOTABLE) {
        Sign::Failed(Trouble::NotBootable)
    } else if has(POWER_ON) {
        Sign::PowerOn
    } else if is_login_prompt(line) || line.contains("Reached target") && has(MULTI_USER) {
        Sign::Reached(Stage::Login)
    } else if has(ROOT) || is_welcome(line) {
        Sign::Reached(Stage::Root)
    } else if is_printk(line) || has(KERNEL) || has(STATUS) {
        Sign::Reached(Stage::Kernel)
    } else if has(LOADER) {
        Sign::Reached(Stage::Loader)
    } else {
        return None;
    };
    Some(sign)
}

/// `name login:`, alone or with a kernel message behind it.
fn is_login_prompt(line: &str) -> bool {
    let Some((name, after)) = line.split_once("login:") else {
        return false;
    };
    let after = after.trim_start();
    !name.contains("Last ") && (after.is_empty() || is_printk(after))
}

/// systemd's greeting, which names the initramfs while that runs.
fn is_welcome(line: &str) -> bool {
    line.contains("Welcome to ")
        && !["GRUB", "nitramfs", "dracut", "SYSLINUX"]
            .iter()
            .any(|text| line.contains(text))
}

/// `[    0.000000] ...`
fn is_printk(line: &str) -> bool {
    let Some((time, _)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
        return false;
    };
    // With CONFIG_PRINTK_CALLER the caller follows in brackets of its own.
    let Some((seconds, fraction)) = time.trim_start().split_once('.') else {
        return false;
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !seconds.is_empty() && digits(seconds) && fraction.len() == 6 && digits(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_tell_stages() {
        use Stage::{Kernel, Loader, Login, Root};
        for (line, expected) in [
            ("GRUB loading.", Some(Loader)),
            ("Welcome to GRUB!", Some(Loader)),
            ("Loading Linux 6.1.0-56-amd64 ...", Some(Loader)),
            ("error: no such device: 1111-2222.", None),
            (
                "[    0.000000] Linux version 6.1.0-56-amd64 (x)",
                Some(Kernel),
            ),
            (
                "[    0.512345][    T1] virtio_blk virtio1: 2/0/0",
                Some(Kernel),
            ),
            ("[   12.3] not a kernel message", None),
            ("Loading, please wait...", Some(Kernel)),
            ("[  OK  ] Started systemd-udevd.service.", Some(Kernel)),
            ("Welcome to Fedora Linux 39 dracut-059 (Initramfs)!", None),
            ("[    1.000000] GPT: Invalid partition table", Some(Kernel)),
            (
                "[    4.200000] EXT4-fs (sda1): mounted filesystem with",
                Some(Root),
            ),
            ("[    4.200000] XFS (dm-0): Ending clean mount", Some(Root)),
            ("Begin: Running /scripts/init-bottom ... done.", Some(Root)),
            ("Welcome to Debian GNU/Linux 12 (bookworm)!", Some(Root)),
            ("INIT: version 2.88 booting", Some(Root)),
            (
                "OpenRC 0.45.2 is starting up Linux 6.1 (x86_64)",
                Some(Root),
            ),
            (
                "[  OK  ] Reached target multi-user.target - Multi-User System.",
                Some(Login),
            ),
            ("[  OK  ] Reached target Graphical Interface.", Some(Login)),
            ("debian login:", Some(Login)),
            (
                "debian login: [   45.123456] random: crng init done",
                Some(Login),
            ),
            ("Last login: Mon Nov 23 on ttyS0", None),
            ("Reached target basic.target - Basic System.", None),
        ] {
            assert_eq!(read(line), expected.map(Sign::Reached), "{line}");
        }
    }

    #[test]
    fn lines_tell_failures() {
        use Trouble::{EmergencyMode, InitramfsShell, KernelPanic, LoaderPrompt, NotBootable};
        for (line, expected) in [
            ("No bootable device.  Retrying in 60 seconds.", NotBootable),
            ("Boot failed: not a bootable disk", NotBootable),
            ("grub rescue>", LoaderPrompt),
            ("grub>", LoaderPrompt),
            (
                "ALERT!  UUID=77 does not exist.  Dropping to a shell!",
                InitramfsShell,
            ),
            ("(initramfs)", InitramfsShell),
            (
                "dracut-initqueue[1]: Warning: Could not boot.",
                InitramfsShell,
            ),
            (
                "[    1.000000] Kernel panic - not syncing: VFS: Unable",
                KernelPanic,
            ),
            (
                "You are in emergency mode. After logging in, type",
                EmergencyMode,
            ),
            ("Press Enter for maintenance", EmergencyMode),
        ] {
            assert_eq!(read(line), Some(Sign::Failed(expected)), "{line}");
        }
    }

    #[test]
    fn the_firmware_shows_each_start() {
        let banner = "SeaBIOS (version 1.16.3-debian-1.16.3-2)";
        assert_eq!(read(banner), Some(Sign::PowerOn));
        assert_eq!(read("Booting from Hard Disk..."), None);
    }
}
