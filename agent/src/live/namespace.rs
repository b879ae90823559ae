//! Mount namespaces: containers, and services with a view of their own, have mounts that the rest
//! of the system does not see.

use std::fmt;

use super::kernel::Kernel;
use crate::error::Error;
use crate::parse::mountinfo::{self, Mount};
use crate::root::GuestPath;

/// A mount namespace.
#[derive(Debug, Clone)]
pub struct Namespace {
    /// A process that lives in it; `None` for our own.
    pub process: Option<Process>,
    /// Its mounts, in order.
    pub mounts: Vec<Mount>,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub id: u32,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.name, self.id)
    }
}

impl Namespace {
    /// Whether a mount of this namespace goes away with its twin in another one: what is unmounted
    /// there on the mount below is unmounted here too.
    pub fn follows(&self, mount: &Mount, other: &Self) -> bool {
        let twin = other.mounts.iter().find(|twin| {
            (&twin.device, &twin.root, &twin.target) == (&mount.device, &mount.root, &mount.target)
        });
        let below = |namespace: &Self, id| {
            let found = namespace.mounts.iter().find(|below| below.id == id);
            found.cloned()
        };
        twin.is_some_and(|twin| {
            let here = below(self, mount.parent);
            let there = below(other, twin.parent);
            here.zip(there)
                .is_some_and(|(here, there)| here.follows(&there))
        })
    }
}

/// Every mount namespace that a process lives in, our own first.
///
/// # Errors
///
/// The kernel's files could not be read.
pub fn namespaces(kernel: Kernel<'_>) -> Result<Vec<Namespace>, Error> {
    let own = GuestPath::from("/proc/self");
    let mut known: Vec<String> = kernel.link(&own.join("ns/mnt")).into_iter().collect();
    let mut namespaces = vec![Namespace {
        process: None,
        mounts: mounts(kernel, None)?,
    }];
    for process in processes(kernel) {
        let dir = directory(process);
        let Some(id) = kernel.link(&dir.join("ns/mnt")) else {
            continue;
        };
        if known.contains(&id) {
            continue;
        }
        known.push(id);
        namespaces.push(Namespace {
            process: Some(Process {
                id: process,
                name: name(kernel, process),
            }),
            mounts: mounts(kernel, Some(process)).unwrap_or_default(),
        });
    }
    Ok(namespaces)
}

/// The mounts that a process sees, or we; a process that has ended sees none.
///
/// # Errors
///
/// The kernel's files could not be read.
pub fn mounts(kernel: Kernel<'_>, process: Option<u32>) -> Result<Vec<Mount>, Error> {
    let text = match process {
        Some(process) => kernel.fleeting(&directory(process).join("mountinfo")),
        None => kernel.value(&"/proc/self/mountinfo".into())?,
    };
    Ok(mountinfo::mounts(&text.unwrap_or_default()))
}

/// The numbers of all processes, in order.
pub fn processes(kernel: Kernel<'_>) -> Vec<u32> {
    let names = kernel.names(&"/proc".into());
    let mut processes: Vec<u32> = names.iter().filter_map(|name| name.parse().ok()).collect();
    processes.sort_unstable();
    processes
}

/// The name of a process; empty where it has ended.
pub fn name(kernel: Kernel<'_>, process: u32) -> String {
    kernel
        .fleeting(&directory(process).join("comm"))
        .unwrap_or_default()
}

/// Where the kernel shows a process.
pub fn directory(process: u32) -> GuestPath {
    GuestPath::from("/proc").join(process.to_string())
}
