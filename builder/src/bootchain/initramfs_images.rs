//! The initramfs of every kernel in `/boot`, read once for each state of the file.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::BufReader;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;

use byoi_agent::error::Error;
use byoi_agent::guest::{Guest, GuestCommand};
use byoi_agent::initramfs::pins::is_config;
use byoi_agent::initramfs::{Initramfs, InitramfsError, Limits};
use byoi_agent::root::GuestPath;

/// What an initramfs turned out to be.
pub type Image = Rc<Result<Initramfs, InitramfsError>>;

/// Inode, size and modification time: what tells one state of a file from another.
type State = (u64, u64, i64, i64);

/// The images of a guest, kept while several rules look at them.
#[derive(Debug, Default)]
pub struct InitramfsImages {
    read: RefCell<BTreeMap<GuestPath, (State, Image)>>,
}

/// A kernel in `/boot` and the place of its initramfs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// Its version, as in `/lib/modules`.
    pub version: String,
    /// Its initramfs; it need not exist.
    pub initramfs: GuestPath,
}

impl InitramfsImages {
    /// The kernels whose initramfs the guest's own tool can make, in the order of their versions.
    pub fn kernels(guest: &Guest<'_>) -> Vec<Kernel> {
        guest
            .facts()
            .kernels
            .iter()
            .map(|version| Kernel {
                version: version.clone(),
                initramfs: GuestPath::new(format!("/boot/initrd.img-{version}")),
            })
            .collect()
    }

    /// The initramfs at a path; `None` where there is none.
    ///
    /// # Errors
    ///
    /// The file could not be opened. A file that is no initramfs is an answer, not an error.
    pub fn get(&self, guest: &Guest<'_>, path: &GuestPath) -> Result<Option<Image>, Error> {
        let Some(file) = guest.root().open_file(path)? else {
            return Ok(None);
        };
        let metadata = file.metadata().map_err(Error::io("examining", path))?;
        let state = (
            metadata.ino(),
            metadata.size(),
            metadata.mtime(),
            metadata.mtime_nsec(),
        );
        if let Some((known, image)) = self.read.borrow().get(path)
            && *known == state
        {
            return Ok(Some(Rc::clone(image)));
        }
        let image = Rc::new(Initramfs::read(
            BufReader::new(file),
            &is_config,
            &Limits::default(),
        ));
        self.read
            .borrow_mut()
            .insert(path.clone(), (state, Rc::clone(&image)));
        Ok(Some(image))
    }
}

/// Where initramfs-tools keeps its configuration.
const CONF: &str = "/etc/initramfs-tools/initramfs.conf";
/// A later file wins over `initramfs.conf`; Debian's installer writes this one.
const DRIVER_POLICY: &str = "/etc/initramfs-tools/conf.d/driver-policy";

/// Whether the guest's initramfs-tools can rebuild.
pub fn can_rebuild(guest: &Guest<'_>) -> Result<bool, Error> {
    guest.exists(&"/usr/sbin/update-initramfs".into())
}

/// Drafts the rebuilding of one kernel's initramfs, with every driver: what is sampled from the
/// machine that builds would be wrong for the one that boots.
pub fn rebuild(guest: &mut Guest<'_>, kernel: &Kernel) -> Result<(), Error> {
    for path in [CONF, DRIVER_POLICY] {
        let path = GuestPath::from(path);
        if let Some(text) = guest.text(&path)? {
            guest.write_text(&path, &with_most_modules(text.as_str()))?;
        }
    }
    guest.run(GuestCommand {
        argv: ["update-initramfs", "-u", "-k", &kernel.version]
            .map(str::to_owned)
            .to_vec(),
        produces: kernel.initramfs.clone(),
    });
    Ok(())
}

fn with_most_modules(conf: &str) -> String {
    conf.split_inclusive('\n')
        .map(|line| {
            let assigned = line.trim_start().strip_prefix("MODULES=");
            match assigned.map(|value| value.trim().trim_matches(['"', '\''])) {
                Some("dep" | "list" | "netboot") => "MODULES=most\n",
                _ => line,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_effective_setting_changes() {
        let conf = "# MODULES: [ most | netboot | dep | list ]\nMODULES=dep\nBUSYBOX=auto\n";
        assert_eq!(
            with_most_modules(conf),
            "# MODULES: [ most | netboot | dep | list ]\nMODULES=most\nBUSYBOX=auto\n"
        );
        let most = "MODULES=most\n";
        assert_eq!(with_most_modules(most), most);
    }
}
