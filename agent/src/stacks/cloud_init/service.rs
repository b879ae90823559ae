//! Whether cloud-init runs at boot, and whether it knows OCI.

use crate::error::Error;
use crate::guest::Guest;
use crate::kernel_cmdline;
use crate::root::GuestPath;
use crate::units;

/// The program.
const PROGRAM: &str = "/usr/bin/cloud-init";
/// What keeps it from running, where it is there.
const DISABLED: &str = "/etc/cloud/cloud-init.disabled";
/// The units that look for a data source before the network is up; the second since version 24.3.
const UNITS: [&str; 2] = ["cloud-init-local.service", "cloud-init-main.service"];
/// What pulls them in.
const TARGET: &str = "cloud-init.target";
/// Where packages themselves make units wanted.
const VENDOR_WANTS: [&str; 4] = [
    "/usr/lib/systemd/system/cloud-init.target.wants",
    "/usr/lib/systemd/system/multi-user.target.wants",
    "/lib/systemd/system/cloud-init.target.wants",
    "/lib/systemd/system/multi-user.target.wants",
];
/// Where the versions of Python have their packages.
const PYTHON_PARENTS: [&str; 2] = ["/usr/lib", "/usr/local/lib"];

/// Whether cloud-init is installed and nothing keeps it from running at boot.
///
/// # Errors
///
/// The guest could not be read.
pub fn runs_at_boot(guest: &Guest<'_>) -> Result<bool, Error> {
    if !guest.exists(&PROGRAM.into())? || guest.exists(&DISABLED.into())? {
        return Ok(false);
    }
    let copies = kernel_cmdline::copies(guest)?;
    if copies
        .iter()
        .any(|copy| copy.value("cloud-init") == Some("disabled"))
    {
        return Ok(false);
    }
    Ok(!units::readable(guest)? || is_enabled(guest)?)
}

fn is_enabled(guest: &Guest<'_>) -> Result<bool, Error> {
    if units::is_masked(guest, TARGET)? || units::is_masked(guest, UNITS[0])? {
        return Ok(false);
    }
    for unit in UNITS {
        if units::is_enabled(guest, unit, "cloud-init-local")? {
            return Ok(true);
        }
        for dir in VENDOR_WANTS {
            if guest.kind(&GuestPath::from(dir).join(unit))?.is_some() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether this cloud-init has a data source for OCI, as every version since 18.4 does. Where its
/// package is not found, it is taken for a recent one.
///
/// # Errors
///
/// The guest could not be read.
pub fn knows_oracle(guest: &Guest<'_>) -> Result<bool, Error> {
    let mut found = false;
    for parent in PYTHON_PARENTS {
        for python in guest.list(&parent.into())? {
            if !python.name().to_string_lossy().starts_with("python") {
                continue;
            }
            for packages in ["dist-packages", "site-packages"] {
                let sources = python.join(packages).join("cloudinit").join("sources");
                if guest.exists(&sources.join("DataSourceOracle.py"))? {
                    return Ok(true);
                }
                found |= guest.exists(&sources)?;
            }
        }
    }
    Ok(!found)
}
