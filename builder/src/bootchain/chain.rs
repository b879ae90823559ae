//! The way from the boot sector to a kernel: which configuration is read, and what it starts.

use byoi_agent::error::Error;
use byoi_agent::guest::Guest;
use byoi_agent::initramfs::images::Images;

use super::places::{Located, Mounted, Places, SOMEWHERE};
use crate::guest::GuestMount;
use crate::layout::{BootCode, Layout};
use crate::loader::script::{self, Entry, FileName, Menu, World};
use crate::loader::{CoreImage, Loader, legacy, syslinux};

/// Where GRUB 2 has its files, where that is not read from its core image.
const GRUB_DIRS: [&str; 2] = ["/boot/grub", "/boot/grub2"];
/// Where GRUB 0.97 has its menu.
const LEGACY: [&str; 3] = [
    "/boot/grub/menu.lst",
    "/boot/grub/grub.conf",
    "/boot/boot/grub/menu.lst",
];
/// Where Syslinux and Extlinux look.
const SYSLINUX: [&str; 9] = [
    "/boot/extlinux/extlinux.conf",
    "/boot/extlinux.conf",
    "/extlinux/extlinux.conf",
    "/extlinux.conf",
    "/boot/syslinux/extlinux.conf",
    "/boot/syslinux/syslinux.cfg",
    "/boot/syslinux.cfg",
    "/syslinux/syslinux.cfg",
    "/syslinux.cfg",
];

/// What the rules of the boot chain know.
#[derive(Debug)]
pub(super) struct Chain {
    /// What starts from the disk.
    pub loader: Loader,
    /// Where its partitions are mounted.
    pub places: Places,
    /// The ramdisks that were read.
    pub images: Images,
}

/// The configuration of the boot loader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Config {
    /// It cannot be told which one is read.
    Unseen,
    /// There is none where the boot loader looks.
    None {
        /// What was looked for.
        wanted: String,
    },
    /// A menu.
    Menu {
        /// Whose it is.
        kind: Kind,
        /// What it offers.
        menu: Menu,
    },
}

/// A kind of configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `grub.cfg`
    Grub2,
    /// `menu.lst`
    GrubLegacy,
    /// `extlinux.conf` and its kind
    Syslinux,
}

impl Chain {
    /// What is known of a disk of which these file systems are mounted.
    pub fn new(loader: Loader, layout: &Layout, mounts: &[GuestMount]) -> Self {
        Self {
            loader,
            places: Places::new(layout, mounts),
            images: Images::default(),
        }
    }

    /// Where GRUB 2's core image looks for its files, before its own configuration is run.
    pub fn prefix(core: &CoreImage) -> FileName {
        let own = core
            .boot_partition
            .map_or_else(|| "hd0".to_owned(), |number| format!("hd0,{number}"));
        FileName::parse(&core.area.prefix, &own)
    }

    /// The configuration that the boot loader reads.
    pub fn config(&self, guest: &Guest<'_>) -> Result<Config, Error> {
        let world = Mounted {
            places: &self.places,
            guest,
        };
        if let Some(Ok(core)) = self.loader.core() {
            let embedded = core.area.config.as_deref();
            let (prefix, menu) = script::run(&world, &Self::prefix(core), embedded)?;
            if let Some(menu) = menu {
                return Ok(Config::Menu {
                    kind: Kind::Grub2,
                    menu,
                });
            }
            let config = FileName::parse(&format!("{prefix}/grub.cfg"), "");
            return Ok(match self.places.locate(guest, &config)? {
                _ if core.area.memdisk => Config::Unseen,
                Located::Missing => Config::None {
                    wanted: config.to_string(),
                },
                _ => Config::Unseen,
            });
        }
        match self.loader.last_code() {
            Some(BootCode::GrubLegacy) => {
                Ok(legacy_menu(&world)?.unwrap_or_else(|| Config::None {
                    wanted: LEGACY[0].to_owned(),
                }))
            }
            Some(BootCode::Syslinux) => {
                Ok(syslinux_menu(&world)?.unwrap_or_else(|| Config::None {
                    wanted: SYSLINUX[0].to_owned(),
                }))
            }
            _ => any_menu(&world),
        }
    }

    /// The entry that starts by itself.
    pub fn default_entry(&self, guest: &Guest<'_>) -> Result<Option<Entry>, Error> {
        Ok(match self.config(guest)? {
            Config::Menu { mut menu, .. } => menu
                .default
                .filter(|index| *index < menu.entries.len())
                .map(|index| menu.entries.swap_remove(index)),
            Config::Unseen | Config::None { .. } => None,
        })
    }

    /// A file of the boot loader as the guest sees it, or as the boot loader names it.
    pub fn shown(&self, guest: &Guest<'_>, file: &FileName) -> Result<String, Error> {
        Ok(match self.places.locate(guest, file)? {
            Located::Here(path) => path.to_string(),
            Located::Missing | Located::Unseen => file.to_string(),
        })
    }
}

/// Whatever configuration there is, for a boot loader that is not known.
fn any_menu(world: &Mounted<'_, '_>) -> Result<Config, Error> {
    for dir in GRUB_DIRS {
        let (_, menu) = script::run(world, &somewhere(dir), None)?;
        if let Some(menu) = menu {
            return Ok(Config::Menu {
                kind: Kind::Grub2,
                menu,
            });
        }
    }
    if let Some(menu) = legacy_menu(world)? {
        return Ok(menu);
    }
    Ok(syslinux_menu(world)?.unwrap_or(Config::Unseen))
}

fn legacy_menu(world: &Mounted<'_, '_>) -> Result<Option<Config>, Error> {
    for path in LEGACY {
        let file = somewhere(path);
        let Some(text) = world.read(&file)? else {
            continue;
        };
        let saved = world.read(&somewhere("/boot/grub/default"))?;
        let saved = saved.map(|saved| String::from_utf8_lossy(&saved).into_owned());
        let menu = legacy::parse(&String::from_utf8_lossy(&text), &file, saved.as_deref());
        return Ok(Some(Config::Menu {
            kind: Kind::GrubLegacy,
            menu,
        }));
    }
    Ok(None)
}

fn syslinux_menu(world: &Mounted<'_, '_>) -> Result<Option<Config>, Error> {
    for path in SYSLINUX {
        if let Some(menu) = syslinux::read(world, &somewhere(path))? {
            return Ok(Some(Config::Menu {
                kind: Kind::Syslinux,
                menu,
            }));
        }
    }
    Ok(None)
}

fn somewhere(path: &str) -> FileName {
    FileName {
        device: SOMEWHERE.to_owned(),
        path: path.to_owned(),
    }
}
