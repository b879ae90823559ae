//! What is told on standard error while the work goes on.
//!
//! A connection that is cut takes standard error with it. That is no reason to stop, and least of
//! all to panic between two steps or while something is being put away.

use std::fmt::Display;
use std::io::{self, Write};

/// Tells a line. Where nobody can hear it, nothing happens.
pub fn tell(line: impl Display) {
    writeln!(io::stderr(), "{line}").ok();
}
