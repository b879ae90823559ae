//! Frees a Linux guest of everything that ties it to the machine it ran on.
//!
//! The flow is check → plan → apply → check again ([`run`]). [`facts`] say what guest it is. A
//! [`rules::Rule`] reads the guest through [`guest::Guest`] and tells what is wrong; the same rule
//! drafts the edits that put it right. A [`plan::Plan`] holds what was drafted, and [`mod@apply`]
//! does it, through [`root::GuestRootMut`], the only thing that writes. [`report`] tells. What the
//! running system has to let go of beside its files, volumes over iSCSI, is the matter of [`live`].

#![deny(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "these panic where nobody listens; see `narration`"
)]

pub mod access;
pub mod apply;
pub mod bundle;
pub mod cli;
pub mod cmd;
pub mod error;
pub mod facts;
pub mod failpoint;
pub mod finding;
pub mod guest;
pub mod initramfs;
pub mod interrupt;
pub mod kernel_cmdline;
pub mod live;
pub mod narration;
pub mod network_manager;
pub mod parse;
pub mod plan;
pub mod provision;
pub mod redact;
pub mod report;
mod report_file;
pub mod root;
pub mod rules;
pub mod run;
pub mod seen;
pub mod selection;
pub mod shutdown;
pub mod stacks;
#[cfg(test)]
mod testing;
pub mod text;
pub mod units;
