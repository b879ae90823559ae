//! The kernel command line, wherever a guest keeps a copy of it.
//!
//! The boot loader's configuration holds the lines that boot; the distribution's defaults hold
//! what the next update of the kernel or the boot loader makes of them. Whatever ties the guest to
//! its old machine has to go from all of them, or it comes back. Command lines inside a unified
//! kernel image are signed and not looked at.

use std::collections::BTreeSet;

use crate::error::Error;
use crate::guest::Guest;
use crate::parse::kargs::{self, Arg, ArgEdit, Format, Kargs};
use crate::root::GuestPath;

/// Where command lines are. A `*` stands for a part of the name that it is in.
const PLACES: [(&str, Format); 29] = [
    ("/etc/default/grub", GRUB_DEFAULTS),
    ("/etc/default/grub.d/*.cfg", GRUB_DEFAULTS),
    ("/etc/sysconfig/grub", GRUB_DEFAULTS),
    (
        "/etc/sysconfig/bootloader",
        Format::ShellVars("DEFAULT_APPEND"),
    ),
    (
        "/etc/sysconfig/bootloader",
        Format::ShellVars("FAILSAFE_APPEND"),
    ),
    (
        "/etc/default/extlinux",
        Format::ShellVars("EXTLINUX_PARAMETERS"),
    ),
    (
        "/etc/tuned/bootcmdline",
        Format::ShellVars("TUNED_BOOT_CMDLINE"),
    ),
    ("/etc/dracut.conf", DRACUT),
    ("/etc/dracut.conf.d/*.conf", DRACUT),
    ("/etc/kernel/cmdline", Format::Plain),
    ("/etc/cmdline.d/*.conf", Format::Plain),
    ("/etc/grub.d/*", Format::GrubScript),
    ("/boot/grub/grub.cfg", Format::GrubScript),
    ("/boot/grub/custom.cfg", Format::GrubScript),
    ("/boot/grub/menu.lst", Format::GrubLegacy),
    ("/boot/grub/grub.conf", Format::GrubLegacy),
    ("/boot/grub/grubenv", Format::GrubEnv),
    ("/boot/grub2/grub.cfg", Format::GrubScript),
    ("/boot/grub2/custom.cfg", Format::GrubScript),
    ("/boot/grub2/grubenv", Format::GrubEnv),
    ("/boot/efi/EFI/*/grub.cfg", Format::GrubScript),
    ("/boot/efi/EFI/*/grubenv", Format::GrubEnv),
    ("/boot/efi/EFI/*/grub.conf", Format::GrubLegacy),
    ("/boot/loader/entries/*.conf", Format::LoaderEntry),
    ("/boot/efi/loader/entries/*.conf", Format::LoaderEntry),
    ("/efi/loader/entries/*.conf", Format::LoaderEntry),
    ("/boot/extlinux/*.conf", Format::Syslinux),
    ("/boot/extlinux/*.cfg", Format::Syslinux),
    ("/boot/syslinux/*.cfg", Format::Syslinux),
];

/// What GRUB's defaults call the arguments of every entry.
const GRUB_VARIABLE: &str = "GRUB_CMDLINE_LINUX";
const GRUB_DEFAULTS: Format = Format::ShellVars(GRUB_VARIABLE);
const DRACUT: Format = Format::ShellVars("kernel_cmdline");

/// What a command line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A menu entry, or what menu entries take in by a variable: the kernel boots with it.
    Entry,
    /// Defaults that entries are made from.
    Defaults,
}

/// A copy of the kernel command line, or of a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// The file.
    pub path: GuestPath,
    /// What it is for.
    pub role: Role,
    /// Its arguments.
    pub kargs: Kargs,
}

impl CommandLine {
    /// The value of the last argument of this name, quotes removed.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.kargs
            .args
            .iter()
            .rev()
            .find_map(|arg| value_of(&arg.text, name))
    }

    fn has(&self, wanted: &str) -> bool {
        self.kargs.args.iter().any(|arg| arg.text == wanted)
    }

    /// The variables that it takes in.
    fn variables(&self) -> impl Iterator<Item = &str> {
        self.kargs
            .args
            .iter()
            .filter_map(|arg| arg.text.strip_prefix('$'))
            .map(|name| name.trim_matches(['{', '}']))
    }
}

/// The value of an argument, if it has this name. Quotes may be around all of it or its value.
pub fn value_of<'a>(arg: &'a str, name: &str) -> Option<&'a str> {
    let value = arg
        .trim_matches('"')
        .strip_prefix(name)?
        .strip_prefix('=')?;
    Some(value.trim_matches('"'))
}

/// Every copy, in the order of the places and of the lines in a file.
///
/// # Errors
///
/// The guest could not be read.
pub fn copies(guest: &Guest<'_>) -> Result<Vec<CommandLine>, Error> {
    let mut copies = Vec::new();
    for (path, format) in files(guest)? {
        let Some(text) = guest.text(&path)? else {
            continue;
        };
        for kargs in kargs::find(format, text.as_str()) {
            copies.push(CommandLine {
                role: role(format, &kargs),
                path: path.clone(),
                kargs,
            });
        }
    }
    Ok(copies)
}

/// Drafts other arguments in every copy: `decide` is asked for each one. Everything else stays
/// byte for byte. A `grubenv` that has no room is left as it is.
///
/// # Errors
///
/// The guest could not be read.
pub fn edit(guest: &mut Guest<'_>, decide: &mut dyn FnMut(&Arg) -> ArgEdit) -> Result<(), Error> {
    for (path, format) in files(guest)? {
        let Some(text) = guest.text(&path)? else {
            continue;
        };
        let edited = kargs::edit(format, text.as_str(), &mut |_, arg| decide(arg));
        if let Some(edited) = edited.filter(|edited| edited != text.as_str()) {
            guest.write_text(&path, &edited)?;
        }
    }
    Ok(())
}

/// Drafts that the kernel gets these arguments, of letters, digits and `=-_.,:/@` alone: they are
/// added at the end of every copy that lacks them. Everything else stays byte for byte. Where an
/// entry takes its arguments in by a variable, they are added to that; where a `grubenv` has no
/// room for them, to the entry itself. A guest without any command line gets none.
///
/// # Errors
///
/// The guest could not be read.
pub fn add(guest: &mut Guest<'_>, args: &[&str]) -> Result<(), Error> {
    // What entries take in comes first: they need not hold it themselves then.
    extend(guest, args, &|copy, _, _| is_variable(copy))?;
    extend(guest, args, &|copy, copies, arg| {
        entry_lacks(copies, copy, arg)
            || is_first_to_make_entries(copies, copy) && file_lacks(copies, copy, arg)
            || is_grub_default(copy) && defaults_lack(copies, arg)
            || is_other_default(copy)
    })?;
    add_grub_defaults(guest, args)
}

/// Which of these arguments some copy of the command line lacks; none of them where the guest has
/// no command line at all.
///
/// # Errors
///
/// The guest could not be read.
pub fn missing<'a>(guest: &Guest<'_>, args: &[&'a str]) -> Result<Vec<&'a str>, Error> {
    let copies = copies(guest)?;
    Ok(args
        .iter()
        .copied()
        .filter(|arg| is_lacking(&copies, arg))
        .collect())
}

/// Whether the kernel gets this argument, such as `net.ifnames=0`, from every menu entry there is
/// now, and the defaults hold it for those that will be made. No copy at all counts as no.
///
/// # Errors
///
/// The guest could not be read.
pub fn has_on_every_copy(guest: &Guest<'_>, arg: &str) -> Result<bool, Error> {
    let copies = copies(guest)?;
    let any = copies.iter().any(boots_linux) || grub_defaults(&copies).is_some();
    Ok(any && !is_lacking(&copies, arg))
}

fn is_lacking(copies: &[CommandLine], arg: &str) -> bool {
    defaults_lack(copies, arg)
        || copies.iter().any(|copy| {
            entry_lacks(copies, copy, arg) || makes_entries(copy) && file_lacks(copies, copy, arg)
        })
}

/// Whether a copy is a menu entry that gets an argument neither by itself nor by a variable.
fn entry_lacks(copies: &[CommandLine], copy: &CommandLine, arg: &str) -> bool {
    boots_linux(copy)
        && !copy.has(arg)
        && !copy
            .variables()
            .any(|variable| variable_has(copies, variable, arg))
}

/// Whether new entries get all their arguments from here: kernel-install, and Debian's
/// `update-grub` for GRUB 0.97.
fn makes_entries(copy: &CommandLine) -> bool {
    copy.role == Role::Defaults
        && !copy.kargs.args.is_empty()
        && (copy.kargs.name == "kopt" || copy.path.name() == "cmdline")
}

/// Whether a copy is the first one in its file that new entries are made from.
fn is_first_to_make_entries(copies: &[CommandLine], copy: &CommandLine) -> bool {
    let first = copies
        .iter()
        .find(|other| makes_entries(other) && other.path == copy.path);
    first == Some(copy)
}

/// Whether new entries do not get an argument from the file of a copy. All lines count together.
fn file_lacks(copies: &[CommandLine], copy: &CommandLine, arg: &str) -> bool {
    !copies
        .iter()
        .any(|other| makes_entries(other) && other.path == copy.path && other.has(arg))
}

/// Whether `update-grub` would make entries without an argument.
fn defaults_lack(copies: &[CommandLine], arg: &str) -> bool {
    grub_defaults(copies).is_some_and(|defaults| !defaults.contains(arg))
}

/// Whether a copy gives `GRUB_CMDLINE_LINUX` a value of its own.
fn is_grub_default(copy: &CommandLine) -> bool {
    copy.kargs.name == GRUB_VARIABLE
        && !copy.kargs.append
        && !copy.variables().any(|variable| variable == GRUB_VARIABLE)
}

/// Whether other tools make entries from here.
fn is_other_default(copy: &CommandLine) -> bool {
    matches!(
        copy.kargs.name.as_str(),
        "DEFAULT_APPEND" | "FAILSAFE_APPEND" | "EXTLINUX_PARAMETERS"
    ) && !copy.kargs.args.is_empty()
}

/// Whether a copy is a variable that entries take their arguments from.
fn is_variable(copy: &CommandLine) -> bool {
    copy.role == Role::Entry
        && matches!(
            copy.kargs.name.as_str(),
            "kernelopts" | "default_kernelopts"
        )
}

/// Adds those of the arguments that a copy does not have and that `wanted` asks for. It is told
/// the copy, all copies, and the argument.
fn extend(
    guest: &mut Guest<'_>,
    args: &[&str],
    wanted: &dyn Fn(&CommandLine, &[CommandLine], &str) -> bool,
) -> Result<(), Error> {
    let copies = copies(guest)?;
    for (path, format) in files(guest)? {
        let Some(text) = guest.text(&path)? else {
            continue;
        };
        let extended = kargs::add(format, text.as_str(), &mut |kargs| {
            let copy = CommandLine {
                role: role(format, kargs),
                path: path.clone(),
                kargs: kargs.clone(),
            };
            args.iter()
                .filter(|arg| !copy.has(arg) && wanted(&copy, &copies, arg))
                .map(|arg| (*arg).to_owned())
                .collect()
        });
        if let Some(extended) = extended.filter(|extended| extended != text.as_str()) {
            guest.write_text(&path, &extended)?;
        }
    }
    Ok(())
}

/// Adds a line to `/etc/default/grub` where no definition could take the arguments up.
fn add_grub_defaults(guest: &mut Guest<'_>, args: &[&str]) -> Result<(), Error> {
    let path = GuestPath::from("/etc/default/grub");
    let copies = copies(guest)?;
    let lacking: Vec<&str> = match grub_defaults(&copies) {
        Some(held) => args
            .iter()
            .copied()
            .filter(|arg| !held.contains(arg))
            .collect(),
        None => args.to_vec(),
    };
    let Some(text) = guest.text(&path)?.filter(|_| !lacking.is_empty()) else {
        return Ok(());
    };
    let text = text.as_str();
    let end = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    let held = if copies.iter().any(|copy| copy.kargs.name == GRUB_VARIABLE) {
        "$GRUB_CMDLINE_LINUX "
    } else {
        ""
    };
    let added = lacking.join(" ");
    let longer = format!("{text}{end}{GRUB_VARIABLE}=\"{held}{added}\"\n");
    // A quote that is never closed would swallow the line.
    let line = longer.lines().count();
    let is_read = kargs::find(GRUB_DEFAULTS, &longer)
        .iter()
        .any(|kargs| kargs.args.iter().any(|arg| arg.line == line));
    if is_read {
        guest.write_text(&path, &longer)?;
    }
    Ok(())
}

/// Whether every definition of a variable holds an argument.
fn variable_has(copies: &[CommandLine], variable: &str, arg: &str) -> bool {
    let mut definitions = copies
        .iter()
        .filter(|copy| copy.role == Role::Entry && copy.kargs.name == variable)
        .peekable();
    definitions.peek().is_some() && definitions.all(|copy| copy.has(arg))
}

/// Whether this is a menu entry of a Linux: not a memory test, an initial ramdisk that Xen takes
/// for a module, or a part of an entry.
fn boots_linux(copy: &CommandLine) -> bool {
    let image = copy.kargs.image.as_deref().unwrap_or_default();
    copy.role == Role::Entry
        && matches!(
            copy.kargs.name.to_ascii_lowercase().as_str(),
            "linux"
                | "linux16"
                | "linuxefi"
                | "kernel"
                | "module"
                | "module2"
                | "options"
                | "append"
        )
        && !copy.kargs.args.is_empty()
        && !image.contains("memtest")
        && !image.contains("/xen")
}

/// What `GRUB_CMDLINE_LINUX` and `GRUB_CMDLINE_LINUX_DEFAULT` hold in the end; `None` where the
/// guest has neither.
fn grub_defaults(copies: &[CommandLine]) -> Option<BTreeSet<&str>> {
    let mut found = None;
    for name in ["GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT"] {
        let mut args: BTreeSet<&str> = BTreeSet::new();
        for copy in copies.iter().filter(|copy| copy.kargs.name == name) {
            if !copy.kargs.append && !copy.variables().any(|variable| variable == name) {
                args.clear();
            }
            args.extend(copy.kargs.args.iter().map(|arg| arg.text.as_str()));
            found.get_or_insert_with(BTreeSet::new);
        }
        if let Some(found) = &mut found {
            found.extend(args);
        }
    }
    found
}

fn role(format: Format, kargs: &Kargs) -> Role {
    match format {
        Format::ShellVars(_) | Format::Plain => Role::Defaults,
        Format::GrubLegacy if kargs.image.is_none() => Role::Defaults,
        _ => Role::Entry,
    }
}

/// The files that hold command lines, each once for a format.
///
/// # Errors
///
/// The guest could not be read.
pub fn files(guest: &Guest<'_>) -> Result<Vec<(GuestPath, Format)>, Error> {
    let mut files = Vec::new();
    for (place, format) in PLACES {
        for path in expand(guest, place)? {
            let path = guest.root().resolve(&path)?;
            if files.contains(&(path.clone(), format)) || !is_script(guest, &path)? {
                continue;
            }
            files.push((path, format));
        }
    }
    Ok(files)
}

/// Whether a file of `/etc/grub.d` is GRUB's language behind a line of shell, as `40_custom` is;
/// the others there are programs.
fn is_script(guest: &Guest<'_>, path: &GuestPath) -> Result<bool, Error> {
    if !path.is_below(&"/etc/grub.d".into()) {
        return Ok(true);
    }
    let text = guest.text(path)?;
    Ok(text.is_some_and(|text| {
        text.as_str()
            .lines()
            .take(3)
            .any(|line| line.starts_with("exec tail"))
    }))
}

/// The paths that a place stands for.
fn expand(guest: &Guest<'_>, place: &str) -> Result<Vec<GuestPath>, Error> {
    let Some(star) = place.find('*') else {
        return Ok(vec![place.into()]);
    };
    let dir = place[..star]
        .rfind('/')
        .map_or("/", |slash| &place[..slash]);
    let rest = &place[dir.len()..].trim_start_matches('/');
    let (pattern, below) = rest.split_once('/').unwrap_or((rest, ""));
    let paths = guest.list(&dir.into())?;
    Ok(paths
        .into_iter()
        .filter(|path| {
            path.name()
                .to_str()
                .is_some_and(|name| matches(pattern, name))
        })
        .map(|path| path.join(below))
        .collect())
}

/// Whether a name is what a pattern with one star stands for. A name with a dot in front is hidden.
fn matches(pattern: &str, name: &str) -> bool {
    let (prefix, suffix) = pattern.split_once('*').unwrap_or((pattern, ""));
    !name.starts_with('.')
        && name
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    const DEFAULTS: &str = "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\nGRUB_CMDLINE_LINUX=\"a=1 b\"\n";
    const GRUB_CFG: &str = "menuentry x {\n\tlinux /boot/vmlinuz-6.1 root=/dev/sda1 ro a=1 b\n}\n\
        menuentry memtest { linux16 /boot/memtest86+.bin console=x }\n";

    #[test]
    fn every_copy_is_found_once() {
        let custom = "#!/bin/sh\nexec tail -n +3 $0\nmenuentry z { linux /vmlinuz c }\n";
        let fixture = Fixture::debian(&[
            ("/etc/default/grub", DEFAULTS),
            (
                "/etc/default/grub.d/50-cloud.cfg",
                "GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX d\"\n",
            ),
            (
                "/etc/default/grub.d/.hidden.cfg",
                "GRUB_CMDLINE_LINUX=hidden\n",
            ),
            ("/etc/grub.d/10_linux", "#!/bin/sh\nlinux x y\n"),
            ("/etc/grub.d/40_custom", custom),
            ("/boot/grub/grub.cfg", GRUB_CFG),
            ("/boot/loader/entries/e.conf", "options e\n"),
            ("/boot/efi/EFI/debian/grub.cfg", "linux /vmlinuz f\n"),
        ]);
        fixture.link("/etc/sysconfig/grub", "../default/grub");
        let found: Vec<String> = copies(&fixture.guest())
            .unwrap()
            .iter()
            .map(|copy| {
                let args: Vec<&str> = copy
                    .kargs
                    .args
                    .iter()
                    .map(|arg| arg.text.as_str())
                    .collect();
                format!(
                    "{} {} {:?}: {}",
                    copy.path,
                    copy.kargs.name,
                    copy.role,
                    args.join(" ")
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                "/etc/default/grub GRUB_CMDLINE_LINUX_DEFAULT Defaults: quiet",
                "/etc/default/grub GRUB_CMDLINE_LINUX Defaults: a=1 b",
                "/etc/default/grub.d/50-cloud.cfg GRUB_CMDLINE_LINUX Defaults: $GRUB_CMDLINE_LINUX d",
                "/etc/grub.d/40_custom linux Entry: c",
                "/boot/grub/grub.cfg linux Entry: root=/dev/sda1 ro a=1 b",
                "/boot/grub/grub.cfg linux16 Entry: console=x",
                "/boot/efi/EFI/debian/grub.cfg linux Entry: f",
                "/boot/loader/entries/e.conf options Entry: e",
            ]
        );
    }

    #[test]
    fn an_argument_is_on_every_copy_or_not() {
        let variable = "set kernelopts=\"a=1\"\nlinux /vmlinuz $kernelopts\n";
        for (files, expected) in [
            (
                vec![
                    ("/etc/default/grub", DEFAULTS),
                    ("/boot/grub/grub.cfg", GRUB_CFG),
                ],
                true,
            ),
            (vec![("/boot/grub/grub.cfg", GRUB_CFG)], true),
            (
                vec![
                    ("/etc/default/grub", "GRUB_CMDLINE_LINUX=\n"),
                    ("/boot/grub/grub.cfg", GRUB_CFG),
                ],
                false,
            ),
            (
                vec![
                    ("/etc/default/grub", DEFAULTS),
                    ("/boot/grub/grub.cfg", "linux /vmlinuz a=12\n"),
                ],
                false,
            ),
            (
                vec![
                    ("/etc/default/grub", DEFAULTS),
                    ("/etc/default/grub.d/a.cfg", "GRUB_CMDLINE_LINUX=\"b\"\n"),
                ],
                false,
            ),
            (
                vec![
                    ("/etc/default/grub", DEFAULTS),
                    ("/etc/default/grub.d/a.cfg", "GRUB_CMDLINE_LINUX+=\" b\"\n"),
                ],
                true,
            ),
            (vec![("/boot/grub/grub.cfg", variable)], true),
            (
                vec![
                    ("/boot/grub/grub.cfg", variable),
                    ("/etc/kernel/cmdline", "b\n"),
                ],
                false,
            ),
            (
                vec![("/boot/grub/grub.cfg", "linux /vmlinuz $kernelopts\n")],
                false,
            ),
            (vec![], false),
        ] {
            let fixture = Fixture::debian(&files);
            let found = has_on_every_copy(&fixture.guest(), "a=1").unwrap();
            assert_eq!(found, expected, "{files:?}");
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn arguments_are_added_to_every_copy() {
        let grubenv = |args: &str, length: usize| {
            let text = format!(
                "# GRUB Environment Block\nsaved_entry=0\nkernelopts=root=/dev/sda1 ro{args} \n"
            );
            let room = length - text.len();
            text + &"#".repeat(room)
        };
        let env = (grubenv("", 1024), grubenv(" a=1 b", 1024));
        let full = grubenv("", 72);
        let red_hat = "set kernelopts=\"root=/dev/sda1 ro \"\ninitrd /initrd\n";
        for files in [
            // Debian: what lacks one gets one, what has both stays.
            vec![
                (
                    "/etc/default/grub",
                    "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\nGRUB_CMDLINE_LINUX=\"\" # none\n",
                    "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\nGRUB_CMDLINE_LINUX=\"a=1 b\" # none\n",
                ),
                (
                    "/boot/grub/grub.cfg",
                    "linux /vmlinuz root=x a=1 ro\nlinux /vmlinuz root=x b a=1\nlinux16 /boot/memtest86+ c\n",
                    "linux /vmlinuz root=x a=1 ro b\nlinux /vmlinuz root=x b a=1\nlinux16 /boot/memtest86+ c\n",
                ),
                (
                    "/etc/dracut.conf",
                    "kernel_cmdline=\"x\"\n",
                    "kernel_cmdline=\"x\"\n",
                ),
            ],
            // Red Hat 8: entries take their arguments from the environment block.
            vec![
                ("/boot/grub2/grubenv", env.0.as_str(), env.1.as_str()),
                (
                    "/boot/grub2/grub.cfg",
                    red_hat,
                    "set kernelopts=\"root=/dev/sda1 ro a=1 b \"\ninitrd /initrd\n",
                ),
                (
                    "/boot/loader/entries/e.conf",
                    "options $kernelopts $tuned_params\n",
                    "options $kernelopts $tuned_params\n",
                ),
                (
                    "/boot/loader/entries/own.conf",
                    "options root=/dev/sda1\n",
                    "options root=/dev/sda1 a=1 b\n",
                ),
            ],
            // No room: the entry holds them itself.
            vec![
                ("/boot/grub2/grubenv", full.as_str(), full.as_str()),
                (
                    "/boot/loader/entries/e.conf",
                    "options $kernelopts\n",
                    "options $kernelopts a=1 b\n",
                ),
            ],
            // Red Hat 6, and Debian's comments.
            vec![(
                "/boot/grub/grub.conf",
                "# kopt=root=x ro\ntitle x\n\tkernel /vmlinuz ro root=x\n\tinitrd /i\n",
                "# kopt=root=x ro a=1 b\ntitle x\n\tkernel /vmlinuz ro root=x a=1 b\n\tinitrd /i\n",
            )],
            vec![(
                "/boot/efi/EFI/redhat/grub.conf",
                "kernel /vmlinuz ro\n",
                "kernel /vmlinuz ro a=1 b\n",
            )],
            vec![
                (
                    "/etc/kernel/cmdline",
                    "# x\nroot=x\nro b\n",
                    "# x\nroot=x a=1\nro b\n",
                ),
                (
                    "/boot/extlinux/extlinux.conf",
                    "APPEND ro",
                    "APPEND ro a=1 b",
                ),
            ],
            // Where nothing is defined anew.
            vec![(
                "/etc/default/grub",
                "GRUB_TIMEOUT=5",
                "GRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX=\"a=1 b\"\n",
            )],
            vec![(
                "/etc/default/grub",
                "GRUB_CMDLINE_LINUX+=\" b\"\n",
                "GRUB_CMDLINE_LINUX+=\" b\"\nGRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX a=1\"\n",
            )],
            vec![(
                "/etc/default/grub",
                "GRUB_TIMEOUT=\"5\n",
                "GRUB_TIMEOUT=\"5\n",
            )],
            vec![],
        ] {
            let before: Vec<_> = files.iter().map(|(path, text, _)| (*path, *text)).collect();
            let fixture = Fixture::debian(&before);
            let mut guest = fixture.guest();
            for _ in 0..2 {
                add(&mut guest, &["a=1", "b"]).unwrap();
                for (path, _, expected) in &files {
                    let text = guest.text(&(*path).into()).unwrap().unwrap();
                    assert_eq!(text.as_str(), *expected, "{path}");
                }
                assert!(
                    missing(&guest, &["a=1", "b"]).unwrap().is_empty(),
                    "{before:?}"
                );
            }
        }
    }

    #[test]
    fn values_are_read_with_and_without_quotes() {
        for (arg, expected) in [
            ("root=/dev/sda1", Some("/dev/sda1")),
            ("root=\"/dev/sda1\"", Some("/dev/sda1")),
            ("\"root=/dev/sda1\"", Some("/dev/sda1")),
            ("rootflags=x", None),
            ("root", None),
        ] {
            assert_eq!(value_of(arg, "root"), expected, "{arg}");
        }
    }
}
