#![allow(
    clippy::disallowed_methods,
    reason = "netplan itself judges what is left, in a test's own directory"
)]

use std::process::Command;

use proptest::prelude::*;

use crate::finding::Severity;
use crate::rules::Rule;
use crate::rules::fixture::Fixture;
use crate::rules::net_dhcp_identity::NetDhcpIdentity;
use crate::rules::net_mac::NetMac;
use crate::rules::net_name_pinned::NetNamePinned;
use crate::rules::net_no_dhcp::NetNoDhcp;
use crate::rules::net_static::NetStatic;

const ALL: [&dyn Rule; 5] = [
    &NetMac,
    &NetStatic,
    &NetNamePinned,
    &NetNoDhcp,
    &NetDhcpIdentity,
];
const FILE: &str = "/etc/netplan/50-cloud-init.yaml";
const OURS: &str = "/etc/netplan/01-dhcp-any-nic.yaml";
const NETWORKD: &str = "\
# DHCP on whichever Ethernet interface appears: its name is not known before the import.
network:
  version: 2
  renderer: networkd
  ethernets:
    any-nic:
      match:
        name: \"e*\"
      dhcp4: true
      dhcp6: true
      dhcp-identifier: mac
";
const CLOUD_INIT: &str = "\
# This file is generated from information provided by the datasource.
network:
    ethernets:
        ens160:
            addresses:
            - 192.0.2.10/24
            match:
                macaddress: 00:50:56:ab:cd:ef
            nameservers:
                addresses: [192.0.2.53]
            routes:
            -   to: default
                via: 192.0.2.1
            set-name: ens160
    version: 2
";

fn fixture(files: &[(&str, &str)]) -> Fixture {
    let release = ("/etc/os-release", "ID=ubuntu\nVERSION_ID=\"22.04\"\n");
    Fixture::new(&[&[release], files].concat())
}

/// What netplan says against a guest; `None` where it is content or not installed.
fn objection(fixture: &Fixture) -> Option<String> {
    let root = fixture.with(|guest| guest.root().host_path().to_owned());
    let Ok(run) = Command::new("netplan")
        .arg("generate")
        .arg("--root-dir")
        .arg(&root)
        .output()
    else {
        eprintln!("skipped: netplan is not installed");
        return None;
    };
    std::fs::remove_dir_all(root.join("run")).ok();
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    if said.contains("The 'ovs-vsctl' tool is required") {
        eprintln!("skipped: Open vSwitch is not installed");
        return None;
    }
    (!run.status.success()).then_some(said)
}

#[test]
fn definitions_of_nics_go_and_the_rest_stays() {
    for (before, after) in [
        (CLOUD_INIT, None),
        // What refers to a NIC goes with it; what is virtual stays.
        (
            "network:\n  version: 2\n  # the uplinks\n  ethernets:\n    ens3: {}\n    ens4:\n      dhcp4: no\n\n  \
             # bond\n  bonds:\n    bond0:\n      interfaces: [ens3, ens4]\n      parameters: {primary: ens3}\n  \
             vlans:\n    servers: {id: 7, link: bond0, addresses: [192.0.2.7/24]}\n  bridges:\n    \
             # with a port\n    br0:\n      interfaces: [servers]\n\n    # without\n    br1:\n      addresses: [10.9.0.1/24] # lab\n  \
             vrfs:\n    mgmt: {table: 9, interfaces: [br0]}\n  tunnels: {sit1: {mode: sit, local: 10.0.0.1, remote: 10.0.0.2}}\n",
            Some(
                "network:\n  version: 2\n  bridges:\n\n    # without\n    br1:\n      addresses: [10.9.0.1/24] # lab\n  \
                 tunnels: {sit1: {mode: sit, local: 10.0.0.1, remote: 10.0.0.2}}\n",
            ),
        ),
        // In brackets.
        (
            "{\"network\": {\"version\": 2, \"ethernets\": {\"eth0\": {\"dhcp4\": true}, \"lo\": {\"addresses\": [\"10.0.0.1/32\"]}}, \"bonds\": {\"b\": {\"interfaces\": [\"eth0\"]}}}}\n",
            Some(
                "{\"network\": {\"version\": 2, \"ethernets\": {\"lo\": {\"addresses\": [\"10.0.0.1/32\"]}}}}\n",
            ),
        ),
        // A wireless interface loses its MAC, and the match that would take all.
        (
            "network:\r\n  wifis:\r\n    wl:\r\n      match: {macaddress: \"00:50:56:ab:cd:ef\"}\r\n      set-name: wlan0\r\n      dhcp4: yes\r\n      \
             access-points:\r\n        home: {password: secret12}\r\n",
            Some(
                "network:\r\n  wifis:\r\n    wl:\r\n      dhcp4: yes\r\n      access-points:\r\n        home: {password: secret12}\r\n",
            ),
        ),
        (
            "network:\n  bridges:\n    br0:\n      macaddress: 525400123456\n      dhcp4: no\n    br1: {macaddress: 52:54:00:12:34:56}\n  \
             ethernets:\n    lo:\n      match: {name: lo}\n",
            Some(
                "network:\n  bridges:\n    br0:\n      dhcp4: no\n    br1: {}\n  \
                 ethernets:\n    lo:\n      match: {name: lo}\n",
            ),
        ),
        // What a definition that stays takes from one that goes.
        (
            "network:\n  ethernets:\n    eth0: &base\n      macaddress: 52:54:00:12:34:56\n      nameservers: &dns\n        addresses: [192.0.2.53, 2001:db8::1]\n  \
             bridges:\n    br0:\n      nameservers: *dns\n    br1: *base\n",
            Some(
                "network:\n  bridges:\n    br0:\n      nameservers: &dns {addresses: [192.0.2.53, \"2001:db8::1\"]}\n    br1: &base {nameservers: {addresses: [192.0.2.53, \"2001:db8::1\"]}}\n",
            ),
        ),
        // Bridges that are patched together are one.
        (
            "network:\n  openvswitch:\n    ports:\n      - [a0, a1]\n      - [b0, b1]\n  ethernets: {eth0: {}}\n  bridges:\n    ovs0: {interfaces: [eth0, a0]}\n    ovs1: {interfaces: [a1]}\n    \
             ovs2: {interfaces: [b0], openvswitch: {}}\n    ovs3: {interfaces: [b1], openvswitch: {}}\n",
            Some(
                "network:\n  openvswitch:\n    ports:\n      - [b0, b1]\n  bridges:\n    \
                 ovs2: {interfaces: [b0], openvswitch: {}}\n    ovs3: {interfaces: [b1], openvswitch: {}}\n",
            ),
        ),
        // NetworkManager's own.
        (
            "network:\n  nm-devices:\n    NM-1:\n      renderer: NetworkManager\n      networkmanager:\n        passthrough:\n          connection.type: vpn\n          \
             ipv4.dhcp-client-id: \"01:23\"\n          ethernet.cloned-mac-address: 52:54:00:12:34:56\n    NM-2:\n      renderer: NetworkManager\n      networkmanager:\n        passthrough:\n          \
             connection.type: team\n    NM-3:\n      renderer: NetworkManager\n      networkmanager: {passthrough: {connection.type: vlan, vlan.parent: ens3}}\n",
            Some(
                "network:\n  nm-devices:\n    NM-1:\n      renderer: NetworkManager\n      networkmanager:\n        passthrough:\n          connection.type: vpn\n",
            ),
        ),
        // Two documents, a section's renderer, odd names.
        (
            "---\nnetwork:\n  ethernets:\n    renderer: networkd\n    \"ens3\": {dhcp4: yes}\n    lan: {match: {name: 'en*'}}\n    dark: {match: {driver: ixgbe}}\n...\n---\nnetwork:\n  ethernets:\n    eth0: {}\n",
            None,
        ),
    ] {
        let fixture = fixture(&[(FILE, before)]);
        fixture.fix(&ALL);
        assert_eq!(fixture.text(FILE).as_deref(), after, "{before}");
        assert!(fixture.text(OURS).is_some(), "{before}");
        assert_eq!(objection(&fixture), None, "{before}");
    }
}

#[test]
fn one_definition_is_written_in_the_place_of_the_last() {
    let fixture = fixture(&[(FILE, CLOUD_INIT)]);
    for rule in [&NetMac as &dyn Rule, &NetStatic, &NetNamePinned, &NetNoDhcp] {
        assert!(!fixture.open(rule).is_empty(), "{}", rule.meta().id);
    }
    fixture.fix(&ALL);
    assert_eq!(fixture.text(OURS).as_deref(), Some(NETWORKD));
    assert!(!fixture.has(FILE));
}

#[test]
fn every_rule_works_alone() {
    let second = "network:\n  ethernets:\n    ens4: {dhcp4: yes}\n";
    for (rule, files, gone, written) in [
        (&NetMac as &dyn Rule, vec![(FILE, CLOUD_INIT)], true, true),
        (&NetStatic, vec![(FILE, CLOUD_INIT)], true, true),
        (&NetNamePinned, vec![(FILE, CLOUD_INIT)], true, true),
        (&NetNoDhcp, vec![(FILE, CLOUD_INIT)], false, true),
        // Another NIC has its own definition still.
        (
            &NetStatic,
            vec![(FILE, CLOUD_INIT), ("/etc/netplan/60.yaml", second)],
            true,
            false,
        ),
    ] {
        let fixture = fixture(&files);
        fixture.fix(&[rule]);
        assert_eq!(!fixture.has(FILE), gone, "{}", rule.meta().id);
        assert_eq!(fixture.has(OURS), written, "{}", rule.meta().id);
        assert_eq!(objection(&fixture), None);
    }
}

#[test]
fn what_gives_dhcp_to_any_nic_is_enough() {
    let kernel_names = ("/etc/default/grub", "GRUB_CMDLINE_LINUX=net.ifnames=0\n");
    let other = ("/etc/hostname", "x\n");
    for (definitions, grub, enough) in [
        (
            "any: {match: {name: \"e*\"}, dhcp4: true, optional: true}",
            other,
            true,
        ),
        (
            "a: {match: {name: en*}, dhcp4: yes}\n    b: {match: {name: 'eth[0-9]'}, dhcp4: yes}",
            other,
            true,
        ),
        ("any: {match: {name: en*}, dhcp4: true}", other, false),
        ("any: {match: {name: '*'}, dhcp4: true}", other, false),
        ("any: {match: {}, dhcp4: true}", other, false),
        (
            "any: {match: {}, dhcp4: true, renderer: NetworkManager}",
            other,
            true,
        ),
        ("any: {match: {name: e*}, dhcp4: no}", other, false),
        (
            "any: {match: {name: e*, driver: vmxnet3}, dhcp4: yes}",
            other,
            false,
        ),
        (
            "any: {match: {name: e*}, dhcp4: yes, dhcp4-overrides: {use-routes: false}}",
            other,
            false,
        ),
        (
            "any: {match: {name: e*}, dhcp4: yes, addresses: [10.0.0.1/8]}",
            other,
            false,
        ),
        ("eth0: {dhcp4: yes}", other, false),
        ("eth0: {dhcp4: yes}", kernel_names, true),
    ] {
        let text = format!("network:\n  version: 2\n  ethernets:\n    {definitions}\n");
        let fixture = fixture(&[(FILE, &text), grub]);
        assert_eq!(fixture.open(&NetNoDhcp).is_empty(), enough, "{text}");
        assert_eq!(fixture.open(&NetNamePinned).is_empty(), enough, "{text}");
        fixture.fix(&ALL);
        assert_eq!(fixture.text(FILE), enough.then_some(text.clone()), "{text}");
        assert_eq!(fixture.has(OURS), !enough, "{text}");
    }
}

#[test]
fn the_renderer_in_force_stays() {
    let manager = (
        "/lib/netplan/00-network-manager-all.yaml",
        "network: {version: 2, renderer: NetworkManager}\n",
    );
    let nic = "network:\n  ethernets:\n    ens3: {dhcp4: yes}\n";
    let wifi = "network:\n  renderer: NetworkManager\n  ethernets:\n    ens3: {}\n";
    let own = "network:\n  ethernets:\n    ens3: {renderer: NetworkManager}\n  tunnels: {}\n";
    for (files, global, matching) in [
        (
            vec![(FILE, nic)],
            "  renderer: networkd\n  ethernets:",
            "name: \"e*\"",
        ),
        (
            vec![(FILE, nic), manager],
            "  renderer: NetworkManager\n  ethernets:",
            "match: {}",
        ),
        (
            vec![(FILE, wifi)],
            "  renderer: NetworkManager\n  ethernets:",
            "match: {}",
        ),
        (
            vec![(FILE, own)],
            "  version: 2\n  ethernets:",
            "      renderer: NetworkManager\n      match: {}",
        ),
    ] {
        let fixture = fixture(&files);
        fixture.fix(&ALL);
        let written = fixture.text(OURS).unwrap();
        assert!(
            written.contains(global) && written.contains(matching),
            "{files:?}\n{written}"
        );
        assert_eq!(fixture.has(manager.0), files.contains(&manager));
        assert_eq!(objection(&fixture), None, "{written}");
    }
}

#[test]
fn files_that_netplan_refuses() {
    for (broken, after) in [
        ("network:\n\tversion: 2\n", None),
        ("network: [\n", None),
        ("- network\n", None),
        ("netwrok: {}\n", None),
        ("network:\n  ethernets: [ens3]\n", None),
        ("network:\n", None),
        (
            "network:\n  version: 2\n  ethernets:\n  bridges: {br0: {}}\n",
            Some("network:\n  version: 2\n  bridges: {br0: {}}\n"),
        ),
        (
            "network:\n  bridges:\n    br0: {interfaces: [tap0]}\n    br1: {}\n",
            Some("network:\n  bridges:\n    br1: {}\n"),
        ),
    ] {
        let fixture = fixture(&[(FILE, CLOUD_INIT), ("/etc/netplan/99.yaml", broken)]);
        let found = fixture.check(&NetNoDhcp);
        assert!(
            found
                .iter()
                .any(|defect| defect.message.contains("refuses")),
            "{broken}"
        );
        fixture.fix(&ALL);
        assert_eq!(
            fixture.text("/etc/netplan/99.yaml").as_deref(),
            after,
            "{broken}"
        );
        assert_eq!(objection(&fixture), None, "{broken}");
    }
    // In a guest where ifupdown is in charge nobody minds.
    let fixture = fixture(&[
        (
            "/etc/network/interfaces",
            "auto eth0\niface eth0 inet dhcp\n",
        ),
        (FILE, "network: [\n"),
        ("/etc/netplan/99.yaml", "network: [52:54:00:12:34:56\n"),
    ]);
    fixture.fix(&ALL);
    assert!(fixture.has(FILE) && !fixture.has(OURS) && !fixture.has("/etc/netplan/99.yaml"));
}

#[test]
fn hidden_files_and_clashing_names() {
    let ours = "network:\n  bridges:\n    any-nic: {}\n";
    let fixture = fixture(&[
        (
            "/lib/netplan/50-cloud-init.yaml",
            "network: {version: 2, ethernets: {ens9: {dhcp4: true}}, bridges: {br0: {}}}\n",
        ),
        (FILE, CLOUD_INIT),
        (OURS, ours),
        (
            "/etc/netplan/old.yaml.bak",
            "macaddress: 52:54:00:12:34:56\n",
        ),
        ("/etc/netplan/60-link.yaml", "-> ../../srv/nic.yaml"),
        (
            "/srv/nic.yaml",
            "# 52:54:00:12:34:56\nnetwork:\n  version: 2\n  ethernets: {ens5: {}}\n  tunnels: {} # 52:54:00:12:34:56\n",
        ),
    ]);
    fixture.fix(&ALL);
    assert_eq!(
        fixture.text("/lib/netplan/50-cloud-init.yaml").unwrap(),
        "network: {version: 2, bridges: {br0: {}}}\n"
    );
    // It goes on hiding the other.
    assert_eq!(
        fixture.text(FILE).unwrap(),
        "# This file is generated from information provided by the datasource.\nnetwork:\n    version: 2\n"
    );
    assert_eq!(fixture.text(OURS).as_deref(), Some(ours));
    let written = fixture.text("/etc/netplan/01-dhcp-any-nic-1.yaml").unwrap();
    assert!(written.contains("    any-nic-1:\n"), "{written}");
    assert_eq!(
        fixture.text("/srv/nic.yaml").unwrap(),
        "# 52:54:00:12:34:56\nnetwork:\n  version: 2\n  tunnels: {} # 52:54:00:12:34:56\n"
    );
    let notes: Vec<(String, Severity)> = fixture.severities(&NetMac);
    assert_eq!(
        notes,
        [
            "/etc/netplan/60-link.yaml",
            "/etc/netplan/60-link.yaml",
            "/etc/netplan/old.yaml.bak"
        ]
        .map(|path| (path.to_owned(), Severity::Note))
    );
    assert_eq!(objection(&fixture), None);
}

#[test]
fn latin1_is_read_and_becomes_what_netplan_reads() {
    let before = "# gr\u{fc}n\nnetwork:\n  bridges: {br0: {}}\n  ethernets: {eth0: {}}\n";
    let fixture = fixture(&[(FILE, "")]);
    fixture.with(|guest| {
        let latin1: Vec<u8> = before
            .chars()
            .map(|c| u8::try_from(u32::from(c)).unwrap())
            .collect();
        std::fs::write(guest.root().host_path().join(&FILE[1..]), latin1).unwrap();
    });
    fixture.fix(&ALL);
    assert_eq!(
        fixture.text(FILE).unwrap(),
        "# gr\u{fc}n\nnetwork:\n  bridges: {br0: {}}\n"
    );
    assert_eq!(objection(&fixture), None);
}

#[test]
fn loops_end() {
    let bridges = (0..200)
        .map(|number| format!("    b{number}: {{interfaces: [b{}]}}\n", (number + 1) % 200))
        .collect::<Vec<_>>()
        .concat();
    let lists = (1..60)
        .map(|number| format!("  l{number}: &l{number} [*l{0}, *l{0}]\n", number - 1))
        .collect::<Vec<_>>()
        .concat();
    for text in [
        format!("network:\n  bridges:\n{bridges}"),
        format!("network:\n  l0: &l0 [x]\n{lists}  bridges: {{br0: {{interfaces: *l59}}}}\n"),
        "network:\n  ethernets: &e\n    eth0: &n {routes: [*n, *n]}\n    eth1: *n\n  bridges: {br0: *n, br1: *e}\n".to_owned(),
    ] {
        fixture(&[(FILE, &text)]).fix_once(&ALL);
    }
}

/// A configuration of a few definitions that refer to each other.
fn configuration() -> impl Strategy<Value = String> {
    let name = "(ens3|ens4|eth0|br0|br1|tap0|bond0)";
    let lines = prop_oneof![
        Just("dhcp4: true".to_owned()),
        Just("macaddress: 52:54:00:12:34:56 # mine".to_owned()),
        Just("addresses:\n      - 10.0.0.1/8\n      # - 10.0.0.2/8".to_owned()),
        Just("match:\n        macaddress: 52:54:00:12:34:56\n      set-name: x0".to_owned()),
        Just("# a remark".to_owned()),
        name.prop_map(|name| format!("interfaces: [{name}]")),
        name.prop_map(|name| format!("link: {name}")),
    ];
    let definition = (name, proptest::collection::vec(lines, 0..3)).prop_map(|(name, lines)| {
        let lines: Vec<_> = lines.iter().map(|line| format!("      {line}\n")).collect();
        let lines = lines.concat();
        format!("    # about {name}\n    {name}:\n      optional: true\n{lines}")
    });
    let section = (
        "(ethernets|bridges|bonds|vlans|wifis|tunnels)",
        proptest::collection::vec(definition, 1..3),
    )
        .prop_map(|(name, definitions)| format!("  {name}:\n{}\n", definitions.concat()));
    proptest::collection::vec(section, 1..5)
        .prop_map(|sections| format!("network:\n  version: 2\n{}", sections.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_configuration_becomes_ready(text in configuration()) {
        let fixture = fixture(&[(FILE, &text)]);
        fixture.fix(&ALL);
        if let Some(after) = fixture.text(FILE) {
            let mut before = text.lines();
            for line in after.lines() {
                prop_assert!(before.any(|old| old == line) || line.ends_with("{}"), "{:?} in {}", line, text);
            }
        }
    }
}
