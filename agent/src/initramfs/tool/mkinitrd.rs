//! The two programs called mkinitrd: that of Red Hat 5, and that of SUSE up to 11. Both are older
//! than virtio SCSI; their images matter for the emulated launch mode.

use super::words;
use crate::error::Error;
use crate::guest::Guest;
use crate::parse::edit::{self, Edit};
use crate::parse::shell_vars;
use crate::root::GuestPath;

/// Where SUSE names the modules of every image.
const SUSE_CONF: &str = "/etc/sysconfig/kernel";

pub(super) fn command(
    program: &GuestPath,
    version: &str,
    image: &GuestPath,
    modules: &[String],
) -> Vec<String> {
    let mut argv = words(&[&program.to_string(), "-f"]);
    argv.extend(modules.iter().map(|module| format!("--with={module}")));
    argv.extend(words(&[&image.to_string(), version]));
    argv
}

/// Images and kernels are named by their files in `/boot`. The boot loader is left alone.
pub(super) fn suse_command(program: &GuestPath, version: &str, image: &GuestPath) -> Vec<String> {
    words(&[
        &program.to_string(),
        "-B",
        "-k",
        &format!("vmlinuz-{version}"),
        "-i",
        &image.name().to_string_lossy(),
    ])
}

pub(super) fn configure_suse(guest: &mut Guest<'_>, modules: &[String]) -> Result<(), Error> {
    let path = SUSE_CONF.into();
    let Some(text) = guest.text(&path)? else {
        return Ok(());
    };
    let assignments = shell_vars::assignments(text.as_str());
    let Some(assignment) = assignments
        .iter()
        .rfind(|assignment| assignment.name == "INITRD_MODULES")
    else {
        return Ok(());
    };
    let mut named: Vec<&str> = assignment.value.as_str().split_whitespace().collect();
    let before = named.len();
    for module in modules {
        if !named.contains(&module.as_str()) {
            named.push(module);
        }
    }
    if named.len() == before {
        return Ok(());
    }
    let line = format!("INITRD_MODULES=\"{}\"\n", named.join(" "));
    let edit = Edit::replace(assignment.lines.clone(), line);
    guest.write_text(&path, &edit::apply(text.as_str(), vec![edit]))
}
