//! The virtual machine, and the QEMU command line that makes it.
//!
//! It resembles an OCI virtual machine: SeaBIOS or OVMF, a standard VGA card, ttyS0, one disk, one NIC and
//! the chassis asset tag by which guests recognise Oracle's cloud. OCI offers no virtio-rng, so
//! there is none. The image is opened read-only below a temporary overlay that QEMU keeps without
//! a name; the guest reaches neither the host's network nor, through QEMU's sandbox, its programs.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::Serialize;

use super::accel::Accelerator;
use super::mac::Mac;
use super::uefi::Flash;

/// The program.
pub const QEMU: &str = "qemu-system-x86_64";
/// The guest's network: one that no former address of a guest is likely to lie in.
pub const NETWORK: [u8; 3] = [10, 213, 71];

/// The main board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Board {
    /// Intel Q35: PCI Express, and SATA in place of IDE.
    Q35,
    /// Intel 440FX: PCI and IDE.
    Pc,
}

/// The devices, named after OCI's launch modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// virtio-scsi and virtio-net.
    Paravirtualized,
    /// An IDE disk (SATA on [`Board::Q35`]) and e1000.
    Emulated,
}

/// The firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Firmware {
    /// SeaBIOS.
    Bios,
    /// OVMF, with variables that know no disk.
    Uefi,
}

/// The format of the disk image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DiskFormat {
    /// QCOW2, without backing or data files: the caller has refused those.
    Qcow2,
    /// The plain disk.
    Raw,
    /// A VMDK that is one file.
    Vmdk,
}

impl DiskFormat {
    /// Its name, that of QEMU.
    pub fn name(self) -> &'static str {
        match self {
            Self::Qcow2 => "qcow2",
            Self::Raw => "raw",
            Self::Vmdk => "vmdk",
        }
    }
}

/// What the guest sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Machine {
    /// The main board.
    pub board: Board,
    /// Disk and NIC.
    pub profile: Profile,
    /// The firmware.
    pub firmware: Firmware,
    /// Memory, in MiB.
    pub memory_mib: u32,
    /// The NIC's address.
    pub mac: Mac,
}

/// What the host lends to a machine.
#[derive(Debug, Clone, Copy)]
pub struct Wiring<'a> {
    /// What runs the guest's code.
    pub accelerator: Accelerator,
    /// The disk image.
    pub image: &'a Path,
    /// Its format.
    pub format: DiskFormat,
    /// The flash of a machine with UEFI firmware.
    pub flash: Option<&'a Flash>,
    /// Where the packet capture goes.
    pub capture: &'a Path,
    /// The port on 127.0.0.1 that leads to the guest's port 22.
    pub ssh_port: u16,
}

impl Machine {
    /// QEMU's arguments. The serial port is standard output.
    pub(super) fn argv(&self, wiring: &Wiring<'_>) -> Vec<OsString> {
        let mut args: Vec<OsString> = Vec::new();
        let mut add = |words: &[&str]| args.extend(words.iter().map(OsString::from));
        let board = match self.board {
            Board::Q35 => "q35",
            Board::Pc => "pc",
        };
        let (accel, cpus) = match wiring.accelerator {
            Accelerator::Kvm => ("kvm", "2"),
            Accelerator::Tcg => ("tcg", "1"),
        };
        add(&["-nodefaults", "-no-user-config", "-display", "none"]);
        add(&[
            "-sandbox",
            "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        ]);
        // Without graphics SeaBIOS repeats on ttyS0 what it and a boot loader print on the screen.
        add(&[
            "-machine",
            &format!("{board},graphics=off"),
            "-accel",
            accel,
        ]);
        // Newer distributions need x86-64-v2 or v3, which QEMU's default CPU lacks. No guest needs
        // SVM here, and where it is there, udev loads KVM, which takes minutes under TCG.
        add(&[
            "-cpu",
            "max,svm=off",
            "-smp",
            cpus,
            "-m",
            &self.memory_mib.to_string(),
        ]);
        add(&["-smbios", "type=3,asset=OracleCloud.com", "-device", "VGA"]);
        add(&["-chardev", "stdio,id=serial,signal=off"]);
        add(&["-device", "isa-serial,chardev=serial"]);

        if let Some(flash) = wiring.flash {
            for (options, path) in [
                ("if=pflash,unit=0,format=raw,readonly=on,file=", &flash.code),
                ("if=pflash,unit=1,format=raw,file=", &flash.variables),
            ] {
                args.push("-drive".into());
                args.push(with_path(options, path));
            }
        }
        args.push("-drive".into());
        args.push(drive(wiring.image, wiring.format));
        let mut add = |words: &[&str]| args.extend(words.iter().map(OsString::from));
        let nic = match self.profile {
            Profile::Paravirtualized => {
                add(&["-device", "virtio-scsi-pci,id=scsi"]);
                add(&["-device", "scsi-hd,bus=scsi.0,drive=disk,bootindex=0"]);
                "virtio-net-pci"
            }
            Profile::Emulated => {
                add(&["-device", "ide-hd,bus=ide.0,drive=disk,bootindex=0"]);
                "e1000"
            }
        };
        let [a, b, c] = NETWORK;
        let port = wiring.ssh_port;
        add(&[
            "-netdev",
            &format!(
                "user,id=net,net={a}.{b}.{c}.0/24,ipv6=off,restrict=on,\
                 hostfwd=tcp:127.0.0.1:{port}-:22"
            ),
        ]);
        // No option ROM: the firmware must not ask for a lease before the guest does.
        let mac = self.mac;
        add(&["-device", &format!("{nic},netdev=net,mac={mac},romfile=")]);
        args.push("-object".into());
        args.push(with_path(
            "filter-dump,id=capture,netdev=net,file=",
            wiring.capture,
        ));
        args
    }
}

/// Whether a frame with this source is one of the user-mode network's own (its hosts have
/// addresses made of 52:55 and their IPv4 address).
pub fn is_network_host(mac: Mac) -> bool {
    let [a, b, c] = NETWORK;
    mac.0.starts_with(&[0x52, 0x55, a, b, c])
}

fn drive(image: &Path, format: DiskFormat) -> OsString {
    let driver = format.name();
    // An explicit file driver: a name such as `nbd:...` stays the name of a file.
    let options =
        format!("if=none,id=disk,snapshot=on,driver={driver},file.driver=file,file.filename=");
    with_path(&options, image)
}

/// Appends a path to options; QEMU wants its commas doubled.
fn with_path(options: &str, path: &Path) -> OsString {
    let mut bytes = options.as_bytes().to_vec();
    for &byte in AsRef::<OsStr>::as_ref(path).as_bytes() {
        bytes.push(byte);
        if byte == b',' {
            bytes.push(b',');
        }
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(board: Board, profile: Profile, accelerator: Accelerator) -> String {
        shown_with(None, board, profile, accelerator)
    }

    fn shown_with(
        flash: Option<&Flash>,
        board: Board,
        profile: Profile,
        accelerator: Accelerator,
    ) -> String {
        let machine = Machine {
            board,
            profile,
            firmware: Firmware::Bios,
            memory_mib: 1024,
            mac: Mac([2, 0, 0x17, 0xa, 0xb, 0xc]),
        };
        let wiring = Wiring {
            accelerator,
            image: Path::new("/proc/77/fd/9"),
            format: DiskFormat::Qcow2,
            flash,
            capture: Path::new("/tmp/a,b/net.pcap"),
            ssh_port: 40022,
        };
        let words: Vec<_> = machine
            .argv(&wiring)
            .into_iter()
            .map(|word| word.into_string().unwrap())
            .collect();
        words.join(" ").replace(" -", "\n-")
    }

    #[test]
    fn a_paravirtualized_machine() {
        let expected = "\
-nodefaults
-no-user-config
-display none
-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny
-machine q35,graphics=off
-accel tcg
-cpu max,svm=off
-smp 1
-m 1024
-smbios type=3,asset=OracleCloud.com
-device VGA
-chardev stdio,id=serial,signal=off
-device isa-serial,chardev=serial
-drive if=none,id=disk,snapshot=on,driver=qcow2,file.driver=file,file.filename=/proc/77/fd/9
-device virtio-scsi-pci,id=scsi
-device scsi-hd,bus=scsi.0,drive=disk,bootindex=0
-netdev user,id=net,net=10.213.71.0/24,ipv6=off,restrict=on,hostfwd=tcp:127.0.0.1:40022-:22
-device virtio-net-pci,netdev=net,mac=02:00:17:0a:0b:0c,romfile=
-object filter-dump,id=capture,netdev=net,file=/tmp/a,,b/net.pcap";
        let shown = shown(Board::Q35, Profile::Paravirtualized, Accelerator::Tcg);
        assert_eq!(shown, expected);
    }

    #[test]
    fn an_emulated_machine_differs_in_board_disk_and_nic() {
        let one = shown(Board::Q35, Profile::Paravirtualized, Accelerator::Tcg);
        let two = shown(Board::Pc, Profile::Emulated, Accelerator::Kvm);
        let new: Vec<_> = two.lines().filter(|line| !one.contains(line)).collect();
        let expected = [
            "-machine pc,graphics=off",
            "-accel kvm",
            "-smp 2",
            "-device ide-hd,bus=ide.0,drive=disk,bootindex=0",
            "-device e1000,netdev=net,mac=02:00:17:0a:0b:0c,romfile=",
        ];
        assert_eq!(new, expected);
    }

    #[test]
    fn uefi_firmware_comes_in_flash() {
        let flash = Flash {
            code: "/usr/share/OVMF/OVMF_CODE_4M.fd".into(),
            variables: "/tmp/a,b/variables.fd".into(),
        };
        let (board, profile) = (Board::Q35, Profile::Paravirtualized);
        let one = shown(board, profile, Accelerator::Tcg);
        let two = shown_with(Some(&flash), board, profile, Accelerator::Tcg);
        let new: Vec<_> = two.lines().filter(|line| !one.contains(line)).collect();
        let expected = [
            "-drive if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd",
            "-drive if=pflash,unit=1,format=raw,file=/tmp/a,,b/variables.fd",
        ];
        assert_eq!(new, expected);
    }
}
