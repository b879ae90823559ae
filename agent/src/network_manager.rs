//! What `NetworkManager.conf(5)` says of the whole guest.

use crate::error::Error;
use crate::guest::Guest;
use crate::parse::unit_file;
use crate::root::GuestPath;

/// The administrator's file, read between the two directories.
const CONFIG: &str = "/etc/NetworkManager/NetworkManager.conf";
/// What distributions drop in, and what the administrator does.
const DROP_INS: [&str; 2] = [
    "/usr/lib/NetworkManager/conf.d",
    "/etc/NetworkManager/conf.d",
];

/// The value of a key of `[main]` that counts: the last one. A file in `/etc` hides the one of the
/// same name in `/usr/lib`.
///
/// # Errors
///
/// The guest could not be read.
pub fn main_setting(guest: &Guest<'_>, key: &str) -> Result<Option<String>, Error> {
    let own = guest.list(&DROP_INS[1].into())?;
    let mut files = guest.list(&DROP_INS[0].into())?;
    files.retain(|file| !own.iter().any(|other| other.name() == file.name()));
    files.push(GuestPath::from(CONFIG));
    files.extend(own);
    let mut value = None;
    for file in files.into_iter().filter(|file| file.has_suffix(".conf")) {
        let text = guest.text(&file)?;
        let entries = text.map(|text| unit_file::parse(text.as_str()));
        let last = entries
            .into_iter()
            .flatten()
            .rfind(|entry| entry.section == "main" && entry.key == key);
        value = last.map(|entry| entry.value).or(value);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    #[test]
    fn the_last_value_counts() {
        let fixture = Fixture::new(&[
            (
                "/usr/lib/NetworkManager/conf.d/10.conf",
                "[main]\ndns=none\n",
            ),
            (
                "/usr/lib/NetworkManager/conf.d/20.conf",
                "[main]\ndhcp=dhcpcd\n",
            ),
            (CONFIG, "[main]\ndns=default\n#dhcp=x\n[logging]\ndhcp=y\n"),
            (
                "/etc/NetworkManager/conf.d/20.conf",
                "[main]\nrc-manager=file\n",
            ),
            ("/etc/NetworkManager/conf.d/30.txt", "[main]\ndns=none\n"),
        ]);
        fixture.with(|guest| {
            for (key, expected) in [
                ("dns", Some("default")),
                ("dhcp", None),
                ("rc-manager", Some("file")),
            ] {
                assert_eq!(main_setting(guest, key).unwrap().as_deref(), expected);
            }
        });
    }
}
