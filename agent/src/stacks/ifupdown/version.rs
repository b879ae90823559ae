//! What the guest's ifupdown can do.

use crate::error::Error;
use crate::guest::Guest;

/// The first version with patterns in `auto` and `allow-*`.
const PATTERNS_SINCE: [u32; 3] = [0, 8, 21];

/// Whether the guest's ifupdown knows patterns: `auto /e*=any`. Debian 10 and Ubuntu 20.04 are
/// the first releases that do; ifupdown2 has a syntax of its own.
///
/// # Errors
///
/// The guest could not be read.
pub fn knows_patterns(guest: &Guest<'_>) -> Result<bool, Error> {
    if guest.exists(&"/usr/share/ifupdown2".into())? {
        return Ok(false);
    }
    if let Some(version) = installed_version(guest, "ifupdown")? {
        let mut parts = version
            .split(['.', '-', '+', '~'])
            .map_while(leading_number);
        let version: [u32; 3] = std::array::from_fn(|_| parts.next().unwrap_or_default());
        return Ok(version >= PATTERNS_SINCE);
    }
    let release = leading_number(&guest.facts().version);
    Ok(match (guest.facts().id.as_str(), release) {
        ("debian", Some(release)) => release >= 10,
        ("ubuntu", Some(release)) => release >= 19,
        _ => true,
    })
}

/// The version of an installed package, as dpkg's status file has it.
fn installed_version(guest: &Guest<'_>, package: &str) -> Result<Option<String>, Error> {
    let Some(status) = guest.text(&"/var/lib/dpkg/status".into())? else {
        return Ok(None);
    };
    let mut current = "";
    for line in status.as_str().lines() {
        if let Some(name) = line.strip_prefix("Package: ") {
            current = name.trim();
        } else if current == package
            && let Some(version) = line.strip_prefix("Version: ")
        {
            return Ok(Some(version.trim().to_owned()));
        }
    }
    Ok(None)
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text[..end].parse().ok()
}
