//! skeleton
#![allow(missing_docs)]
pub mod cmd;
pub mod interrupt;
