//! Images: the source, which is only ever read, and the working disk, which has no name.
//!
//! ```text
//! Input ─open─▶ SourceImage ─copy_of──▶ WorkDisk ──attach──▶ disk::AttachedDisk
//!                          ├─raw_disk─▶ RawDisk, read where it lies if it can be
//!                          └─bootable─▶ BootableImage
//! ```
//!
//! What an image is, is decided by its content and never by its name. Every format is read by its
//! own tables (`format`); no program is started for it, and no other file is opened because an
//! image says so, save the two cases in `opening`. The working disk is an unnamed file, so that
//! nothing of it is left behind however the run ends.

mod bootable;
mod copy;
mod disk_map;
mod error;
mod expand;
mod fault;
mod findings;
mod format;
mod host_file;
mod opening;
mod probe;
mod raw;
mod source;
mod spool;
mod tar;
mod unpack;
mod window;
mod work;

pub use bootable::BootableImage;
pub(crate) use copy::Extents;
pub use error::ImageError;
pub use fault::{Reason, Refusal};
pub(crate) use findings::subject_of;
pub use probe::Format;
pub use raw::RawDisk;
pub use source::{Input, SourceImage};
pub use work::WorkDisk;

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
