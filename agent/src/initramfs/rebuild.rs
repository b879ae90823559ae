//! Building an initramfs anew with the guest's own tool, so that there is a working one throughout.
//!
//! The tool writes beside the old image, and the new one takes its place once it was read to its end
//! and has what the boot needs. A tool that insists on the place of the old image gets it, and a
//! copy of the old one comes back where the new one is worse.

use std::collections::BTreeSet;
use std::io::BufReader;

use super::kernel_modules::KernelModules;
use super::kernels::{Kernel, Role};
use super::modules::{BOOT_VOLUME, Modules};
use super::pins::{KERNEL_ARGS, is_below_any};
use super::space;
use super::tool::Tool;
use super::{Initramfs, InitramfsError, Limits};
use crate::error::Error;
use crate::guest::{Guest, GuestCommand};
use crate::kernel_cmdline;
use crate::parse::kargs::{self, Format};
use crate::root::{GuestPath, GuestRoot, GuestRootMut};
use crate::text::Text;

/// What tells the new image from the old one until it has been checked.
pub const NEW: &str = ".byoi-new";
/// Drivers beside those of the boot volume that an image is told to have, if the kernel has them.
const PARAVIRTUALIZED: [&str; 4] = ["virtio", "virtio_ring", "virtio_blk", "virtio_net"];
/// Drivers for the emulated launch mode, for kernels without virtio SCSI.
const EMULATED: [&str; 2] = ["ata_piix", "e1000"];
/// Programs without which a root of their kind is not found.
const PROGRAMS: [&str; 3] = ["cryptsetup", "lvm", "mdadm"];
/// Arguments inside an image by which the root is found whatever machine it is.
const STORAGE_ARGS: [&str; 4] = ["rd.dm.", "rd.luks.", "rd.lvm.", "rd.md."];

/// What an image that a command makes has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The kernel that it is for.
    pub kernel: String,
    /// Where the command writes it; another path than its own until it has been checked.
    pub written_to: GuestPath,
    /// The drivers of the root file system.
    pub root_drivers: Vec<&'static str>,
}

/// Drafts the rebuilding of a kernel's image; nothing where that cannot be done, as [`hint`] says.
///
/// # Errors
///
/// The guest could not be read.
pub fn draft(
    guest: &mut Guest<'_>,
    kernel: &Kernel,
    image: Option<&Initramfs>,
    root_drivers: &[&'static str],
) -> Result<(), Error> {
    let drafted = guest
        .commands()
        .iter()
        .any(|command| command.produces == kernel.initramfs);
    if drafted || !guest.runs_programs() || kernel.role != Role::Installed {
        return Ok(());
    }
    let Some(tool) = Tool::of(guest)? else {
        return Ok(());
    };
    if space::shortage(guest, &kernel.initramfs, tool.writes_in_place())?.is_some() {
        return Ok(());
    }
    let modules = modules_to_add(guest, kernel, root_drivers)?;
    let kept = match image {
        Some(image) => storage_args(guest, image)?,
        None => Vec::new(),
    };
    tool.configure(guest, &modules, &kept)?;
    let written_to = if tool.writes_in_place() {
        kernel.initramfs.clone()
    } else {
        GuestPath::new(format!("{}{NEW}", kernel.initramfs))
    };
    let argv = tool.command(guest, kernel, &written_to, &modules)?;
    guest.run(GuestCommand {
        argv,
        produces: kernel.initramfs.clone(),
        initramfs: Some(Requirement {
            kernel: kernel.version.clone(),
            written_to,
            root_drivers: root_drivers.to_vec(),
        }),
    });
    Ok(())
}

/// What somebody has to do about a kernel's image.
///
/// # Errors
///
/// The guest could not be read.
pub fn hint(
    guest: &Guest<'_>,
    kernel: &Kernel,
    root_drivers: &[&'static str],
) -> Result<String, Error> {
    match kernel.role {
        Role::Installed => {}
        Role::Rescue => {
            return Ok(
                "remove the rescue kernel and its image; the next kernel package makes them \
                       anew"
                    .into(),
            );
        }
        Role::Leftover => {
            return Ok(
                "remove the kernel, its initramfs and its boot entry, or install its \
                       modules"
                    .into(),
            );
        }
    }
    let Some(tool) = Tool::of(guest)? else {
        return Ok("build it anew with the drivers of every machine, virtio_scsi included".into());
    };
    if let Some(short) = space::shortage(guest, &kernel.initramfs, tool.writes_in_place())? {
        let dir = kernel.initramfs.parent();
        return Ok(format!(
            "make room in {}: a new image needs {} bytes free, and there are {}",
            dir.unwrap_or_else(|| kernel.initramfs.clone()),
            short.needed,
            short.free
        ));
    }
    let modules = modules_to_add(guest, kernel, root_drivers)?;
    let argv = tool.command(guest, kernel, &kernel.initramfs, &modules)?;
    let words: Vec<String> = argv.iter().map(|word| quoted(word)).collect();
    Ok(format!(
        "build it for every machine, in the guest: {}",
        words.join(" ")
    ))
}

fn quoted(word: &str) -> String {
    if word.contains(' ') {
        format!("\"{word}\"")
    } else {
        word.to_owned()
    }
}

/// The modules that a tool is asked for by name: what the kernel has of those that OCI needs.
fn modules_to_add(
    guest: &Guest<'_>,
    kernel: &Kernel,
    root_drivers: &[&'static str],
) -> Result<Vec<String>, Error> {
    let known = KernelModules::read(guest.root(), &kernel.version)?;
    let emulated: &[&str] = if Modules::new(None, "", &known).predates_virtio_scsi() {
        &EMULATED
    } else {
        &[]
    };
    Ok(PARAVIRTUALIZED
        .iter()
        .chain(&BOOT_VOLUME)
        .chain(emulated)
        .chain(root_drivers)
        .filter(|module| known.is_loadable(module))
        .map(|module| (*module).to_owned())
        .collect())
}

/// The arguments inside an image that name volumes of the root, unless every boot entry has them.
fn storage_args(guest: &Guest<'_>, image: &Initramfs) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    for (path, entry) in image.iter() {
        let Some(content) = entry.content().filter(|_| is_below_any(path, KERNEL_ARGS)) else {
            continue;
        };
        let text = Text::from_bytes(content);
        for arg in kargs::find(Format::Plain, text.as_str())
            .iter()
            .flat_map(|kargs| &kargs.args)
        {
            let of_storage = STORAGE_ARGS.iter().any(|name| arg.text.starts_with(name));
            // Goes into a file that a shell reads.
            let plain = arg.text.bytes().all(|byte| {
                byte.is_ascii_alphanumeric()
                    || matches!(
                        byte,
                        b'=' | b'-' | b'_' | b'.' | b',' | b':' | b'/' | b'@' | b'+'
                    )
            });
            if of_storage
                && plain
                && !found.contains(&arg.text)
                && !kernel_cmdline::has_on_every_copy(guest, &arg.text)?
            {
                found.push(arg.text.clone());
            }
        }
    }
    Ok(found)
}

/// Runs what makes an image, and keeps the old one unless the new one is at least as good.
///
/// # Errors
///
/// The program failed, or made a worse image; the old image is there as it was.
pub fn run(
    root: &GuestRootMut,
    command: &GuestCommand,
    requirement: &Requirement,
    program: impl FnOnce() -> Result<(), Error>,
) -> Result<(), Error> {
    let image = &command.produces;
    let quality = |path: &GuestPath| Quality::of(root.reader(), path, requirement);
    if quality(image)?.is_err() {
        // What a run that was cut off could not put back.
        root.restore_copy(image)?;
    }
    let before = quality(image)?;
    let in_place = requirement.written_to == *image;
    let original = if in_place {
        Some(root.keep_copy(image)?)
    } else {
        None
    };
    let made = program()
        .and_then(|()| quality(&requirement.written_to))
        .and_then(
            |after| match complaint(before.as_ref().ok(), after.as_ref()) {
                None => Ok(()),
                Some(reason) => Err(Error::WorseInitramfs {
                    command: command.argv.join(" "),
                    path: image.to_string(),
                    reason,
                }),
            },
        );
    match (made, original) {
        (Ok(()), Some(original)) => root.drop_copy(image, original),
        (Ok(()), None) => root.replace_by(image, &requirement.written_to),
        (Err(error), Some(_)) => root.restore_copy(image).and(Err(error)),
        (Err(error), None) => root.remove(&requirement.written_to).and(Err(error)),
    }
}

/// What an image is good for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Quality {
    missing: Vec<String>,
    programs: BTreeSet<&'static str>,
}

impl Quality {
    /// Looks at an image; why it is none where it cannot be read.
    fn of(
        root: &GuestRoot,
        path: &GuestPath,
        requirement: &Requirement,
    ) -> Result<Result<Self, String>, Error> {
        let Some(file) = root.open_file(path)? else {
            return Ok(Err("it is not there".into()));
        };
        let image = Initramfs::read(BufReader::new(file), &|_| false, &Limits::default());
        let image = match image {
            Ok(image) => image,
            Err(InitramfsError::Interrupted { source }) => return Err(Error::Interrupted(source)),
            Err(error) => return Ok(Err(error.to_string())),
        };
        let kernel = KernelModules::read(root, &requirement.kernel)?;
        let modules = Modules::new(Some(&image), &requirement.kernel, &kernel);
        Ok(Ok(Self {
            missing: modules.missing_for_boot(&requirement.root_drivers),
            programs: PROGRAMS
                .into_iter()
                .filter(|name| has_program(&image, name))
                .collect(),
        }))
    }
}

fn has_program(image: &Initramfs, name: &str) -> bool {
    ["bin", "sbin", "usr/bin", "usr/sbin"]
        .iter()
        .any(|dir| image.entry(&format!("{dir}/{name}")).is_some())
}

/// What is worse about the new image; `None` where nothing is.
fn complaint(before: Option<&Quality>, after: Result<&Quality, &String>) -> Option<String> {
    let after = match after {
        Ok(after) => after,
        Err(reason) => return Some(reason.clone()),
    };
    let before = before?;
    let lost: Vec<&str> = after
        .missing
        .iter()
        .filter(|module| !before.missing.contains(module))
        .map(String::as_str)
        .chain(before.programs.difference(&after.programs).copied())
        .collect();
    (!lost.is_empty()).then(|| format!("it lacks {}", lost.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quality(missing: &[&str], programs: &[&'static str]) -> Quality {
        Quality {
            missing: missing.iter().map(|module| (*module).to_owned()).collect(),
            programs: programs.iter().copied().collect(),
        }
    }

    #[test]
    fn a_new_image_is_at_least_as_good() {
        let good = quality(&[], &["lvm"]);
        let bare = quality(&["virtio_scsi"], &["lvm"]);
        let lost = quality(&[], &[]);
        let broken = "it is truncated".to_owned();
        for (before, after, expected) in [
            (Some(&bare), Ok(&good), None),
            (Some(&bare), Ok(&bare), None),
            (Some(&good), Ok(&bare), Some("it lacks virtio_scsi")),
            (Some(&bare), Ok(&lost), Some("it lacks lvm")),
            (Some(&good), Err(&broken), Some("it is truncated")),
            (None, Ok(&bare), None),
            (None, Err(&broken), Some("it is truncated")),
        ] {
            assert_eq!(complaint(before, after).as_deref(), expected);
        }
    }
}
