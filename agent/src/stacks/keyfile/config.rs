//! The profiles of a guest as a whole, and how they are changed.

use std::collections::BTreeSet;

use super::super::device::Device;
use super::super::naming;
use super::conf::Conf;
use super::device::{self, Links};
use super::profile::{self, Profile};
use crate::error::Error;
use crate::facts::NetworkStack;
use crate::guest::{Guest, Owner};
use crate::parse::keyfile::KeyFile;
use crate::parse::lines::LineEdits;
use crate::root::{FileKind, GuestPath};

/// Where profiles are that packages bring.
const VENDOR: &str = "/usr/lib/NetworkManager/system-connections";
/// Who has a profile.
pub const OWNER: Owner = Owner {
    uid: 0,
    gid: 0,
    mode: 0o600,
};
/// Names that a NIC may get on OCI, as the kernel or udev would choose them.
const ANY_NIC: [&str; 5] = ["eth0", "eno1", "ens3", "enp0s6", "enx0200170a0b0c"];

/// The profiles and what is about them.
#[derive(Debug, Default)]
pub struct Config {
    profiles: Vec<Profile>,
    links: Links,
    unread: Vec<GuestPath>,
    conf: Conf,
    kernel_names: bool,
}

impl Config {
    /// Reads the profiles with what is drafted so far. A guest without `NetworkManager` has none.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn read(guest: &Guest<'_>) -> Result<Self, Error> {
        let stacks = &guest.facts().network_stacks;
        if !stacks.contains(&NetworkStack::NetworkManager) {
            return Ok(Self::default());
        }
        let mut config = Self {
            conf: Conf::read(guest)?,
            kernel_names: naming::kernel_names(guest)?,
            ..Self::default()
        };
        config.read_profiles(guest)?;
        let nics = config.nics();
        config.links = device::tell(&mut config.profiles, &nics);
        Ok(config)
    }

    fn read_profiles(&mut self, guest: &Guest<'_>) -> Result<(), Error> {
        let root = guest.permissions(&"/".into())?.map_or(0, |root| root.uid);
        let mut hidden = BTreeSet::new();
        for path in guest.list(&self.conf.profile_dir())? {
            let name = path.name().to_string_lossy().into_owned();
            if let Some(uuid) = name.strip_suffix(".nmmeta") {
                hidden.insert(uuid.to_owned());
            } else if !profile::is_read(&name) {
                self.unread.push(path);
            } else if let Some(profile) = read_profile(guest, path, root)? {
                hidden.insert(name);
                hidden.extend(profile.uuid());
                self.profiles.push(profile);
            }
        }
        for path in guest.list(&VENDOR.into())? {
            let name = path.name().to_string_lossy().into_owned();
            if name.starts_with('.') || !path.has_suffix(".nmconnection") {
                continue;
            }
            let Some(mut profile) = read_profile(guest, path, root)? else {
                continue;
            };
            if hidden.contains(&profile.uuid().unwrap_or(name)) {
                self.unread.push(profile.path);
            } else {
                profile.vendor = true;
                self.profiles.push(profile);
            }
        }
        Ok(())
    }

    /// The profiles that are read.
    pub fn profiles(&self) -> &[Profile] {
        &self.profiles
    }

    /// Files among the profiles that are not read.
    pub fn unread(&self) -> impl Iterator<Item = &GuestPath> {
        let certificate =
            |path: &GuestPath| profile::is_certificate(&path.name().to_string_lossy());
        self.unread.iter().filter(move |path| !certificate(path))
    }

    /// `NetworkManager`'s own configuration.
    pub fn conf(&self) -> &Conf {
        &self.conf
    }

    /// The names that the one NIC may get.
    pub fn nics(&self) -> Vec<&'static str> {
        if self.kernel_names {
            vec!["eth0"]
        } else {
            ANY_NIC.to_vec()
        }
    }

    /// Whether whichever NIC appears is brought up by DHCPv4 at boot.
    pub fn has_dhcp_for_any(&self) -> bool {
        self.profiles.iter().any(Profile::is_dhcp_for_any)
    }

    /// Drafts that the lines of a profile go. One that a package brought is copied first.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn remove_lines(
        &self,
        guest: &mut Guest<'_>,
        profile: &Profile,
        lines: impl Iterator<Item = usize>,
    ) -> Result<(), Error> {
        let mut edits = LineEdits::default();
        for line in lines {
            edits.remove(line..line + 1);
        }
        if edits.is_empty() {
            return Ok(());
        }
        let anew = edits.apply(profile.file.as_str());
        if !profile.vendor {
            return guest.write_text(&profile.path, &anew);
        }
        let copy = self.conf.profile_dir().join(profile.path.name());
        guest.write_as(&copy, anew.into_bytes(), OWNER)
    }
}

fn read_profile(guest: &Guest<'_>, path: GuestPath, root: u32) -> Result<Option<Profile>, Error> {
    // A profile may be a link to one.
    if guest.kind(&path)? == Some(FileKind::Directory) {
        return Ok(None);
    }
    let (Some(text), Some(owner)) = (guest.text(&path)?, guest.permissions(&path)?) else {
        return Ok(None);
    };
    Ok(Some(Profile {
        path,
        file: KeyFile::parse(text.as_str()),
        vendor: false,
        trusted: profile::is_trusted(owner, root),
        node: String::new(),
        device: Device::Virtual,
    }))
}

/// Drafts that profiles go, with all that they lie on or that lies on them and is of no use without
/// them. Tells whether any did.
///
/// # Errors
///
/// The guest could not be read.
pub fn remove(
    guest: &mut Guest<'_>,
    unwanted: impl Fn(&Config, &Profile) -> bool,
) -> Result<bool, Error> {
    let mut removed = false;
    // A profile in /etc may hide one that a package brought, which then comes to light.
    for _ in 0..2 {
        let config = Config::read(guest)?;
        let chosen = config.profiles.iter().filter(|p| unwanted(&config, p));
        let connected = config.links.connected(chosen.map(|p| p.node.as_str()));
        for profile in &config.profiles {
            let along = profile.device.is_replaced() && connected.contains(profile.node.as_str());
            if along || unwanted(&config, profile) {
                take_away(guest, &config, profile)?;
                removed = true;
            }
        }
    }
    Ok(removed)
}

fn take_away(guest: &mut Guest<'_>, config: &Config, profile: &Profile) -> Result<(), Error> {
    match profile.uuid() {
        Some(uuid) if profile.vendor => {
            let tombstone = config.conf.profile_dir().join(format!("{uuid}.nmmeta"));
            guest.link(&tombstone, "/dev/null")
        }
        _ => guest.remove(&profile.path),
    }
}
