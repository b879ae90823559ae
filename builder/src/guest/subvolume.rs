//! Which subvolume of a btrfs is mounted, as the kernel tells in `/proc/PID/mountinfo`.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// The path, within its file system, of the directory that a mount shows: `/@`, or `/`.
pub(super) fn of_mount(directory: &OwnedFd) -> io::Result<Option<String>> {
    let info = fs::read_to_string(format!(
        "/proc/thread-self/fdinfo/{}",
        directory.as_raw_fd()
    ))?;
    let mounts = fs::read_to_string("/proc/thread-self/mountinfo")?;
    Ok(shown(&info, &mounts).map(str::to_owned))
}

fn shown<'a>(fdinfo: &str, mountinfo: &'a str) -> Option<&'a str> {
    let mut fields = fdinfo.lines().filter_map(|line| line.split_once(':'));
    let (_, id) = fields.find(|(name, _)| *name == "mnt_id")?;
    mountinfo
        .lines()
        .map(|line| line.split(' ').collect::<Vec<&str>>())
        .find(|fields| fields.first() == Some(&id.trim()))
        .and_then(|fields| fields.get(3).copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_is_found_by_its_number() {
        let mounts = "3 1 0:2 / / rw - ext4 /dev/a rw\n31 3 0:28 /@ /mnt rw - btrfs /dev/b rw\n";
        assert_eq!(
            shown("pos:\t0\nflags:\t0\nmnt_id:\t31\n", mounts),
            Some("/@")
        );
        assert_eq!(shown("pos:\t0\nmnt_id:\t4\n", mounts), None);
    }
}
