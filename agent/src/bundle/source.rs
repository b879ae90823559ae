//! Where a bundle is read from. It is read twice, first to see that it is whole.

#![expect(
    clippy::disallowed_methods,
    reason = "a bundle is a file of the host, never of the guest"
)]

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use crate::error::Error;

/// Where what comes through standard input is kept meanwhile.
const SPOOL: &str = "/var/tmp";

/// A bundle that can be read from its start more than once.
#[derive(Debug)]
pub struct Source {
    file: File,
    name: String,
}

impl Source {
    /// Opens a bundle; `-` is standard input, which is kept in a file without a name.
    ///
    /// # Errors
    ///
    /// It could not be opened or kept.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if path == Path::new("-") {
            let name = "standard input".to_owned();
            return Self::keep(&mut io::stdin().lock(), name);
        }
        let name = path.display().to_string();
        let file = File::open(path).map_err(Error::io("opening", &name))?;
        if file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Ok(Self { file, name });
        }
        Self::keep(&mut &file, name)
    }

    /// The bundle from its start.
    ///
    /// # Errors
    ///
    /// It could not be rewound.
    pub fn rewound(&self) -> Result<impl Read, Error> {
        let mut file = &self.file;
        file.rewind().map_err(Error::io("reading", &self.name))?;
        Ok(BufReader::new(file))
    }

    fn keep(source: &mut dyn Read, name: String) -> Result<Self, Error> {
        let mut file = tempfile::tempfile_in(SPOOL)
            .or_else(|_| tempfile::tempfile())
            .map_err(Error::io("making a temporary file in", SPOOL))?;
        io::copy(source, &mut file).map_err(Error::io("reading the bundle from", &name))?;
        Ok(Self { file, name })
    }
}
