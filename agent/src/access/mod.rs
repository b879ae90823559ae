//! Who can log in over SSH: the guest's accounts, and where its sshd looks for their keys.

pub mod accounts;
pub mod sshd;
