//! GRUB 2's script language, run as GRUB runs `grub.cfg`: which menu comes of it, and what each
//! entry would start.
//!
//! Source: the GNU GRUB Manual 2.12, "Writing your own configuration file"; Fedora's `blscfg` for
//! the Boot Loader Specification. A configuration is a stranger's: nesting, loops, sourced files
//! and expansion all draw on one budget, and a script that uses it up ends there.

mod bls;
mod blscfg;
mod commands;
mod expand;
mod lexer;
mod machine;
mod menu;
mod parser;
mod search;
mod test;
mod world;

pub use menu::{Entry, Menu, run};
pub use world::{By, FileName, World};

#[cfg(test)]
pub(super) mod tests;
