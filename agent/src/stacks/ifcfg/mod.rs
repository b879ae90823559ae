//! Red Hat's ifcfg files, as initscripts and `NetworkManager` read them.
//!
//! Every `/etc/sysconfig/network-scripts/ifcfg-*` is a profile: a list of shell assignments
//! (initscripts' `sysconfig.txt`, nm-settings-ifcfg-rh(5)). Files of the same suffix hold its
//! routes, rules and secrets and go with it. A profile for a NIC, or for what lies on one, goes as
//! a whole file; one for whichever NIC appears comes in its place, see `dhcp`.

mod address;
mod device;
mod dhcp;
mod dhcp_identity;
mod file;
mod global;
mod mac;
mod name;
mod profile;
mod reader;

use super::device::Devices;
use super::{Answer, Aspect, Stack, in_charge};
use crate::error::Error;
use crate::facts::NetworkStack;
use crate::guest::Guest;
use crate::root::GuestPath;

use file::File;
use reader::Reader;

/// Where the profiles are.
const DIR: &str = "/etc/sysconfig/network-scripts";

/// The stack.
#[derive(Debug, Clone, Copy)]
pub struct Ifcfg;

impl Stack for Ifcfg {
    fn kind(&self) -> NetworkStack {
        NetworkStack::Ifcfg
    }

    fn has_profile(&self, guest: &Guest<'_>) -> Result<bool, Error> {
        let config = Config::read(guest)?;
        Ok(config.reader.is_some() && config.nics().next().is_some())
    }

    fn answer(&self, aspect: Aspect) -> Answer {
        match aspect {
            Aspect::Mac => Answer::new(mac::check, mac::fix),
            Aspect::Address => Answer::new(address::check, address::fix),
            Aspect::Name => Answer::new(name::check, name::fix),
            Aspect::Dhcp => Answer::new(dhcp::check, dhcp::fix),
            Aspect::DhcpIdentity => Answer::new(dhcp_identity::check, dhcp_identity::fix),
        }
    }
}

/// The configuration of a guest.
#[derive(Debug)]
struct Config {
    files: Vec<File>,
    devices: Devices,
    reader: Option<Reader>,
    is_present: bool,
}

impl Config {
    /// Reads the configuration with what is drafted so far. A guest without ifcfg files has none.
    fn read(guest: &Guest<'_>) -> Result<Self, Error> {
        let present = guest.facts().network_stacks.contains(&NetworkStack::Ifcfg);
        let (reader, files) = if present {
            let reader = reader::reader(guest)?;
            (reader, file::read_all(guest, reader)?)
        } else {
            (None, Vec::new())
        };
        Ok(Self {
            devices: device::devices(&files),
            files,
            reader,
            is_present: present,
        })
    }

    /// The profiles for a NIC, for what lies on one, or for whichever NIC appears.
    fn nics(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| self.is_nic(file))
    }

    fn is_nic(&self, file: &File) -> bool {
        self.devices
            .device(&device::id(file, &self.files))
            .is_replaced()
    }

    /// The profile that gives DHCP to whichever NIC appears, if this stack is in charge: the first
    /// one that does.
    fn kept(&self, guest: &Guest<'_>) -> Result<Option<&File>, Error> {
        if in_charge(guest)? != Some(NetworkStack::Ifcfg) {
            return Ok(None);
        }
        Ok(self.reader.and_then(|reader| {
            self.files
                .iter()
                .find(|file| !file.legacy && profile::gives_dhcp(file, reader))
        }))
    }

    /// The profiles for NICs that go: all but the one that gives DHCP to whichever NIC appears.
    fn replaced(&self, guest: &Guest<'_>) -> Result<Vec<&File>, Error> {
        let kept = self.kept(guest)?.map(|file| &file.path);
        let nics = self.nics().filter(|file| Some(&file.path) != kept);
        Ok(nics.collect())
    }

    /// Whether the routes, rules or secrets of this suffix are about a NIC.
    fn is_nic_suffix(&self, suffix: &str) -> bool {
        let mut own = self.files.iter().filter(|file| file.suffix == suffix);
        match own.next() {
            Some(file) => self.is_nic(file),
            None => self.devices.device(suffix).is_replaced(),
        }
    }
}

/// Drafts that profiles go, each with the files that belong to it.
fn remove(guest: &mut Guest<'_>, profiles: &[&File]) -> Result<(), Error> {
    for file in profiles {
        guest.remove(&file.path)?;
        if let Some(dir) = file.path.parent() {
            for kind in file::SIBLINGS {
                guest.remove(&dir.join(format!("{kind}{}", file.suffix)))?;
            }
        }
    }
    Ok(())
}

/// Drafts a text, if it is another one than before.
fn rewrite(guest: &mut Guest<'_>, path: &GuestPath, old: &str, new: &str) -> Result<(), Error> {
    if new == old {
        return Ok(());
    }
    guest.write_text(path, new)
}

#[cfg(test)]
mod tests {
    use super::profile::{ANY_NIC, ETH0};
    use crate::rules::Rule;
    use crate::rules::fixture::Fixture;
    use crate::rules::net_dhcp_identity::NetDhcpIdentity;
    use crate::rules::net_mac::NetMac;
    use crate::rules::net_name_pinned::NetNamePinned;
    use crate::rules::net_no_dhcp::NetNoDhcp;
    use crate::rules::net_static::NetStatic;
    use proptest::prelude::*;

    const ALL: [&dyn Rule; 5] = [
        &NetMac,
        &NetStatic,
        &NetNamePinned,
        &NetNoDhcp,
        &NetDhcpIdentity,
    ];
    const EL6: (&str, &str) = ("/etc/redhat-release", "CentOS release 6.10 (Final)\n");
    const EL7: (&str, &str) = (
        "/etc/os-release",
        "ID=\"ol\"\nID_LIKE=\"fedora\"\nVERSION_ID=\"7.9\"\n",
    );
    const LO: &str = "DEVICE=lo\nIPADDR=127.0.0.1\nNETMASK=255.0.0.0\nONBOOT=yes\nNAME=loopback\n";
    const STATIC: &str = "TYPE=\"Ethernet\"\nBOOTPROTO=\"none\"\nDEVICE=\"ens192\"\n\
        HWADDR=00:50:56:8a:3c:d1\nONBOOT=\"yes\"\nIPADDR=\"192.168.77.41\"\nPREFIX=\"24\"\n\
        GATEWAY=\"192.168.77.1\"\nDNS1=\"192.168.77.2\"\n";

    fn scripts(name: &str) -> String {
        format!("/etc/sysconfig/network-scripts/{name}")
    }

    /// A fixture of files in the directory of the profiles, and of others with their full paths.
    fn fixture(release: (&str, &str), files: &[(&str, &str)]) -> Fixture {
        let mut all = vec![(release.0.to_owned(), release.1)];
        for (name, text) in files {
            let path = match name.strip_prefix('/') {
                Some(_) => (*name).to_owned(),
                None => scripts(name),
            };
            all.push((path, text));
        }
        let all: Vec<_> = all
            .iter()
            .map(|(path, text)| (path.as_str(), *text))
            .collect();
        Fixture::new(&all)
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn everything_on_a_nic_gives_way_to_one_profile() {
        for (files, gone) in [
            (vec![("ifcfg-ens192", STATIC)], vec!["ifcfg-ens192"]),
            (
                vec![
                    (
                        "ifcfg-Wired connection 1",
                        "TYPE=Ethernet\nHWADDR=00:50:56:8A:3C:D1\nBOOTPROTO=dhcp\nDEFROUTE=no\n",
                    ),
                    ("keys-Wired connection 1", "IEEE_8021X_PASSWORD=secret\n"),
                ],
                vec!["ifcfg-Wired connection 1", "keys-Wired connection 1"],
            ),
            (
                vec![
                    (
                        "ifcfg-bond0",
                        "DEVICE=bond0\nBONDING_OPTS='mode=1'\nIPADDR=10.0.0.5\n",
                    ),
                    (
                        "ifcfg-em1",
                        "DEVICE=em1\nMASTER=bond0\nSLAVE=yes\nBOOTPROTO=none\n",
                    ),
                    ("ifcfg-em2", "DEVICE=em2\nMASTER=bond0\nSLAVE=yes\n"),
                    (
                        "ifcfg-bond0.100",
                        "DEVICE=bond0.100\nVLAN=yes\nBRIDGE=br100\n",
                    ),
                    (
                        "ifcfg-br100",
                        "DEVICE=br100\nTYPE=Bridge\nIPADDR=10.1.0.5\n",
                    ),
                    ("ifcfg-bond0:1", "DEVICE=bond0:1\nIPADDR=10.0.0.6\n"),
                    (
                        "ifcfg-bond0-range0",
                        "IPADDR_START=10.0.0.7\nIPADDR_END=10.0.0.9\n",
                    ),
                    ("route-bond0", "10.9.0.0/16 via 10.0.0.1\n"),
                    ("rule6-bond0", "from fd00::1 table 5\n"),
                ],
                vec![
                    "ifcfg-bond0",
                    "ifcfg-em1",
                    "ifcfg-em2",
                    "ifcfg-bond0.100",
                    "ifcfg-br100",
                    "ifcfg-bond0:1",
                    "ifcfg-bond0-range0",
                    "route-bond0",
                    "rule6-bond0",
                ],
            ),
            (
                vec![
                    ("ifcfg-team0", "DEVICE=team0\nDEVICETYPE=Team\nUUID=4d2b\n"),
                    (
                        "ifcfg-port",
                        "NAME=port\nDEVICE=eth1\nTEAM_MASTER_UUID=4d2b\n",
                    ),
                    ("ifcfg-lan", "TYPE=Bridge\nDEVICE=lan\nSTP=yes\n"),
                    ("ifcfg-eth2", "DEVICE=eth2\nBRIDGE=lan\n"),
                    (
                        "ifcfg-super",
                        "TYPE=Vlan\nDEVICE=super\nPHYSDEV=eth2\nVLAN_ID=4\n",
                    ),
                    (
                        "ifcfg-ib0",
                        "TYPE=InfiniBand\nDEVICE=ib0\nIPADDR=10.3.0.1\n",
                    ),
                    ("ifcfg-eth0-old", "DEVICE=eth0\nBOOTPROTO=dhcp\n"),
                    ("route-eth9", "ADDRESS0=10.9.0.0\nNETMASK0=255.255.0.0\n"),
                    ("keys-eth9", "KEY=secret\n"),
                    (
                        "/etc/sysconfig/networking/devices/ifcfg-eth0",
                        "DEVICE=eth0\nIPADDR=10.0.0.5\n",
                    ),
                    (
                        "/etc/sysconfig/networking/profiles/default/ifcfg-eth0",
                        "DEVICE=eth0\n",
                    ),
                ],
                vec![
                    "ifcfg-team0",
                    "ifcfg-port",
                    "ifcfg-lan",
                    "ifcfg-eth2",
                    "ifcfg-super",
                    "ifcfg-ib0",
                    "ifcfg-eth0-old",
                    "route-eth9",
                    "keys-eth9",
                    "/etc/sysconfig/networking/devices/ifcfg-eth0",
                    "/etc/sysconfig/networking/profiles/default/ifcfg-eth0",
                ],
            ),
        ] {
            let fixture = fixture(EL7, &[files.as_slice(), &[("ifcfg-lo", LO)]].concat());
            fixture.fix(&ALL);
            for name in gone {
                let path = if name.starts_with('/') {
                    name.to_owned()
                } else {
                    scripts(name)
                };
                assert!(!fixture.has(&path), "{name}");
            }
            assert_eq!(
                fixture.text(&scripts("ifcfg-dhcp")).as_deref(),
                Some(ANY_NIC)
            );
            assert_eq!(fixture.text(&scripts("ifcfg-lo")).as_deref(), Some(LO));
        }
    }

    #[test]
    fn what_has_nothing_to_do_with_a_nic_stays() {
        let files = [
            ("ifcfg-lo", LO),
            (
                "ifcfg-virbr0",
                "DEVICE=virbr0\nTYPE=Bridge\nIPADDR=192.168.122.1\nPREFIX=24\n",
            ),
            ("ifcfg-br0", "DEVICE=br0\nTYPE=Bridge\nBOOTPROTO=none\n"),
            ("ifcfg-tap0", "DEVICE=tap0\nTYPE=Tap\nBRIDGE=br0\n"),
            (
                "ifcfg-dummy0",
                "DEVICE=dummy0\nIPADDR=10.254.0.1\nPREFIX=32\n",
            ),
            (
                "ifcfg-tun6to4",
                "DEVICE=sit1\nTYPE=SIT\nIPV6ADDR=2002::1/16\n",
            ),
            ("ifcfg-home", "TYPE=Wireless\nESSID=home\nBOOTPROTO=dhcp\n"),
            ("route-virbr0", "10.7.0.0/16 via 192.168.122.9\n"),
            ("keys-home", "WPA_PSK=secret\n"),
            ("ifcfg-ens192.bak", "DEVICE=ens192\nIPADDR=10.0.0.5\n"),
            (
                "ifup-local",
                "#!/bin/sh\nip route add 10.0.0.0/8 via 10.0.0.1\n",
            ),
            (
                "/etc/sysconfig/network",
                "# made by anaconda\nNETWORKING=yes\nHOSTNAME=db7\n",
            ),
        ];
        let fixture = fixture(
            EL7,
            &[files.as_slice(), &[("ifcfg-ens192", STATIC)]].concat(),
        );
        fixture.fix(&ALL);
        for (name, text) in files {
            let path = if name.starts_with('/') {
                name.to_owned()
            } else {
                scripts(name)
            };
            assert_eq!(fixture.text(&path).as_deref(), Some(text), "{name}");
        }
        assert!(!fixture.has(&scripts("ifcfg-ens192")));
    }

    #[test]
    fn a_profile_for_any_nic_is_enough() {
        let own = "# ours\nTYPE=Ethernet\nNAME=uplink\nBOOTPROTO=dhcp\nONBOOT=yes\n";
        for text in [own.to_owned(), format!("{own}HWADDR=00:50:56:8a:3c:d1\n")] {
            let fixture = fixture(
                EL7,
                &[
                    ("ifcfg-uplink", &text),
                    ("ifcfg-z", own),
                    ("route-uplink", "10.9.0.0/16 via 10.0.0.1\n"),
                ],
            );
            fixture.fix(&ALL);
            assert_eq!(fixture.text(&scripts("ifcfg-uplink")).as_deref(), Some(own));
            for gone in ["ifcfg-z", "ifcfg-dhcp", "route-uplink"] {
                assert!(!fixture.has(&scripts(gone)), "{gone}");
            }
        }
    }

    #[test]
    fn initscripts_get_eth0_and_the_kernel_names_it() {
        let grub = "title CentOS\n\tkernel /vmlinuz-2.6.32 ro root=/dev/sda1 quiet\n\tinitrd /i\n";
        let fixture = fixture(
            EL6,
            &[
                (
                    "ifcfg-eth0",
                    "DEVICE=eth0\nHWADDR=00:50:56:8A:3C:D1\nIPADDR=10.0.0.5\n",
                ),
                ("ifcfg-eth0.rpmsave", "DEVICE=eth0\nIPADDR=10.0.0.5\n"),
                ("/boot/grub/grub.conf", grub),
                (
                    "/etc/sysconfig/network",
                    "NETWORKING=no\nGATEWAY=10.0.0.1\nGATEWAYDEV=eth0\n",
                ),
                (
                    "/etc/sysconfig/static-routes",
                    "any net 10.9.0.0/16 gw 10.0.0.1\nvirbr0 net x\n",
                ),
            ],
        );
        assert_eq!(
            fixture.open(&NetStatic),
            [
                "/etc/sysconfig/network-scripts/ifcfg-eth0:3",
                "/etc/sysconfig/network:2",
                "/etc/sysconfig/network:3",
                "/etc/sysconfig/static-routes:1",
            ]
        );
        fixture.fix(&ALL);
        for (path, text) in [
            (scripts("ifcfg-eth0").as_str(), ETH0),
            (
                "/boot/grub/grub.conf",
                "title CentOS\n\tkernel /vmlinuz-2.6.32 ro root=/dev/sda1 quiet net.ifnames=0 biosdevname=0\n\tinitrd /i\n",
            ),
            ("/etc/sysconfig/network", "NETWORKING=yes\n"),
            ("/etc/sysconfig/static-routes", "virbr0 net x\n"),
        ] {
            assert_eq!(fixture.text(path).as_deref(), Some(text), "{path}");
        }
        assert!(fixture.has(&scripts("ifcfg-eth0.rpmsave")));
    }

    #[test]
    fn a_bare_tree_for_initscripts_has_no_command_line_to_change() {
        let plain = "DEVICE=eth0\nBOOTPROTO=dhcp\nONBOOT=yes\n";
        let network = ("/etc/sysconfig/network", "NETWORKING=yes\n");
        let fixture = fixture(EL6, &[("ifcfg-eth0", plain), network]);
        for rule in ALL {
            assert_eq!(fixture.open(rule), Vec::<String>::new());
        }
        fixture.fix(&ALL);
        assert_eq!(fixture.text(&scripts("ifcfg-eth0")).as_deref(), Some(plain));
    }

    #[test]
    fn a_link_to_a_legacy_copy_goes_with_it() {
        let copy = "/etc/sysconfig/networking/devices/ifcfg-eth0";
        let fixture = fixture(
            EL6,
            &[
                ("ifcfg-eth0", "-> ../networking/devices/ifcfg-eth0"),
                (copy, "DEVICE=eth0\nIPADDR=10.0.0.5\n"),
            ],
        );
        fixture.fix(&ALL);
        assert!(!fixture.has(&scripts("ifcfg-eth0")) && !fixture.has(copy));
        assert_eq!(fixture.text(&scripts("ifcfg-dhcp")).as_deref(), Some(ETH0));
    }

    #[test]
    fn each_rule_alone_leaves_a_network() {
        for rule in ALL {
            let fixture = fixture(EL7, &[("ifcfg-ens192", STATIC), ("ifcfg-lo", LO)]);
            fixture.fix(&[rule]);
            let left = fixture.has(&scripts("ifcfg-ens192")) || fixture.has(&scripts("ifcfg-dhcp"));
            assert!(left, "{}", rule.meta().id);
        }
    }

    #[test]
    fn a_stack_that_is_not_in_charge_gets_no_profile() {
        let wants = "/etc/systemd/system/multi-user.target.wants/NetworkManager.service";
        let keyfiles = (
            "/etc/NetworkManager/NetworkManager.conf",
            "[main]\nplugins=keyfile\n",
        );
        let fixture = fixture(
            EL7,
            &[
                ("ifcfg-ens192", STATIC),
                (wants, "-> /usr/lib/systemd/system/NetworkManager.service"),
                keyfiles,
            ],
        );
        fixture.fix_once(&ALL);
        assert!(!fixture.has(&scripts("ifcfg-ens192")));
        assert!(!fixture.has(&scripts("ifcfg-dhcp")));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn any_profiles_are_fixed_for_good(
            first in "((DEVICE|TYPE|BOOTPROTO|MASTER|BRIDGE|HWADDR|IPADDR|ONBOOT|VLAN|PHYSDEV|UUID|#x)(=|\\+=)['\"]?(eth0|br0|eth0\\.5|Bridge|Ethernet|dhcp|no|yes|00:50:56:8a:3c:d1|10\\.0\\.0\\.5|)['\"]?\n?){0,8}",
            second in "((DEVICE|TYPE|BRIDGE|MASTER|PHYSDEV|DNS1)=(eth0|br0|Bridge|lo|wlan0|1)\n){0,5}",
            names in prop::sample::subsequence(vec!["ifcfg-eth0", "ifcfg-br0", "ifcfg-eth0:1", "ifcfg-a b", "route-eth0", "keys-br0"], 0..5),
            release in prop::sample::select(vec![EL6, EL7]),
        ) {
            let texts = [first.as_str(), second.as_str()];
            let files: Vec<_> = names.iter().copied().zip(texts.into_iter().cycle()).collect();
            let fixture = fixture(release, &[files.as_slice(), &[("ifcfg-lo", LO)]].concat());
            fixture.fix(&ALL);
        }
    }
}
