//! Whole guests: what goes, what stays, and what comes instead.

use super::dhcp::{DROP_IN, PROFILE};
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
const OURS: &str = "/etc/NetworkManager/system-connections/dhcp-any-ethernet.nmconnection";
const DROP_IN_PATH: &str = "/etc/NetworkManager/conf.d/zz-manage-ethernet.conf";
const MAIN: &str = "/etc/NetworkManager/NetworkManager.conf";
const ENABLED: (&str, &str) = (
    "/etc/systemd/system/multi-user.target.wants/NetworkManager.service",
    "-> /usr/lib/systemd/system/NetworkManager.service",
);

/// The path of a profile.
fn etc(name: &str) -> String {
    format!("/etc/NetworkManager/system-connections/{name}")
}

fn vendor(name: &str) -> String {
    format!("/usr/lib/NetworkManager/system-connections/{name}")
}

/// An Oracle Linux 9 with these files; profiles are root's alone.
fn guest(files: &[(&str, &str)]) -> Fixture {
    let release = ("/etc/os-release", "ID=ol\nVERSION_ID=\"9.4\"\n");
    let main = (MAIN, "[main]\n");
    let fixture = Fixture::new(&[&[release, main, ENABLED], files].concat());
    for (path, content) in files {
        if path.contains("system-connections") && !content.starts_with("-> ") {
            fixture.set_mode(path, 0o600);
        }
    }
    fixture
}

const NIC: &str = "[connection]\nid=lan\nuuid=10000000-0000-4000-8000-000000000001\ntype=ethernet\n\
    interface-name=ens192\n\n[ethernet]\nmac-address=52:54:00:12:34:56\n\n[ipv4]\nmethod=manual\n\
    address1=10.0.0.5/24,10.0.0.1\ndns=10.0.0.2;\n";

#[test]
fn nics_and_what_is_stacked_on_them_go() {
    let bond = "[connection]\nuuid=20000000-0000-4000-8000-000000000001\ntype=bond\ninterface-name=bond0\n\
        [bond]\nmode=802.3ad\nad_actor_system=52:54:00:00:00:01\n";
    let port = "[connection]\ntype=802-3-ethernet\nmaster=20000000-0000-4000-8000-000000000001\n\
        slave-type=bond\n[802-3-ethernet]\nmac-address=0;17;34;51;68;85;\n";
    let vlan =
        "[connection]\ntype=vlan\n[vlan]\nid=5\nparent=20000000-0000-4000-8000-000000000001\n";
    let on_mac =
        "[connection]\ntype=vlan\n[ethernet]\nmac-address=52:54:00:12:34:56\n[vlan]\nid=6\n";
    let bridge =
        "[connection]\ntype=bridge\ninterface-name=lan7\n[bridge]\nmac-address=52:54:00:00:00:07\n";
    let bridge_port = "[connection]\ntype=ethernet\ncontroller=lan7\nport-type=bridge\n";
    let dummy_port =
        "[connection]\ntype=dummy\ninterface-name=dummy7\ncontroller=lan7\nport-type=bridge\n";
    let macvlan = "[connection]\ntype=macvlan\ninterface-name=mv0\n[macvlan]\nparent=ens192\n";
    let pppoe = "[connection]\ntype=pppoe\ninterface-name=ens256\n[pppoe]\nusername=x\n";
    let matched = "[connection]\ntype=ethernet\n[match]\ndriver=vmxnet3\n";
    let infiniband = "[connection]\ntype=infiniband\n[infiniband]\n\
        mac-address=a0:00:02:20:fe:80:00:00:00:00:00:00:ec:0d:9a:03:00:15:e2:c1\n";
    let bluetooth =
        "[connection]\ntype=bluetooth\n[bluetooth]\nbdaddr=00:11:22:33:44:55\ntype=panu\n";
    let files: Vec<(String, &str)> = [
        ("lan.nmconnection", NIC),
        ("bond0", bond),
        ("port", port),
        ("vlan", vlan),
        ("on mac", on_mac),
        ("lan7", bridge),
        ("lan7-port", bridge_port),
        ("lan7-dummy", dummy_port),
        ("mv0", macvlan),
        ("pppoe", pppoe),
        ("matched", matched),
        ("ib0", infiniband),
        ("phone", bluetooth),
        ("lan.nmconnection.bak", NIC),
    ]
    .map(|(name, text)| (etc(name), text))
    .to_vec();
    let borrowed: Vec<(&str, &str)> = files.iter().map(|(p, t)| (p.as_str(), *t)).collect();
    let fixture = guest(&borrowed);
    assert_eq!(fixture.open(&NetNoDhcp).len(), 1);
    fixture.fix(&ALL);
    for (path, _) in &files {
        assert!(!fixture.has(path), "{path}");
    }
    assert_eq!(fixture.text(OURS).unwrap(), PROFILE);
}

#[test]
fn what_lies_on_no_nic_stays_without_its_mac() {
    for (before, after) in [
        (
            "# docker\n[connection]\ntype=bridge\ninterface-name=docker0\n\n[bridge]\nmac-address=52:54:00:00:00:07\nstp=false\n[ipv4]\nmethod=manual\naddress1=172.17.0.1/16\n",
            "# docker\n[connection]\ntype=bridge\ninterface-name=docker0\n\n[bridge]\nstp=false\n[ipv4]\nmethod=manual\naddress1=172.17.0.1/16\n",
        ),
        (
            "[connection]\r\ntype=802-11-wireless\r\n[802-11-wireless]\r\nssid=x\r\nmac-address-blacklist=52:54:00:00:00:07;\r\nbssid=00:11:22:33:44:55\r\ncloned-mac-address=random",
            "[connection]\r\ntype=802-11-wireless\r\n[802-11-wireless]\r\nssid=x\r\ncloned-mac-address=random",
        ),
        (
            "[connection]\ntype=wireguard\ninterface-name=wg0\n[wireguard]\nprivate-key=a\n[ipv4]\nmethod=manual\naddress1=10.9.0.1/24\ndhcp-client-id=x\n",
            "[connection]\ntype=wireguard\ninterface-name=wg0\n[wireguard]\nprivate-key=a\n[ipv4]\nmethod=manual\naddress1=10.9.0.1/24\n",
        ),
        (
            "[connection]\ntype=dummy\ninterface-name=dummy0\n[ethernet]\ncloned-mac-address=52-54-00-00-00-07\n",
            "[connection]\ntype=dummy\ninterface-name=dummy0\n[ethernet]\n",
        ),
        // A VLAN on a bridge that has no NIC.
        (
            "[connection]\ntype=vlan\ninterface-name=v5\n[vlan]\nid=5\nparent=virbr0\n",
            "[connection]\ntype=vlan\ninterface-name=v5\n[vlan]\nid=5\nparent=virbr0\n",
        ),
        (
            "\u{feff}[connection]\ntype=vpn\n",
            "\u{feff}[connection]\ntype=vpn\n",
        ),
    ] {
        let path = etc("x.nmconnection");
        let fixture = guest(&[(&path, before)]);
        fixture.fix(&ALL);
        assert_eq!(fixture.text(&path).unwrap(), after);
    }
}

#[test]
fn each_rule_alone_leaves_a_network() {
    let path = etc("lan");
    let only_mac = "[connection]\ntype=ethernet\n[ethernet]\nmac-address=52:54:00:12:34:56\n";
    let only_name = "[connection]\ntype=ethernet\ninterface-name=eth0\n";
    let only_static =
        "[connection]\ntype=ethernet\n[ipv4]\nmethod=auto\nroutes1=10.0.0.0/8,10.0.0.1\n";
    let only_dns = "[connection]\ntype=ethernet\n[ipv6]\ndns=2001:db8::53\n";
    for (text, rule) in [
        (only_mac, &NetMac as &dyn Rule),
        (NIC, &NetMac),
        (NIC, &NetStatic),
        (only_static, &NetStatic),
        (only_dns, &NetStatic),
        (NIC, &NetNamePinned),
        (only_name, &NetNamePinned),
    ] {
        let fixture = guest(&[(&path, text)]);
        assert!(!fixture.open(rule).is_empty(), "{text}");
        fixture.fix(&[rule]);
        assert!(!fixture.has(&path), "{text}");
        assert_eq!(fixture.text(OURS).unwrap(), PROFILE);
        assert_eq!(fixture.open(&NetNoDhcp), Vec::<String>::new());
    }
    // The bridge does not become one without a NIC when only its port goes.
    let bridge = etc("br0");
    let fixture = guest(&[
        (&bridge, "[connection]\ntype=bridge\ninterface-name=br0\n"),
        (
            &path,
            "[connection]\ntype=ethernet\nmaster=br0\n[ethernet]\nmac-address=52:54:00:12:34:56\n",
        ),
    ]);
    fixture.fix(&[&NetMac]);
    assert!(!fixture.has(&bridge) && !fixture.has(&path));
}

#[test]
fn profiles_that_do_and_that_do_not() {
    let path = etc("any");
    for (text, mode, enough) in [
        (PROFILE, 0o600, true),
        (PROFILE, 0o400, true),
        (PROFILE, 0o644, false),
        ("[802-3-ethernet]\n", 0o600, true),
        (
            "[connection]\ntype=ethernet\n[match]\ninterface-name=e*;\n",
            0o600,
            true,
        ),
        (
            "[connection]\ntype=ethernet\n[match]\ninterface-name=!wl*;\n",
            0o600,
            true,
        ),
        (
            "[connection]\ntype=ethernet\n[match]\ninterface-name=eth*;\n",
            0o600,
            false,
        ),
        (
            "[connection]\ntype=ethernet\nautoconnect=false\n",
            0o600,
            false,
        ),
        (
            "[connection]\ntype=ethernet\npermissions=user:joe:;\n",
            0o600,
            false,
        ),
        (
            "[connection]\ntype=ethernet\ninterface-name=eth0\n",
            0o600,
            false,
        ),
        ("[connection]\ntype=wifi\n[wifi]\nssid=x\n", 0o600, false),
        ("[connection]\ntype=ethernet\nnonsense\n", 0o600, false),
        (
            "[connection]\ntype=ethernet\n[ipv4]\nmethod=disabled\n",
            0o600,
            false,
        ),
        (
            "[connection]\ntype=ethernet\n[ipv4]\nmethod=auto\nnever-default=true\n",
            0o600,
            false,
        ),
        (
            "[connection]\ntype=ethernet\n[802-1x]\neap=tls;\n",
            0o600,
            false,
        ),
    ] {
        let fixture = guest(&[(&path, text)]);
        fixture.set_mode(&path, mode);
        assert_eq!(
            fixture.open(&NetNoDhcp).is_empty(),
            enough,
            "{text} {mode:o}"
        );
        fixture.fix(&ALL);
        assert_eq!(fixture.has(OURS), !enough, "{text} {mode:o}");
        assert!(!enough || fixture.text(&path).unwrap() == text);
    }
}

#[test]
fn a_profile_that_would_take_the_nic_without_a_lease_goes() {
    let path = etc("secure");
    let fixture = guest(&[(&path, "[connection]\ntype=ethernet\n[802-1x]\neap=peap;\n")]);
    fixture.fix(&[&NetNoDhcp]);
    assert!(!fixture.has(&path));
    assert!(fixture.has(OURS));
}

#[test]
fn our_name_may_be_taken() {
    let fixture = guest(&[(OURS, "[connection]\ntype=ethernet\nautoconnect=no\n")]);
    fixture.fix(&ALL);
    let other = OURS.replace(".nm", "-2.nm");
    assert_eq!(fixture.text(&other).unwrap(), PROFILE);
}

#[test]
fn profiles_that_packages_brought_are_hidden() {
    let (nic, bridge, unnamed) = (
        vendor("lan.nmconnection"),
        vendor("virbr0.nmconnection"),
        vendor("x.nmconnection"),
    );
    let virbr = "[connection]\nuuid=30000000-0000-4000-8000-000000000001\ntype=bridge\ninterface-name=virbr0\n[bridge]\nmac-address=52:54:00:00:00:07\n";
    let fixture = guest(&[
        (&nic, NIC),
        (&bridge, virbr),
        (
            &unnamed,
            "[connection]\ntype=ethernet\ninterface-name=eth7\n",
        ),
        // One in /etc hides it until it goes.
        (&etc("copy"), NIC),
        (&vendor("ignored"), NIC),
    ]);
    fixture.fix(&ALL);
    assert_eq!(fixture.text(&nic).unwrap(), NIC);
    assert_eq!(fixture.text(&bridge).unwrap(), virbr);
    assert!(!fixture.has(&unnamed) && !fixture.has(&etc("copy")));
    assert!(fixture.has(&etc("10000000-0000-4000-8000-000000000001.nmmeta")));
    assert_eq!(
        fixture.text(&etc("virbr0.nmconnection")).unwrap(),
        virbr.replace("mac-address=52:54:00:00:00:07\n", "")
    );
    assert!(
        fixture
            .severities(&NetMac)
            .iter()
            .all(|(_, severity)| *severity == Severity::Note)
    );
    assert_eq!(fixture.text(OURS).unwrap(), PROFILE);
}

#[test]
fn what_is_not_read_is_noted() {
    let (rpm, backup, virtual_) = (
        etc("lan.rpmnew"),
        etc("lan.nmconnection~"),
        etc("wg0.nmconnection"),
    );
    let fixture = guest(&[
        (&rpm, NIC),
        (&backup, NIC),
        (&etc("ca.pem"), "52:54:00:12:34:56\n"),
        (
            &virtual_,
            "# for 52:54:00:12:34:56\n[connection]\ntype=wireguard\ninterface-name=wg0\n",
        ),
        (OURS, PROFILE),
    ]);
    fixture.set_mode(&virtual_, 0o640);
    for rule in ALL {
        assert_eq!(fixture.open(rule), Vec::<String>::new());
    }
    let notes = |rule| -> Vec<String> {
        fixture
            .severities(rule)
            .into_iter()
            .map(|(path, _)| path)
            .collect()
    };
    assert_eq!(notes(&NetMac), [virtual_.as_str(), &backup, &rpm]);
    assert_eq!(notes(&NetNoDhcp), [virtual_.as_str()]);
    fixture.fix(&ALL);
    assert!(fixture.has(&rpm) && fixture.has(&backup) && fixture.has(&virtual_));
}

#[test]
fn macs_and_identities_leave_the_configuration() {
    let before = "# NIC 52:54:00:12:34:56\n[main]\nplugins=ifcfg-rh,keyfile\n\
        no-auto-default=52:54:00:12:34:56,eth9;\ndhcp=internal\n\
        [keyfile]\nunmanaged-devices=mac:52:54:00:12:34:56\n\
        [connection]\nethernet.cloned-mac-address=52:54:00:12:34:56\nwifi.cloned-mac-address=random\n\
        ipv4.dhcp-client-id=01:02:03\nipv6.dhcp-duid=stable-uuid\nconnection.stable-id=${CONNECTION}\n\
        [connection-old]\nmatch-device=mac:52:54:00:12:34:56\nipv4.route-metric=50\n\
        [device-two]\nmatch-device=interface-name:virbr0;mac:52:54:00:12:34:56\nmanaged=0\n\
        [device-others]\nmatch-device=except:mac:52:54:00:12:34:56\nwifi.backend=iwd\n";
    let after = "# NIC 52:54:00:12:34:56\n[main]\nplugins=ifcfg-rh,keyfile\n\
        no-auto-default=eth9;\ndhcp=internal\n\
        [keyfile]\n\
        [connection]\nwifi.cloned-mac-address=random\n\
        ipv6.dhcp-duid=stable-uuid\nconnection.stable-id=${CONNECTION}\n\
        [device-two]\nmatch-device=interface-name:virbr0\nmanaged=0\n\
        [device-others]\nwifi.backend=iwd\n";
    let state = |name: &str| format!("/var/lib/NetworkManager/{name}");
    let lib = "/usr/lib/NetworkManager/conf.d/50-x.conf";
    let fixture = guest(&[
        (MAIN, before),
        (lib, "[main]\nno-auto-default=52:54:00:12:34:56\n"),
        (&state("secret_key"), "x"),
        (&state("no-auto-default.state"), "52:54:00:12:34:56\n"),
        (OURS, PROFILE),
    ]);
    fixture.fix(&ALL);
    assert_eq!(fixture.text(MAIN).unwrap(), after);
    assert_eq!(
        fixture
            .text("/etc/NetworkManager/conf.d/50-x.conf")
            .unwrap(),
        "[main]\n"
    );
    assert!(fixture.has(lib) && !fixture.has(DROP_IN_PATH));
    assert!(!fixture.has(&state("secret_key")) && !fixture.has(&state("no-auto-default.state")));
}

#[test]
fn ethernet_is_managed() {
    let globally = "/usr/lib/NetworkManager/conf.d/10-globally-managed-devices.conf";
    let ubuntu =
        "[keyfile]\nunmanaged-devices=*,except:type:wifi,except:type:gsm,except:type:cdma\n";
    let own = "/etc/NetworkManager/conf.d/10-globally-managed-devices.conf";
    for (files, managed) in [
        (vec![(globally, ubuntu)], false),
        (vec![(globally, ubuntu), (own, "")], true),
        (vec![(globally, ubuntu), (DROP_IN_PATH, DROP_IN)], true),
        (
            vec![(MAIN, "[keyfile]\nunmanaged-devices=interface-name:eth0\n")],
            false,
        ),
        (
            vec![(
                MAIN,
                "[keyfile]\nunmanaged-devices=interface-name:docker*\n",
            )],
            true,
        ),
        (vec![(MAIN, "[device]\nmanaged=0\n")], false),
        (
            vec![(
                MAIN,
                "[device]\nmanaged=0\n[device-a]\nmatch-device=type:ethernet\nmanaged=1\n",
            )],
            true,
        ),
        (
            vec![(MAIN, "[device-a]\nmatch-device=*\nmanaged=no\n")],
            false,
        ),
        (
            vec![(MAIN, "[device-a]\nmatch-device=type:wifi\nmanaged=no\n")],
            true,
        ),
    ] {
        let files: Vec<(&str, &str)> = [vec![(OURS, PROFILE)], files].concat();
        let fixture = guest(&files);
        assert_eq!(fixture.open(&NetNoDhcp).is_empty(), managed, "{files:?}");
        let before = fixture.text(DROP_IN_PATH);
        fixture.fix(&ALL);
        let expected = if managed {
            before
        } else {
            Some(DROP_IN.to_owned())
        };
        assert_eq!(fixture.text(DROP_IN_PATH), expected, "{files:?}");
    }
}

#[test]
fn networking_is_switched_on() {
    let state = "/var/lib/NetworkManager/NetworkManager.state";
    let fixture = guest(&[
        (
            state,
            "\n[main]\nNetworkingEnabled=false\nWirelessEnabled=false\n",
        ),
        (OURS, PROFILE),
    ]);
    assert_eq!(fixture.open(&NetNoDhcp), [format!("{state}:3")]);
    fixture.fix(&ALL);
    assert_eq!(
        fixture.text(state).unwrap(),
        "\n[main]\nNetworkingEnabled=true\nWirelessEnabled=false\n"
    );
}

#[test]
fn a_stack_that_does_not_start_gets_no_profile() {
    let path = etc("lan");
    let networkd = (
        "/etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
        "-> /usr/lib/systemd/system/systemd-networkd.service",
    );
    let fixture = Fixture::debian(&[networkd, (&path, NIC), ("/etc/network/interfaces", "")]);
    fixture.fix(&[&NetMac, &NetStatic, &NetNamePinned]);
    assert!(!fixture.has(&path) && !fixture.has(OURS));
    let nothing = Fixture::debian(&[]);
    for rule in ALL {
        assert_eq!(nothing.open(rule), Vec::<String>::new());
    }
}

#[test]
fn scripts_that_name_a_mac_are_warned_of() {
    let script = "/etc/NetworkManager/dispatcher.d/pre-up.d/10-mac";
    let text = "#!/bin/sh\n# 52:54:00:12:34:56\nip link set \"$1\" address 52:54:00:12:34:56\n";
    let fixture = guest(&[(script, text), (OURS, PROFILE)]);
    fixture.fix(&ALL);
    assert_eq!(fixture.text(script).unwrap(), text);
    assert_eq!(
        fixture.severities(&NetMac),
        [(script.to_owned(), Severity::Warning)]
    );
}

#[test]
fn profiles_in_circles_end() {
    let uuid = |n: u8| format!("{n}0000000-0000-4000-8000-000000000001");
    let vlan = |own: u8, parent: u8| {
        format!(
            "[connection]\nuuid={}\ntype=vlan\nmaster={}\n[vlan]\nparent={}\n",
            uuid(own),
            uuid(own),
            uuid(parent)
        )
    };
    let (a, b) = (vlan(1, 2), vlan(2, 1));
    let fixture = guest(&[(&etc("a"), &a), (&etc("b"), &b)]);
    fixture.fix(&ALL);
    assert!(fixture.has(OURS));
}
