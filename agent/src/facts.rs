//! What guest this is: read once, before any rule.

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::Error;
use crate::parse::os_release::OsRelease;
use crate::root::{FileKind, GuestPath, GuestRoot};

/// A family of distributions that keep their configuration alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Debian, Ubuntu and their descendants.
    Debian,
    /// Red Hat Enterprise Linux, Oracle Linux, CentOS, Fedora and their descendants.
    RedHat,
    /// SUSE Linux Enterprise and openSUSE.
    Suse,
    /// Anything else.
    Unknown,
}

/// Who configures the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NetworkStack {
    /// Debian's ifupdown: `/etc/network/interfaces`.
    Ifupdown,
    /// `NetworkManager`.
    NetworkManager,
    /// systemd-networkd.
    Networkd,
    /// netplan, which writes for one of the two above.
    Netplan,
    /// Red Hat's initscripts.
    Ifcfg,
    /// SUSE's wicked.
    Wicked,
    /// cloud-init, which writes for one of the others at the first boot.
    #[serde(rename = "cloud-init")]
    CloudInit,
}

/// What the rules ask of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Facts {
    /// The `ID` of `os-release`.
    pub id: String,
    /// The `VERSION_ID` of `os-release`; empty where there is none, as in Debian testing.
    pub version: String,
    /// The family.
    pub family: Family,
    /// The processor architecture, as `uname -m` says it; `None` where no program tells.
    pub arch: Option<&'static str>,
    /// The network stacks that are there, sorted.
    pub network_stacks: Vec<NetworkStack>,
    /// Whether systemd is init.
    pub systemd: bool,
    /// The kernel versions in `/boot`, sorted.
    pub kernels: Vec<String>,
}

/// The largest `os-release` that is read, in bytes.
const OS_RELEASE_LIMIT: u64 = 64 << 10;

impl Facts {
    /// Looks at a guest.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn gather(root: &GuestRoot) -> Result<Self, Error> {
        let release = os_release(root)?;
        Ok(Self {
            family: family(root, &release)?,
            id: release.id,
            version: release.version_id,
            arch: arch(root)?,
            network_stacks: network_stacks(root)?,
            systemd: any_exists(root, &["/usr/lib/systemd/systemd", "/lib/systemd/systemd"])?,
            kernels: kernels(root)?,
        })
    }
}

fn os_release(root: &GuestRoot) -> Result<OsRelease, Error> {
    for path in ["/etc/os-release", "/usr/lib/os-release"] {
        if let Some(content) = root.read(&path.into(), OS_RELEASE_LIMIT)? {
            return Ok(OsRelease::parse(&String::from_utf8_lossy(&content)));
        }
    }
    Ok(OsRelease::default())
}

fn family(root: &GuestRoot, release: &OsRelease) -> Result<Family, Error> {
    for id in release.ids() {
        match id {
            "debian" | "ubuntu" => return Ok(Family::Debian),
            "rhel" | "fedora" | "centos" | "ol" => return Ok(Family::RedHat),
            "suse" | "sles" | "opensuse" | "opensuse-leap" => return Ok(Family::Suse),
            _ => {}
        }
    }
    // Guests older than os-release.
    for (path, family) in [
        ("/etc/debian_version", Family::Debian),
        ("/etc/redhat-release", Family::RedHat),
        ("/etc/SuSE-release", Family::Suse),
    ] {
        if exists(root, path)? {
            return Ok(family);
        }
    }
    Ok(Family::Unknown)
}

/// Reads the machine field of an ELF header (System V ABI, `e_machine` at byte 18).
fn arch(root: &GuestRoot) -> Result<Option<&'static str>, Error> {
    use std::io::Read;
    for path in ["/usr/bin/env", "/bin/sh", "/sbin/init"] {
        let Some(mut file) = root.open_file(&path.into())? else {
            continue;
        };
        let mut header = [0; 20];
        if file.read_exact(&mut header).is_err() || !header.starts_with(b"\x7fELF") {
            continue;
        }
        return Ok(
            match (header[4], u16::from_le_bytes([header[18], header[19]])) {
                (_, 62) => Some("x86_64"),
                (_, 3) => Some("i686"),
                (_, 183) => Some("aarch64"),
                _ => None,
            },
        );
    }
    Ok(None)
}

fn network_stacks(root: &GuestRoot) -> Result<Vec<NetworkStack>, Error> {
    let signs: [(NetworkStack, &[&str]); 7] = [
        (
            NetworkStack::Ifupdown,
            &["/sbin/ifup", "/usr/sbin/ifup", "/etc/network/interfaces"],
        ),
        (
            NetworkStack::NetworkManager,
            &["/usr/sbin/NetworkManager", "/etc/NetworkManager"],
        ),
        (
            NetworkStack::Networkd,
            &[
                "/etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
                "/etc/systemd/network",
            ],
        ),
        (
            NetworkStack::Netplan,
            &["/usr/sbin/netplan", "/usr/share/netplan", "/etc/netplan"],
        ),
        (NetworkStack::Ifcfg, &["/etc/sysconfig/network-scripts"]),
        (
            NetworkStack::Wicked,
            &[
                "/usr/sbin/wicked",
                "/etc/wicked",
                "/etc/sysconfig/network/config",
            ],
        ),
        (
            NetworkStack::CloudInit,
            &["/usr/bin/cloud-init", "/etc/cloud/cloud.cfg"],
        ),
    ];
    let mut stacks = Vec::new();
    for (stack, paths) in signs {
        // Red Hat's initscripts bring an `ifup` of their own.
        if stack == NetworkStack::Ifupdown && exists(root, "/etc/sysconfig/network-scripts")? {
            continue;
        }
        let present =
            any_exists(root, paths)? || (stack == NetworkStack::Wicked && has_suse_profiles(root)?);
        if present {
            stacks.push(stack);
        }
    }
    Ok(stacks)
}

/// Whether `/etc/sysconfig/network` is a directory, as on SUSE; on Red Hat it is a file.
fn has_suse_profiles(root: &GuestRoot) -> Result<bool, Error> {
    let dir = root.resolve(&"/etc/sysconfig/network".into())?;
    Ok(root.kind(&dir)? == Some(FileKind::Directory))
}

fn kernels(root: &GuestRoot) -> Result<Vec<String>, Error> {
    let boot = root.resolve(&GuestPath::from("/boot"))?;
    let mut kernels: Vec<String> = root
        .list(&boot)?
        .iter()
        .filter_map(|name| kernel_version(name.to_str()?))
        .map(str::to_owned)
        .collect();
    kernels.sort();
    kernels.dedup();
    Ok(kernels)
}

/// The version in the name of a kernel's file, such as `vmlinuz-6.1.0-9-amd64`.
pub fn kernel_version(file: &str) -> Option<&str> {
    let version = ["vmlinuz-", "vmlinux-", "kernel-", "Image-", "image-"]
        .iter()
        .find_map(|prefix| file.strip_prefix(prefix))?;
    // SUSE puts a second copy beside the one that boots; `make install` and packages keep old ones.
    let version = version.strip_suffix(".gz").unwrap_or(version);
    let kept = [".old", ".bak", ".dpkg-bak", ".rpmsave", ".hmac"];
    (!version.is_empty() && !kept.iter().any(|suffix| version.ends_with(suffix))).then_some(version)
}

fn any_exists(root: &GuestRoot, paths: &[&str]) -> Result<bool, Error> {
    for path in paths {
        if exists(root, path)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn exists(root: &GuestRoot, path: &str) -> Result<bool, Error> {
    let path = root.resolve(&path.into())?;
    Ok(matches!(root.kind(&path)?, Some(kind) if kind != FileKind::Special))
}
