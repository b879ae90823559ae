//! Which initramfs the boot loader gives to which kernel.
//!
//! All the formats (GRUB 2, GRUB 0.97, the Boot Loader Specification, syslinux) name a kernel and
//! its initramfs on lines of their own, and begin an entry by a title. Variables are not expanded.

use crate::error::Error;
use crate::guest::Guest;
use crate::kernel_cmdline;
use crate::parse::kargs::Format;
use crate::root::{FileKind, GuestPath};

/// A menu entry: files as they are written there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Entry {
    kernel: String,
    initramfs: Vec<String>,
}

/// A kernel that the boot loader starts, and the initramfs it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairing {
    /// The kernel, links followed.
    pub kernel: GuestPath,
    /// The initramfs, links followed.
    pub initramfs: GuestPath,
}

/// The directories that paths in boot entries may start at: a boot entry sees a partition.
const PARTITIONS: [&str; 4] = ["/", "/boot", "/efi", "/boot/efi"];

/// What boot entries name and the guest has, each pairing once, in the order of the entries.
///
/// # Errors
///
/// The guest could not be read.
pub fn pairings(guest: &Guest<'_>) -> Result<Vec<Pairing>, Error> {
    let mut pairings = Vec::new();
    for (path, format) in kernel_cmdline::files(guest)? {
        let of_loader = matches!(
            format,
            Format::GrubScript | Format::GrubLegacy | Format::LoaderEntry | Format::Syslinux
        );
        let Some(text) = guest.text(&path)?.filter(|_| of_loader) else {
            continue;
        };
        for entry in entries(text.as_str()) {
            let Some(kernel) = locate(guest, &entry.kernel)? else {
                continue;
            };
            // Microcode comes first and the main image last.
            for written in entry.initramfs.iter().rev() {
                if let Some(initramfs) = locate(guest, written)? {
                    let pairing = Pairing { kernel, initramfs };
                    if !pairings.contains(&pairing) {
                        pairings.push(pairing);
                    }
                    break;
                }
            }
        }
    }
    Ok(pairings)
}

/// The file of the guest that a boot entry names.
fn locate(guest: &Guest<'_>, written: &str) -> Result<Option<GuestPath>, Error> {
    // A device stands before the path in parentheses: `(hd0,0)/vmlinuz`, `($root)/vmlinuz`.
    let path = match written.strip_prefix('(') {
        Some(rest) => rest.split_once(')').map_or("", |(_, path)| path),
        None => written,
    };
    let path = path.trim_start_matches('/');
    let file = path.rsplit('/').next().unwrap_or(path);
    if file.is_empty() {
        return Ok(None);
    }
    let in_partitions = PARTITIONS
        .iter()
        .map(|partition| GuestPath::from(*partition).join(path));
    // On Btrfs the path may start with a subvolume.
    let in_boot = GuestPath::from("/boot").join(file);
    for candidate in in_partitions.chain([in_boot]) {
        let candidate = guest.root().resolve(&candidate)?;
        if guest.root().kind(&candidate)? == Some(FileKind::Regular) {
            return Ok(Some(candidate));
        }
    }
    Ok(None)
}

fn entries(text: &str) -> Vec<Entry> {
    let mut found = Vec::new();
    let mut current = Entry::default();
    for line in text.lines() {
        let words: Vec<&str> = line
            .split_whitespace()
            .map(|word| word.trim_matches(['"', '\'']))
            .collect();
        let [keyword, args @ ..] = words.as_slice() else {
            continue;
        };
        match keyword.to_ascii_lowercase().as_str() {
            "menuentry" | "submenu" | "title" | "label" => finish(&mut current, &mut found),
            "linux" | "linux16" | "linuxefi" | "kernel" => {
                if !current.kernel.is_empty() {
                    finish(&mut current, &mut found);
                }
                let file = args.iter().find(|arg| !arg.starts_with("--"));
                current.kernel = file.map_or_else(String::new, |file| (*file).to_owned());
            }
            "initrd" | "initrd16" | "initrdefi" => {
                let files = args.iter().filter(|arg| !arg.starts_with('$'));
                current
                    .initramfs
                    .extend(files.filter_map(|file| image(file)));
            }
            "append" => {
                let files = args.iter().filter_map(|arg| arg.strip_prefix("initrd="));
                let files = files.flat_map(|files| files.split(','));
                current.initramfs.extend(files.filter_map(image));
            }
            _ => {}
        }
    }
    finish(&mut current, &mut found);
    found
}

/// A file that is not processor microcode.
fn image(file: &str) -> Option<String> {
    let microcode = file.contains("ucode") || file.contains("microcode");
    (!microcode).then(|| file.to_owned())
}

/// Ends an entry. What came before a title in one that has no kernel yet belongs to it.
fn finish(current: &mut Entry, found: &mut Vec<Entry>) {
    if !current.kernel.is_empty() {
        found.push(std::mem::take(current));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    #[test]
    fn entries_of_every_loader() {
        for (text, expected) in [
            (
                "menuentry 'Debian' {\n\techo x\n\tlinux\t/boot/vmlinuz-6.1 root=UUID=x ro\n\tinitrd\t/boot/initrd.img-6.1\n}\n\
                 menuentry 'mem' {\n\tlinux16 /memtest.bin\n}\n",
                vec![
                    ("/boot/vmlinuz-6.1", vec!["/boot/initrd.img-6.1"]),
                    ("/memtest.bin", vec![]),
                ],
            ),
            (
                "title Oracle Linux\nversion 5.14\nlinux /vmlinuz-5.14\ninitrd /initramfs-5.14.img $tuned_initrd\noptions $kernelopts\n",
                vec![("/vmlinuz-5.14", vec!["/initramfs-5.14.img"])],
            ),
            (
                "initrd /m/6.9/initrd\nlinux /m/6.9/linux\ntitle openSUSE\n",
                vec![("/m/6.9/linux", vec!["/m/6.9/initrd"])],
            ),
            (
                "default 0\ntitle CentOS (2.6.18)\n\troot (hd0,0)\n\tkernel /vmlinuz-2.6.18 ro root=LABEL=/\n\tinitrd /initrd-2.6.18.img\n",
                vec![("/vmlinuz-2.6.18", vec!["/initrd-2.6.18.img"])],
            ),
            (
                "LABEL a\n  KERNEL /vmlinuz-lts\n  APPEND initrd=/intel-ucode.img,/initramfs-lts root=x\n",
                vec![("/vmlinuz-lts", vec!["/initramfs-lts"])],
            ),
            (
                "menuentry 'Arch' {\nlinux \"/vmlinuz-linux\" rw\ninitrd /amd-ucode.img /initramfs-linux.img\n}\n",
                vec![("/vmlinuz-linux", vec!["/initramfs-linux.img"])],
            ),
            ("linux\ninitrd\n", vec![]),
        ] {
            let found = entries(text);
            let found: Vec<_> = found
                .iter()
                .map(|entry| {
                    let images: Vec<&str> = entry.initramfs.iter().map(String::as_str).collect();
                    (entry.kernel.as_str(), images)
                })
                .collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn files_are_found_wherever_the_partition_is_mounted() {
        for (written, expected) in [
            ("/vmlinuz-6.1", Some("/boot/vmlinuz-6.1")),
            ("/boot/vmlinuz-6.1", Some("/boot/vmlinuz-6.1")),
            ("(hd0,0)/vmlinuz-6.1", Some("/boot/vmlinuz-6.1")),
            ("/@/boot/vmlinuz-6.1", Some("/boot/vmlinuz-6.1")),
            ("/vmlinuz", Some("/boot/vmlinuz-6.1")),
            ("/m/6.9/linux", Some("/efi/m/6.9/linux")),
            ("/vmlinuz-7", None),
            ("(hd0", None),
            ("", None),
        ] {
            let fixture = Fixture::new(&[
                ("/boot/vmlinuz-6.1", "x"),
                ("/vmlinuz", "-> boot/vmlinuz-6.1"),
                ("/efi/m/6.9/linux", "x"),
            ]);
            let found = fixture.with(|guest| locate(guest, written).unwrap());
            assert_eq!(found, expected.map(GuestPath::from), "{written}");
        }
    }
}
