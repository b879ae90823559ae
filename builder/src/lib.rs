//! skeleton
#![allow(missing_docs)]
pub mod progress;
