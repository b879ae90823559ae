//! A target of iSCSI, as far as a place that leads to it tells.

use crate::live::survey::BOOT_VOLUME;

/// A target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Target {
    /// Its name, such as `iqn.2004-04.com.example:storage`.
    name: Option<String>,
    /// Where it is reached: an IP address, without brackets, or a host name.
    address: Option<String>,
}

impl Target {
    pub(super) fn new(name: Option<String>, address: Option<String>) -> Self {
        let bare = |address: String| address.trim_matches(['[', ']']).to_owned();
        Self {
            name,
            address: address.map(bare),
        }
    }

    /// By udev's name for a disk: `ip-ADDRESS:PORT-iscsi-NAME-lun-N`.
    pub(super) fn of_path(path: &str) -> Self {
        let Some((portal, disk)) = path
            .strip_prefix("/dev/disk/by-path/ip-")
            .and_then(|path| path.split_once("-iscsi-"))
        else {
            return Self::default();
        };
        let address = portal
            .rsplit_once(':')
            .map_or(portal, |(address, _)| address);
        let name = disk.rsplit_once("-lun-").map_or(disk, |(name, _)| name);
        Self::new(Some(name.to_owned()), Some(address.to_owned()))
    }

    /// By the value of `root=` or `netroot=`, `iscsi:[CREDENTIALS@]SERVER:PROTOCOL:PORT:LUN:NAME`,
    /// of which all but the name may be empty.
    pub(super) fn of_root(value: &str) -> Self {
        let value = value.strip_prefix("iscsi:").unwrap_or(value);
        let value = value.rsplit_once('@').map_or(value, |(_, target)| target);
        let name = ["iqn.", "eui.", "naa."]
            .iter()
            .filter_map(|kind| value.find(kind))
            .min()
            .map(|at| value[at..].to_owned());
        let server = match value
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
        {
            Some((address, _)) => address,
            None => value.split(':').next().unwrap_or_default(),
        };
        let address = Some(server).filter(|server| !server.is_empty());
        Self::new(name, address.map(str::to_owned))
    }

    /// Whether this is where OCI serves the boot volume.
    pub(super) fn is_boot_volume(&self) -> bool {
        let [address, name] = BOOT_VOLUME;
        self.address.as_deref() == Some(address)
            || self
                .name
                .as_deref()
                .is_some_and(|own| own.starts_with(name))
    }

    /// Whether a record with these names in it is of this target, or may be. Discoveries are of all
    /// targets behind an address.
    pub(super) fn has_record(&self, table: &str, names: &[String]) -> bool {
        let says = |wanted: &str| {
            let mut words = names.iter().flat_map(|name| name.split(','));
            words.any(|word| word == wanted)
        };
        match (self.name.as_deref(), self.address.as_deref()) {
            (None, None) => true,
            (Some(name), None) => says(name),
            (None, Some(address)) => says(address),
            (Some(name), Some(_)) if table == "nodes" => says(name),
            (Some(name), Some(address)) => says(name) || says(address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: &str, address: &str) -> Target {
        let told = |value: &str| Some(value.to_owned()).filter(|value| !value.is_empty());
        Target::new(told(name), told(address))
    }

    #[test]
    fn targets_are_read() {
        for (value, expected) in [
            ("iscsi:192.0.2.5::::iqn.x:y", target("iqn.x:y", "192.0.2.5")),
            (
                "iscsi:u:p:in:pw@[2001:db8::5]:6:3260:ens192:eth0:1:eui.0123",
                target("eui.0123", "2001:db8::5"),
            ),
            ("iscsi:@storage:::1:iqn.x", target("iqn.x", "storage")),
            ("iscsi:", Target::default()),
        ] {
            assert_eq!(Target::of_root(value), expected, "{value}");
        }
        let path = "/dev/disk/by-path/ip-192.0.2.5:3260-iscsi-iqn.x:a-lun-b-lun-1-part1";
        assert_eq!(Target::of_path(path), target("iqn.x:a-lun-b", "192.0.2.5"));
        assert_eq!(Target::of_path("/dev/mapper/x"), Target::default());
    }
}
