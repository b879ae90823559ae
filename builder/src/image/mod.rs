//! Images: the source, which is only ever read, and the working disk, which has no name.
//!
//! ```text
//! SourceImage ──copy_of──▶ WorkDisk ──attach──▶ disk::AttachedDisk
//! ```
//!
//! What an image is, is decided by its content and never by its name. Only raw images are read;
//! every other format is refused by name. The working disk is an unnamed file, so that nothing of
//! it is left behind however the run ends.

mod bootable;
mod container;
mod copy;
mod error;
mod source;
mod work;

pub use bootable::BootableImage;
pub use container::Container;
pub use error::ImageError;
pub use source::SourceImage;
pub use work::WorkDisk;
