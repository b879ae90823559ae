//! Reinstalling GRUB 2 for a BIOS: the core image is made by the guest's own `grub-mkimage` from its
//! own modules, with no more in it than it needs to reach the rest of GRUB.

use std::fs::File;

use byoi_agent::apply::GuestShell;
use byoi_agent::error::Error;
use byoi_agent::facts::Facts;
use byoi_agent::guest::{Guest, GuestCommand};
use byoi_agent::plan::{Action, Change};
use byoi_agent::root::{GuestPath, GuestRoot};

use super::{RepairError, change, embed};
use crate::guest::GuestMount;
use crate::layout::{BootCode, ContentKind, Layout, PartId, PartitionTable};

/// Where GRUB's configuration and, when it runs, its modules are.
const HOMES: [&str; 2] = ["/boot/grub2", "/boot/grub"];
/// Where packages put its modules.
const MODULES: [&str; 3] = [
    "/usr/lib/grub/i386-pc",
    "/usr/lib/grub2/i386-pc",
    "/usr/share/grub2/i386-pc",
];
/// What makes core images.
const MKIMAGE: [&str; 2] = ["/usr/bin/grub2-mkimage", "/usr/bin/grub-mkimage"];
const COPY: &str = "/bin/cp";
const PLATFORM: &str = "i386-pc";

/// What was done, or why nothing was.
#[derive(Debug)]
pub enum Reinstalled {
    /// The disk starts the guest's GRUB 2.
    Done {
        /// What was written.
        changes: Vec<Change>,
        /// The code in sector 0.
        boot_code: BootCode,
    },
    /// It cannot be done.
    No {
        /// Why.
        reason: String,
    },
}

/// How the guest's GRUB 2 is to be installed.
#[derive(Debug, PartialEq, Eq)]
struct Installation {
    mkimage: GuestPath,
    modules: GuestPath,
    home: GuestPath,
    /// Where the core image finds its home, as GRUB writes it.
    prefix: String,
    /// The modules that it needs for that.
    needed: Vec<&'static str>,
}

/// Puts the guest's GRUB 2 onto the disk whose file systems are mounted.
///
/// # Errors
///
/// [`RepairError`]: the guest could not be read, a program of the guest failed, or the disk could
/// not be written.
pub fn reinstall(
    disk: &File,
    layout: &Layout,
    mounts: &[GuestMount],
    root: &GuestRoot,
    shell: &dyn GuestShell,
) -> Result<Reinstalled, RepairError> {
    let facts = Facts::gather(root)?;
    let guest = Guest::new(root, &facts);
    let installation = match Installation::find(&guest, layout, mounts)? {
        Ok(installation) => installation,
        Err(reason) => {
            return Ok(Reinstalled::No {
                reason: reason.to_owned(),
            });
        }
    };
    let mut changes = Vec::new();
    for command in installation.commands() {
        shell.run(&command)?;
        changes.push(Change {
            path: command.produces.to_string(),
            action: Action::Command,
            diff: Some(command.argv.join(" ")),
        });
    }
    let read =
        |path: &GuestPath| -> Result<Vec<u8>, Error> { Ok(guest.read(path)?.unwrap_or_default()) };
    let boot = read(&installation.modules.join("boot.img"))?;
    let core = read(&installation.core())?;
    Ok(
        match embed::write(disk, embed::area(layout), &boot, &core)? {
            Ok(core_image) => {
                changes.push(change(
                    "boot loader",
                    format!("GRUB 2: boot sector, and core image from {core_image}"),
                ));
                Reinstalled::Done {
                    changes,
                    boot_code: BootCode::Grub2 { core_image },
                }
            }
            Err(unfit) => Reinstalled::No {
                reason: unfit.to_string(),
            },
        },
    )
}

impl Installation {
    /// What there is in the guest to install, or what is missing.
    fn find(
        guest: &Guest<'_>,
        layout: &Layout,
        mounts: &[GuestMount],
    ) -> Result<Result<Self, &'static str>, Error> {
        let first = |paths: &[&str], file: &str| -> Result<Option<GuestPath>, Error> {
            for path in paths {
                let path = GuestPath::from(*path);
                if guest.exists(&path.join(file))? {
                    return Ok(Some(path));
                }
            }
            Ok(None)
        };
        let Some(home) = first(&HOMES, "grub.cfg")? else {
            return Ok(Err("the guest has no configuration of GRUB 2"));
        };
        let Some(modules) = first(&MODULES, "kernel.img")? else {
            return Ok(Err("the guest has no modules of GRUB 2 for a BIOS"));
        };
        let Some(mkimage) = first(&MKIMAGE, "")? else {
            return Ok(Err("the guest has no grub-mkimage"));
        };
        if embed::area(layout).is_empty() {
            return Ok(Err("there is no room for GRUB's core image on the disk"));
        }
        let Some((prefix, needed)) = reach(&home, layout, mounts) else {
            return Ok(Err(
                "GRUB's directory is on what its core image is not made to read",
            ));
        };
        Ok(Ok(Self {
            mkimage,
            modules,
            home,
            prefix,
            needed,
        }))
    }

    fn core(&self) -> GuestPath {
        self.home.join(PLATFORM).join("core.img")
    }

    /// Modules and core image are of one version: the loader takes no others.
    fn commands(&self) -> [GuestCommand; 2] {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let copy = GuestCommand {
            argv: words(&[
                COPY,
                "-R",
                &self.modules.to_string(),
                &self.home.to_string(),
            ]),
            produces: self.home.join(PLATFORM).join("normal.mod"),
            initramfs: None,
        };
        let mut argv: Vec<String> = words(&[
            &self.mkimage.to_string(),
            "-O",
            PLATFORM,
            "-d",
            &self.modules.to_string(),
            "-p",
            &self.prefix,
            "-o",
            &self.core().to_string(),
        ]);
        argv.extend(self.needed.iter().map(|&module| module.to_owned()));
        let make = GuestCommand {
            argv,
            produces: self.core(),
            initramfs: None,
        };
        [copy, make]
    }
}

/// How GRUB names a directory of the guest, and the modules that read it.
fn reach(
    home: &GuestPath,
    layout: &Layout,
    mounts: &[GuestMount],
) -> Option<(String, Vec<&'static str>)> {
    let mount = mounts
        .iter()
        .filter(|mount| mount.skipped.is_none())
        .filter(|mount| home.is_below(&GuestPath::from(mount.point.as_str())))
        .max_by_key(|mount| mount.point.len())?;
    let inside = home
        .to_string()
        .strip_prefix(mount.point.trim_end_matches('/'))?
        .to_owned();
    let (scheme, table) = match layout.table {
        PartitionTable::Dos { .. } => ("msdos", "part_msdos"),
        PartitionTable::Gpt { .. } => ("gpt", "part_gpt"),
        PartitionTable::None { .. } => return None,
    };
    let mut needed = vec!["biosdisk", table];
    let part = layout
        .parts()
        .find(|part| match (part.id(), &mount.logical_volume) {
            (PartId::Logical(name), Some(own)) => name.to_string() == *own,
            (PartId::Partition(number), None) => number == mount.partition,
            _ => false,
        })?;
    let device = match part.id() {
        PartId::Partition(number) => format!(",{scheme}{number}"),
        PartId::Logical(name) => {
            needed.push("lvm");
            format!("lvm/{}", name.mapper())
        }
    };
    needed.push(match part.content().kind {
        ContentKind::Ext2 | ContentKind::Ext3 | ContentKind::Ext4 => "ext2",
        ContentKind::Xfs => "xfs",
        ContentKind::Btrfs => "btrfs",
        ContentKind::Vfat => "fat",
        _ => return None,
    });
    // GRUB sees a btrfs from its top.
    let subvolume = mount.subvolume.as_deref().unwrap_or_default();
    let subvolume = match subvolume.trim_matches('/') {
        "" => String::new(),
        name => format!("/{name}"),
    };
    Some((format!("({device}){subvolume}{inside}"), needed))
}
