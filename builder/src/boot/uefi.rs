//! The UEFI firmware that QEMU is given: OVMF, where distributions put it.

use std::io;
use std::path::{Path, PathBuf};

/// The program and the template of its variables, each in its own flash.
const PLACES: [(&str, &str); 5] = [
    (
        "/usr/share/OVMF/OVMF_CODE_4M.fd",
        "/usr/share/OVMF/OVMF_VARS_4M.fd",
    ),
    (
        "/usr/share/OVMF/OVMF_CODE.fd",
        "/usr/share/OVMF/OVMF_VARS.fd",
    ),
    (
        "/usr/share/edk2/ovmf/OVMF_CODE.fd",
        "/usr/share/edk2/ovmf/OVMF_VARS.fd",
    ),
    (
        "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
        "/usr/share/edk2/x64/OVMF_VARS.4m.fd",
    ),
    (
        "/usr/share/qemu/ovmf-x86_64-code.bin",
        "/usr/share/qemu/ovmf-x86_64-vars.bin",
    ),
];

/// The flash of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flash {
    /// The program.
    pub code: PathBuf,
    /// The variables of this machine alone.
    pub variables: PathBuf,
}

/// Whether there is such firmware here.
pub fn is_there() -> bool {
    template().is_some()
}

/// The flash of a new machine, whose variables know no disk yet; they are kept in `dir`.
pub(super) fn fresh(dir: &Path) -> io::Result<Flash> {
    let (code, template) = template().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let variables = dir.join("variables.fd");
    std::fs::copy(template, &variables)?;
    Ok(Flash {
        code: code.to_owned(),
        variables,
    })
}

fn template() -> Option<(&'static Path, &'static Path)> {
    let mut places = PLACES
        .iter()
        .map(|(code, variables)| (Path::new(code), Path::new(variables)));
    places.find(|(code, variables)| code.is_file() && variables.is_file())
}
