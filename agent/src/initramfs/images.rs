//! Images as they are on the disk, each read once for each state of its file.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, BufReader};
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;

use super::pins::is_config;
use super::{Initramfs, InitramfsError, Limits};
use crate::error::Error;
use crate::root::{GuestPath, GuestRoot};

/// What an initramfs turned out to be.
pub type Image = Rc<Result<Initramfs, InitramfsError>>;

/// Inode, size and modification time: what tells one state of a file from another.
type State = (u64, u64, i64, i64);

/// The images of a guest, kept while several rules look at them.
#[derive(Debug, Default)]
pub struct Images {
    read: RefCell<BTreeMap<GuestPath, (State, Image)>>,
}

impl Images {
    /// The initramfs at a path, with the content of what [`is_config`]; `None` where there is none.
    ///
    /// # Errors
    ///
    /// The file could not be opened. A file that is no initramfs, or that only the administrator
    /// may read, is an answer and not an error.
    pub fn get(&self, root: &GuestRoot, path: &GuestPath) -> Result<Option<Image>, Error> {
        let file = match root.open_file(path) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(None),
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
                return Ok(Some(Rc::new(Err(InitramfsError::Read { source }))));
            }
            Err(error) => return Err(error),
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
        if let Err(InitramfsError::Interrupted { source }) = &*image {
            return Err(Error::Interrupted(*source));
        }
        self.read
            .borrow_mut()
            .insert(path.clone(), (state, Rc::clone(&image)));
        Ok(Some(image))
    }
}
