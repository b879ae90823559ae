//! Mounting again what was mounted.

use super::super::block::Devices;
use super::super::kernel::Kernel;
use super::super::namespace::mounts;
use super::super::record::MountRecord;
use super::super::tool::tool;
use super::Attempt;
use crate::cmd::CmdError;
use crate::error::Error;
use crate::parse::mountinfo::Mount;

/// Tells the init that the network has to be there: the mount goes before the network does.
const NETWORK: &str = "_netdev";

impl Attempt<'_> {
    pub(super) fn mount(&mut self, mount: &MountRecord) -> Result<(), Error> {
        if let Some(unit) = &mount.automount {
            self.command(tool("systemctl").args(["start", unit]).run());
            return Ok(());
        }
        let Some(path) = self.awaited(&mount.source)? else {
            return Ok(());
        };
        let there = of_device(self.kernel, &path)?;
        let is_there = |mounts: &[Mount]| mounts.iter().any(|own| own.target == mount.target);
        if is_there(&there) {
            return Ok(());
        }
        let ran = if is_first(mount, &there) {
            let options = format!("{},{NETWORK}", mount.options);
            let what = ["-t", &mount.fs_type, "-o", &options, &path];
            tool("mount").args(what).arg(&mount.target).run().map(drop)
        } else if let Some(from) = origin(mount, &there) {
            bind(&from, mount)
        } else {
            self.failures.push(format!(
                "{} is the directory {} of {path}, which is mounted nowhere: mount that, then bind it",
                mount.target, mount.root
            ));
            return Ok(());
        };
        // A unit of the guest may have been faster.
        if ran.is_err() && !is_there(&of_device(self.kernel, &path)?) {
            self.command(ran);
        }
        Ok(())
    }
}

/// Whether it is a whole file system, or a subvolume, that is mounted nowhere yet.
fn is_first(mount: &MountRecord, there: &[Mount]) -> bool {
    mount.is_whole() && !there.iter().any(|own| own.root == mount.root)
}

/// Where the directory of a bind mount is seen: below the mount that shows the least besides.
fn origin(mount: &MountRecord, there: &[Mount]) -> Option<String> {
    there
        .iter()
        .filter_map(|own| Some((own, below(&mount.root, &own.root)?)))
        .min_by_key(|(_, rest)| rest.len())
        .map(|(own, rest)| match own.target.trim_end_matches('/') {
            "" if rest.is_empty() => "/".to_owned(),
            target => format!("{target}{rest}"),
        })
}

/// What follows in a path that is a directory or below it: nothing, or a path.
fn below<'a>(path: &'a str, dir: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(dir.trim_end_matches('/'))?;
    match rest {
        "/" => Some(""),
        rest => (rest.is_empty() || rest.starts_with('/')).then_some(rest),
    }
}

/// Binds a directory. What sets the mount apart from the one it comes from takes a second step
/// (mount(8)).
fn bind(from: &str, mount: &MountRecord) -> Result<(), CmdError> {
    let options = format!("bind,{NETWORK}");
    tool("mount")
        .args(["-o", &options, from, &mount.target])
        .run()?;
    if !mount.own_options.is_empty() {
        let options = format!("remount,bind,{}", mount.own_options);
        tool("mount").args(["-o", &options, &mount.target]).run()?;
    }
    Ok(())
}

/// Our own mounts of a device.
fn of_device(kernel: Kernel<'_>, path: &str) -> Result<Vec<Mount>, Error> {
    let devices = Devices::read(kernel)?;
    let device = devices.by_path(path);
    let mut own = mounts(kernel, None)?;
    own.retain(|mount| {
        let found = devices
            .by_number(&mount.device)
            .or_else(|| devices.by_path(&mount.source));
        mount.source == path || (device.is_some() && found == device)
    });
    Ok(own)
}

#[cfg(test)]
mod tests {
    use super::super::super::record::Source;
    use super::*;
    use crate::parse::mountinfo;

    fn record(fs_type: &str, root: &str, options: &str) -> MountRecord {
        MountRecord {
            source: Source::Path {
                path: "/dev/sdb".into(),
            },
            root: root.into(),
            target: "/srv/bound".into(),
            fs_type: fs_type.into(),
            options: options.into(),
            own_options: String::new(),
            automount: None,
        }
    }

    #[test]
    fn what_is_seen_elsewhere_is_bound_from_there() {
        let there = |lines: &str| mountinfo::mounts(lines);
        let whole = "1 0 8:16 / /srv/data rw - ext4 /dev/sdb rw\n";
        let part = "2 0 8:16 /part /srv/part rw - ext4 /dev/sdb rw\n";
        let sub = "3 0 0:40 /data /srv/sub rw - btrfs /dev/sdb rw,subvol=/data\n";
        let both = format!("{whole}{part}");
        let cases = [
            ("ext4", "/", "rw", "", None),
            ("ext4", "/", "ro", whole, Some("/srv/data")),
            ("ext4", "/part", "rw", whole, Some("/srv/data/part")),
            ("ext4", "/part/x", "rw", &both, Some("/srv/part/x")),
            ("ext4", "/partial", "rw", part, None),
            ("btrfs", "/data", "rw,subvol=/data", "", None),
            (
                "btrfs",
                "/data/x",
                "rw,subvol=/data",
                sub,
                Some("/srv/sub/x"),
            ),
        ];
        for (fs_type, root, options, lines, expected) in cases {
            let record = record(fs_type, root, options);
            let there = there(lines);
            let found = origin(&record, &there);
            assert_eq!(found.as_deref(), expected, "{root}: {lines}");
            let is_part = root.starts_with("/part") || root.ends_with('x');
            assert_eq!(
                is_first(&record, &there),
                expected.is_none() && !is_part,
                "{root}: {lines}"
            );
        }
    }
}
