//! Whether a profile gives DHCP to whichever NIC appears, and the profile that does.
//!
//! `NetworkManager` takes an Ethernet profile with neither `DEVICE` nor `HWADDR` for any Ethernet
//! NIC. Initscripts want a name, which is `eth0` where the kernel's own names are in force.

use super::file::File;
use super::reader::Reader;

/// DHCP for whichever NIC appears, as `NetworkManager` reads it.
pub const ANY_NIC: &str = "\
# DHCP on whichever Ethernet interface appears: neither its name nor its address is known before
# the import.
NAME=dhcp
TYPE=Ethernet
ONBOOT=yes
BOOTPROTO=dhcp
DEFROUTE=yes
PEERDNS=yes
PEERROUTES=yes
IPV4_FAILURE_FATAL=no
IPV6INIT=yes
IPV6_AUTOCONF=yes
IPV6_FAILURE_FATAL=no
";
/// DHCP for the one NIC under its kernel name, as initscripts read it.
pub const ETH0: &str = "\
# DHCP on the only Ethernet interface; initscripts want its name, so it needs net.ifnames=0.
DEVICE=eth0
TYPE=Ethernet
ONBOOT=yes
BOOTPROTO=dhcp
NM_CONTROLLED=no
PEERDNS=yes
PERSISTENT_DHCLIENT=yes
IPV6INIT=yes
";

/// Variables that set an address, a route or a name server, with or without a number behind.
const STATIC: [&str; 22] = [
    "BROADCAST",
    "CLONENUM_START",
    "DNS",
    "DOMAIN",
    "GATEWAY",
    "GATEWAYDEV",
    "IPADDR",
    "IPADDR_END",
    "IPADDR_START",
    "IPV6ADDR",
    "IPV6ADDR_SECONDARIES",
    "IPV6_DEFAULTDEV",
    "IPV6_DEFAULTGW",
    "IPV6_DOMAIN",
    "IPV6_TOKEN",
    "NETMASK",
    "NETWORK",
    "PREFIX",
    "ROUTING_RULE",
    "ROUTING_RULE6_",
    "ROUTING_RULE_",
    "SRCADDR",
];
/// Variables that tie a profile to a device, to another profile or to a user.
const BINDING: [&str; 21] = [
    "BONDING_MASTER",
    "BONDING_OPTS",
    "BRIDGE",
    "BRIDGE_UUID",
    "HWADDR",
    "IEEE_8021X_EAP_METHODS",
    "KEY_MGMT",
    "MASTER",
    "MASTER_UUID",
    "MATCH_DRIVER",
    "MATCH_INTERFACE_NAME",
    "MATCH_KERNEL_COMMAND_LINE",
    "MATCH_PATH",
    "OVS_BRIDGE",
    "PHYSDEV",
    "SUBCHANNELS",
    "TEAM_CONFIG",
    "TEAM_MASTER",
    "TEAM_MASTER_UUID",
    "USERS",
    "VLAN",
];
/// Switches that must not be off, lest the lease or what it brings is left out.
const NEEDED: [&str; 5] = [
    "DEFROUTE",
    "DHCLIENT_SET_DEFAULT_ROUTE",
    "ONBOOT",
    "PEERDNS",
    "PEERROUTES",
];

/// Whether a variable sets an address, a route or a name server.
pub fn is_static(name: &str) -> bool {
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit());
    STATIC.contains(&name) || STATIC.contains(&bare)
}

/// Whether a profile gives DHCP at boot to whichever NIC appears, and nothing else.
pub fn gives_dhcp(file: &File, reader: Reader) -> bool {
    let bound = BINDING.iter().any(|key| file.value(key).is_some());
    let fixed = file
        .assignments
        .iter()
        .any(|assignment| is_static(&assignment.name) && !assignment.value.as_str().is_empty());
    let dynamic = file.says("BOOTPROTO", "dhcp") || file.says("BOOTPROTO", "bootp");
    let ethernet = file.says("TYPE", "Ethernet");
    dynamic
        && !bound
        && !fixed
        && !NEEDED.iter().any(|key| file.is_off(key))
        && !file.is_on("IPV6_FAILURE_FATAL")
        && match reader {
            Reader::NetworkManager => {
                ethernet && file.value("DEVICE").is_none() && !file.is_off("NM_CONTROLLED")
            }
            Reader::Initscripts => {
                (ethernet || file.value("TYPE").is_none())
                    && file.says("DEVICE", "eth0")
                    && !file.suffix.contains([':', '-', '.', ' '])
            }
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::shell_vars;

    fn file(suffix: &str, text: &str) -> File {
        File {
            path: format!("/{suffix}").as_str().into(),
            suffix: suffix.to_owned(),
            assignments: shell_vars::assignments(text),
            text: text.to_owned(),
            legacy: false,
        }
    }

    #[test]
    fn profiles_that_do_and_that_do_not() {
        use Reader::{Initscripts, NetworkManager};
        let with = |text: &str, more: &str| format!("{text}{more}");
        for (reader, text, enough) in [
            (NetworkManager, ANY_NIC.to_owned(), true),
            (Initscripts, ANY_NIC.to_owned(), false),
            (NetworkManager, ETH0.to_owned(), false),
            (Initscripts, ETH0.to_owned(), true),
            (
                NetworkManager,
                "TYPE=\"Ethernet\" \nexport BOOTPROTO='dhcp'\n".to_owned(),
                true,
            ),
            (NetworkManager, "BOOTPROTO=dhcp\n".to_owned(), false),
            (NetworkManager, with(ANY_NIC, "UUID=1\nMTU=9000\n"), true),
            (NetworkManager, with(ANY_NIC, "DEVICE=ens3\n"), false),
            (NetworkManager, with(ANY_NIC, "DEVICE=\n"), true),
            (NetworkManager, with(ANY_NIC, "HWADDR=x\n"), false),
            (NetworkManager, with(ANY_NIC, "ONBOOT=no\n"), false),
            (NetworkManager, with(ANY_NIC, "NM_CONTROLLED=no\n"), false),
            (NetworkManager, with(ANY_NIC, "IPADDR1=10.0.0.5\n"), false),
            (NetworkManager, with(ANY_NIC, "DNS1=10.0.0.5\n"), false),
            (NetworkManager, with(ANY_NIC, "DEFROUTE=no\n"), false),
            (NetworkManager, with(ANY_NIC, "MASTER=bond0\n"), false),
            (
                NetworkManager,
                with(ANY_NIC, "MATCH_PATH=pci-0000:00:03.0\n"),
                false,
            ),
            (NetworkManager, with(ANY_NIC, "BOOTPROTO=none\n"), false),
            (NetworkManager, with(ANY_NIC, "TYPE=Bond\n"), false),
            (
                Initscripts,
                "DEVICE=eth0\nBOOTPROTO=dhcp\n".to_owned(),
                true,
            ),
            (
                Initscripts,
                "DEVICE=eth1\nBOOTPROTO=dhcp\n".to_owned(),
                false,
            ),
            (Initscripts, "BOOTPROTO=dhcp\n".to_owned(), false),
        ] {
            assert_eq!(
                gives_dhcp(&file("x", &text), reader),
                enough,
                "{reader:?} {text}"
            );
        }
        for suffix in ["eth0:1", "eth0-range0", "eth0.old"] {
            assert!(!gives_dhcp(&file(suffix, ETH0), Initscripts), "{suffix}");
        }
    }

    #[test]
    fn static_variables_may_have_numbers() {
        for name in [
            "IPADDR",
            "IPADDR0",
            "PREFIX12",
            "GATEWAY1",
            "DNS2",
            "ROUTING_RULE_0",
        ] {
            assert!(is_static(name), "{name}");
        }
        for name in ["IPADDRESS", "PEERDNS", "IPV6INIT", "MTU", "NETWORKING"] {
            assert!(!is_static(name), "{name}");
        }
    }
}
