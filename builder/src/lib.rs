//! Makes any VM disk ready for import into Oracle Cloud Infrastructure, and proves that it boots.
//!
//! [`pipeline`] reads from top to bottom as the stages of a build. Each stage consumes what the one
//! before it made, so that a wrong order does not compile:
//!
//! ```text
//! image::SourceImage → image::WorkDisk → disk::AttachedDisk → guest::MountedGuest
//!     → disk::AttachedDisk → seal::SealedDisk → encode → qcow2 | vmdk → boot::BootOutcome
//! ```

#![allow(
    clippy::case_sensitive_file_extension_comparisons,
    clippy::match_same_arms,
    clippy::option_option,
    clippy::single_match_else,
    clippy::struct_field_names,
    reason = "names in a guest have a case; tables of a format read best in the format's order"
)]
#![deny(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "these panic where nobody listens; see `byoi_agent::narration`"
)]

pub mod boot;
pub mod bootchain;
mod bytes;
pub mod chroot;
pub mod cli;
pub mod deflate;
pub mod digest;
pub mod disk;
pub mod encode;
pub mod error;
pub mod guest;
pub mod guest_exec;
pub mod image;
pub mod layout;
pub mod loader;
pub mod lvm;
pub mod output;
pub mod pipeline;
pub mod preflight;
pub mod prepare;
pub mod progress;
pub mod qcow2;
pub mod repair;
pub mod report;
pub mod scratch;
pub mod seal;
pub mod sparsify;
pub mod units;
pub mod vmdk;
mod volumes;
