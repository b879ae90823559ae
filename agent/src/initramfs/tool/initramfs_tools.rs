//! initramfs-tools: update-initramfs(8), initramfs.conf(5).

use super::words;
use crate::error::Error;
use crate::guest::Guest;
use crate::parse::shell_vars;
use crate::root::GuestPath;

/// What decides which modules an image gets.
const CONF: &str = "/etc/initramfs-tools/initramfs.conf";
/// Files that win over it; Debian's installer writes `driver-policy` here.
const CONF_DIR: &str = "/etc/initramfs-tools/conf.d";
/// What may forbid `update-initramfs` to update.
const UPDATE_CONF: &str = "/etc/initramfs-tools/update-initramfs.conf";

/// Updates an image, or makes the first one. Where updates are forbidden, or the image has another
/// name than the tool's own, the program below is called.
pub(super) fn command(
    guest: &Guest<'_>,
    program: &GuestPath,
    version: &str,
    image: &GuestPath,
) -> Result<Vec<String>, Error> {
    let own_name = *image == GuestPath::new(format!("/boot/initrd.img-{version}"));
    if !own_name || forbids_updates(guest)? {
        return Ok(words(&["mkinitramfs", "-o", &image.to_string(), version]));
    }
    let mode = if guest.exists(image)? { "-u" } else { "-c" };
    Ok(words(&[&program.to_string(), mode, "-k", version]))
}

fn forbids_updates(guest: &Guest<'_>) -> Result<bool, Error> {
    let conf = guest.text(&UPDATE_CONF.into())?;
    Ok(conf.is_some_and(|conf| {
        shell_vars::assignments(conf.as_str())
            .iter()
            .rfind(|assignment| assignment.name == "update_initramfs")
            .is_some_and(|assignment| assignment.value.as_str() == "no")
    }))
}

/// Asks for most modules, wherever the configuration asks for fewer.
pub(super) fn configure(guest: &mut Guest<'_>) -> Result<(), Error> {
    let mut files = vec![GuestPath::from(CONF)];
    files.extend(guest.list(&CONF_DIR.into())?);
    for path in files {
        if let Some(text) = guest.text(&path)? {
            let most = with_most_modules(text.as_str());
            if most != text.as_str() {
                guest.write_text(&path, &most)?;
            }
        }
    }
    Ok(())
}

fn with_most_modules(conf: &str) -> String {
    conf.split_inclusive('\n')
        .map(|line| {
            let assigned = line.trim_start().strip_prefix("MODULES=");
            match assigned.map(|value| value.trim().trim_matches(['"', '\''])) {
                Some("dep" | "list" | "netboot") => "MODULES=most\n",
                _ => line,
            }
        })
        .collect()
}
