//! networkd's files under the rules of the network, alone and together.

use super::file::ETC;
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
const OURS: &str = "/etc/systemd/network/10-dhcp-any-nic.network";

/// A Debian guest whose one stack is networkd, with these files in `/etc/systemd/network`.
fn guest(files: &[(&str, &str)]) -> Fixture {
    let paths: Vec<(String, &str)> = files
        .iter()
        .map(|(name, text)| match name.strip_prefix('/') {
            Some(_) => ((*name).to_owned(), *text),
            None => (format!("{ETC}/{name}"), *text),
        })
        .collect();
    let mut files: Vec<(&str, &str)> = paths
        .iter()
        .map(|(path, text)| (path.as_str(), *text))
        .collect();
    files.push((
        "/etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
        "-> /lib/systemd/system/systemd-networkd.service",
    ));
    Fixture::debian(&files)
}

fn text(fixture: &Fixture, name: &str) -> Option<String> {
    fixture.text(&format!("{ETC}/{name}"))
}

#[test]
fn profiles_of_nics_are_replaced_by_one() {
    for (file, rules) in [
        ("[Match]\nName=ens192\n\n[Network]\nDHCP=yes\n", "n"),
        ("[Match]\nName=en*\n[Network]\nDHCP=yes\n", "n"),
        (
            "[Match]\nName=lan0 p2p1\n[Network]\nAddress=10.0.0.5/24\n",
            "an",
        ),
        (
            "[Match]\nMACAddress=00:50:56:ab:cd:ef\n[Network]\nDHCP=yes\n",
            "mn",
        ),
        (
            "[Match]\nPermanentMACAddress=00-50-56-AB-CD-EF\n[Network]\nDHCP=yes\n",
            "mn",
        ),
        (
            "[Match]\nMACAddress=0050.56ab.cdef\n[Network]\nDHCP=yes\n",
            "mn",
        ),
        (
            "[Match]\nName=e*\n[Network]\nDNS=10.0.0.2\nAddress=10.0.0.5/24\n",
            "a",
        ),
        ("[Match]\nName=e*\n[Address]\nAddress=fd00::5/64\n", "a"),
        (
            "[Match]\nPath=pci-0000:03:00.0\n[Network]\nDHCP=ipv4\n",
            "n",
        ),
        ("[Match]\nDriver=vmxnet3\n[Network]\nDHCP=ipv4\n", "n"),
        (
            "[Match]\nType=ether\nProperty=ID_BUS=usb\n[Network]\nDHCP=ipv4\n",
            "n",
        ),
        (
            "[Match]\nName=eth0\n[Link]\nMACAddress=00:50:56:ab:cd:ef\n[Network]\nDHCP=ipv4\n",
            "mn",
        ),
        ("[Match]\nName=!lo eth*\n[Network]\nDHCP=ipv4\n", "n"),
        (
            "[Match]\nVirtualization=vmware\n[Network]\nDHCP=ipv4\n",
            "n",
        ),
        ("[Match]\nName=e*\nHost=web1\n[Network]\nDHCP=ipv4\n", "n"),
        ("[Network]\nAddress=10.0.0.5/24\n", "a"),
        (
            "\u{feff}[Match]\r\nName=ens3\r\n[Network]\r\nDHCP=yes\r\n",
            "n",
        ),
        ("[Match]\nName=ens3\n[Link]\nUnmanaged=yes\n", "n"),
        ("[Match]\nName=eth*\n[Network]\nBond=bond0\n", "n"),
        ("[Match]\nName=e*\n[Network]\nBridge=br0\n", "n"),
    ] {
        let fixture = guest(&[
            ("20-lan.network", file),
            ("20-lan.network.d/a.conf", "[Link]\nMTUBytes=9000\n"),
        ]);
        for (rule, letter) in [(ALL[0], 'm'), (ALL[1], 'a'), (ALL[2], 'n')] {
            let found = !fixture.open(rule).is_empty();
            assert_eq!(found, rules.contains(letter), "{file} {}", rule.meta().id);
            if found {
                let alone = guest(&[("20-lan.network", file)]);
                alone.fix(&[rule]);
                assert_eq!(text(&alone, "20-lan.network"), None, "{file}");
                assert_eq!(alone.open(&NetNoDhcp), Vec::<String>::new(), "{file}");
            }
        }
        assert_eq!(fixture.open(&NetNoDhcp), [ETC], "{file}");
        fixture.fix(&ALL);
        assert!(!fixture.has(&format!("{ETC}/20-lan.network")), "{file}");
        assert!(!fixture.has(&format!("{ETC}/20-lan.network.d")), "{file}");
        assert!(fixture.text(OURS).unwrap().contains("Name=en* eth*"));
    }
}

#[test]
fn what_serves_whichever_nic_appears_stays() {
    for file in [
        "[Match]\nName=en* eth*\n[Network]\nDHCP=ipv4\n",
        "[Match]\nName=e*\n[Network]\nDHCP=yes\n",
        "[Match]\nName=en*\nName=eth*\n[Network]\nDHCP=v4\n",
        "[Match]\nType=ether\n[Network]\nDHCP=true\n",
        "[Match]\nType=ether\nKind=!*\n[Network]\nDHCP=both\n[Route]\nGateway=_dhcp4\nMetric=5\n",
        "[Match]\nName=!lo docker* veth*\n[Network]\nDHCP=yes\nNTP=10.0.0.1\n",
        "[Match]\nName=e*\nVirtualization=vm\nDriver=!veth\n[Network]\nDHCP=yes\n",
    ] {
        let fixture = guest(&[("20-lan.network", file)]);
        fixture.fix(&ALL);
        assert_eq!(text(&fixture, "20-lan.network").unwrap(), file);
        assert!(!fixture.has(OURS), "{file}");
    }
}

#[test]
fn what_does_not_serve_is_overruled() {
    for file in [
        "[Match]\nName=*\n[Network]\nDHCP=yes\n",
        "[Match]\n[Network]\nDHCP=yes\n",
        "[Match]\nName=e*\n[Network]\nDHCP=ipv6\n",
        "[Match]\nName=e*\n[Network]\nDHCP=yes\nDHCP=no\n",
        "[Match]\nName=e*\n[Network]\nDHCP=yes\n[DHCPv4]\nUseRoutes=no\n",
        "[Match]\nName=e*\n[Network]\nDHCP=yes\n[Link]\nActivationPolicy=manual\n",
        "[Match]\nName=e*\n[Link]\nUnmanaged=yes\n",
        "[Match]\nName=e*\n[Network]\nDHCP=yes\n[Link # x\n",
    ] {
        for (name, ours) in [
            ("20-lan.network", "10-dhcp-any-nic.network"),
            ("05-lan.network", "00-dhcp-any-nic.network"),
            ("00-a.network", "0-dhcp-any-nic.network"),
        ] {
            let fixture = guest(&[(name, file)]);
            assert_eq!(fixture.open(&NetNoDhcp), [ETC], "{file}");
            fixture.fix(&ALL);
            assert_eq!(text(&fixture, name).unwrap(), file);
            assert!(fixture.has(&format!("{ETC}/{ours}")), "{file}");
        }
    }
}

#[test]
fn what_oci_does_not_touch_stays_without_a_mac() {
    for (before, after) in [
        ("[Match]\nName=docker0\n[Link]\nUnmanaged=yes\n", None),
        (
            "[Match]\nName=wlan0\n[Network]\nAddress=10.0.0.5/24\n",
            None,
        ),
        ("[Match]\nType=wlan\nSSID=home\n[Network]\nDHCP=yes\n", None),
        ("[Match]\nName=lo\n[Address]\nAddress=10.9.9.9/32\n", None),
        (
            "[Match]\nName=veth* vb-* ve-*\n[Network]\nAddress=10.0.0.1/24\n",
            None,
        ),
        ("[Match]\nKind=veth\n[Network]\nDHCP=yes\n", None),
        ("[Match]\nType=sit\nName=6rd-*\n", None),
        (
            "[Match]\nVirtualization=container\nName=host0\n[Network]\nDHCP=yes\n",
            None,
        ),
        (
            "[Match]\nName=wlan0\nMACAddress=00:50:56:ab:cd:ef\n\n[Link]\n# cloned\nMACAddress=00:50:56:ab:cd:ef\n\n[Network]\nDHCP=yes\n",
            Some("[Match]\nName=wlan0\n\n[Network]\nDHCP=yes\n"),
        ),
        (
            "[Match]\nName=eth0 wlan0 \n[Network]\nDHCP=yes\nVLAN=eth0.5\n",
            Some("[Match]\nName=wlan0\n[Network]\nDHCP=yes\n"),
        ),
    ] {
        let fixture = guest(&[("20-x.network", before)]);
        fixture.fix(&ALL);
        assert_eq!(
            text(&fixture, "20-x.network").unwrap(),
            after.unwrap_or(before)
        );
        assert!(fixture.has(OURS));
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_lies_on_nics_goes_and_what_does_not_stays() {
    let fixture = guest(&[
        (
            "10-eth.network",
            "[Match]\nName=eth0 eth1\n[Network]\nBond=bond0\n",
        ),
        (
            "10-bond0.netdev",
            "[NetDev]\nName=bond0\nKind=bond\n[Bond]\nAdActorSystem=00:50:56:ab:cd:ef\n",
        ),
        (
            "10-bond0.network",
            "[Match]\nName=bond0\n[Network]\nVLAN=v10\nVRF=vrf1\n",
        ),
        (
            "10-v10.netdev",
            "[NetDev]\nName=v10\nKind=vlan\n[VLAN]\nId=10\n",
        ),
        (
            "10-v10.network",
            "[Match]\nName=v10\n[Network]\nBridge=br0\n",
        ),
        ("10-br0.netdev", "[NetDev]\nName=br0\nKind=bridge\n"),
        (
            "10-br0.network",
            "[Match]\nName=br0\n[Network]\nAddress=10.0.0.5/24\n",
        ),
        (
            "10-vrf1.netdev",
            "[NetDev]\nName=vrf1\nKind=vrf\n[VRF]\nTable=10\n",
        ),
        ("10-orphan.netdev", "[NetDev]\nName=mv0\nKind=macvlan\n"),
        (
            "20-br1.netdev",
            "[NetDev]\nName=br1\nKind=bridge\nMACAddress=00:50:56:ab:cd:ef\n",
        ),
        (
            "20-br1.network",
            "[Match]\nName=br1\n[Network]\nAddress=10.8.0.1/24\n[DHCPServerStaticLease]\nMACAddress=00:50:56:00:00:01\nAddress=10.8.0.2\n",
        ),
        (
            "20-tap.network",
            "[Match]\nName=tap*\n[Network]\nBridge=br1\n",
        ),
        ("20-dummy.netdev", "[NetDev]\nName=dummy0\nKind=dummy\n"),
        (
            "20-dummy.network",
            "[Match]\nName=dummy0\n[Network]\nAddress=10.7.0.1/24\nVLAN=dummy0.5\n",
        ),
        (
            "20-dv.netdev",
            "[NetDev]\nName=dummy0.5\nKind=vlan\n[VLAN]\nId=5\n",
        ),
        (
            "20-wg.netdev",
            "[NetDev]\nName=wg0\nKind=wireguard\n[WireGuard]\nPrivateKey=x\n",
        ),
        (
            "90-any.network",
            "[Match]\nName=en* eth*\n[Network]\nDHCP=yes\nVLAN=v20\n",
        ),
        (
            "90-v20.netdev",
            "[NetDev]\nName=v20\nKind=vlan\n[VLAN]\nId=20\n",
        ),
    ]);
    for rule in &ALL[..3] {
        assert!(!fixture.open(*rule).is_empty(), "{}", rule.meta().id);
    }
    fixture.fix(&ALL);
    for name in [
        "10-eth.network",
        "10-bond0.netdev",
        "10-bond0.network",
        "10-v10.netdev",
        "10-v10.network",
        "10-br0.netdev",
        "10-br0.network",
        "10-vrf1.netdev",
        "10-orphan.netdev",
        "90-v20.netdev",
    ] {
        assert_eq!(text(&fixture, name), None, "{name}");
    }
    for name in [
        "20-br1.network",
        "20-tap.network",
        "20-dummy.netdev",
        "20-dummy.network",
        "20-dv.netdev",
        "20-wg.netdev",
    ] {
        assert!(text(&fixture, name).is_some(), "{name}");
    }
    assert_eq!(
        text(&fixture, "20-br1.netdev").unwrap(),
        "[NetDev]\nName=br1\nKind=bridge\n"
    );
    assert_eq!(
        text(&fixture, "90-any.network").unwrap(),
        "[Match]\nName=en* eth*\n[Network]\nDHCP=yes\n"
    );
    assert!(!fixture.has(OURS));
    // A lease for another machine is only worth a note.
    let notes = fixture.severities(&NetMac);
    assert_eq!(notes, [(format!("{ETC}/20-br1.network"), Severity::Note)]);
}

#[test]
fn static_settings_leave_a_profile_that_gives_dhcp() {
    let before = "[Match]\nName=en* eth*\n\n[Network]\nDHCP=yes\n# ours\nDNS=10.0.0.2\nDomains=~x\nGateway=10.0.0.1\n\n\
        [Address]\nAddress=10.0.0.5/24\nLabel=x\n\n[Route]\nGateway=10.0.0.1\nDestination=10.1.0.0/16\n\n\
        [Route]\nDestination=10.2.0.0/16\nType=blackhole\n\n[IPv6AcceptRA]\nToken=::5\n\n[Link]\nMTUBytes=9000\n";
    let after = "[Match]\nName=en* eth*\n\n[Network]\nDHCP=yes\n# ours\nDomains=~x\n\n\
        [Route]\nDestination=10.2.0.0/16\nType=blackhole\n\n[Link]\nMTUBytes=9000\n";
    let fixture = guest(&[
        ("20-any.network", before),
        ("20-any.network.d/dns.conf", "[Network]\nDNS=10.0.0.3\n"),
        (
            "20-any.network.d/mtu.conf",
            "[Link]\nMTUBytes=1500\nMACAddress=00:50:56:ab:cd:ef\n",
        ),
    ]);
    assert_eq!(fixture.open(&NetStatic).len(), 6);
    fixture.fix(&ALL);
    assert_eq!(text(&fixture, "20-any.network").unwrap(), after);
    assert_eq!(text(&fixture, "20-any.network.d/dns.conf"), None);
    let mtu = text(&fixture, "20-any.network.d/mtu.conf");
    assert_eq!(mtu.unwrap(), "[Link]\nMTUBytes=1500\n");
    assert!(!fixture.has(OURS));
}

#[test]
fn files_of_the_distribution_are_masked_or_overridden() {
    let vendor = "/usr/lib/systemd/network";
    let pinned = "[Match]\nName=eth0\n[Network]\nAddress=10.0.0.5/24\n";
    let dummy = "[NetDev]\nName=dummy0\nKind=dummy\nMACAddress=00:50:56:ab:cd:ef\n";
    let path = |name: &str| format!("{vendor}/{name}");
    let (lan, own, shadowed, masked, netdev) = (
        path("10-lan.network"),
        path("80-ethernet.network"),
        path("20-shadowed.network"),
        path("30-masked.network"),
        path("40-dummy.netdev"),
    );
    let fixture = guest(&[
        (lan.as_str(), pinned),
        (own.as_str(), "[Match]\nType=ether\n[Network]\nDHCP=yes\n"),
        (shadowed.as_str(), pinned),
        ("20-shadowed.network", pinned),
        (masked.as_str(), pinned),
        ("30-masked.network", "-> /dev/null"),
        (netdev.as_str(), dummy),
        ("50-empty.network", ""),
        ("60-link.network", "-> /usr/lib/systemd/network/example"),
        ("/usr/lib/systemd/network/example", pinned),
        ("70-local.network", "-> /etc/lan.network"),
        ("/etc/lan.network", pinned),
    ]);
    fixture.fix(&ALL);
    for name in [&lan, &shadowed, &masked] {
        assert_eq!(fixture.text(name).unwrap(), pinned);
    }
    assert_eq!(fixture.text(&netdev).unwrap(), dummy);
    for (name, there) in [
        ("10-lan.network", true),
        ("20-shadowed.network", true),
        ("30-masked.network", true),
        ("50-empty.network", true),
        ("60-link.network", false),
        ("70-local.network", false),
        ("10-dhcp-any-nic.network", false),
    ] {
        assert_eq!(fixture.has(&format!("{ETC}/{name}")), there, "{name}");
        assert_eq!(text(&fixture, name).unwrap_or_default(), "", "{name}");
    }
    assert_eq!(
        text(&fixture, "40-dummy.netdev").unwrap(),
        "[NetDev]\nName=dummy0\nKind=dummy\n"
    );
    assert!(fixture.has("/usr/lib/systemd/network/example") && !fixture.has("/etc/lan.network"));
}

#[test]
fn a_stack_that_is_not_in_charge_gets_no_profile() {
    let pinned = "[Match]\nName=ens192\n[Network]\nAddress=10.0.0.5/24\n";
    let fixture = Fixture::debian(&[
        ("/etc/systemd/network/20-lan.network", pinned),
        (
            "/etc/systemd/network/90-off.network",
            "[Match]\nName=*\n[Link]\nUnmanaged=yes\n",
        ),
        (
            "/etc/network/interfaces",
            "auto lo\niface lo inet loopback\n",
        ),
        (
            "/etc/systemd/system/multi-user.target.wants/networking.service",
            "-> /lib/systemd/system/networking.service",
        ),
    ]);
    fixture.fix(&ALL);
    assert!(!fixture.has("/etc/systemd/network/20-lan.network"));
    assert!(fixture.has("/etc/systemd/network/90-off.network"));
    assert!(!fixture.has(OURS));
}

#[test]
fn nothing_is_found_where_nothing_is_configured() {
    for files in [
        &[][..],
        &[(
            "/usr/lib/systemd/network/80-container-host0.network",
            "[Match]\nVirtualization=container\nName=host0\n",
        )],
    ] {
        let fixture = Fixture::debian(files);
        for rule in ALL {
            assert_eq!(fixture.check(rule), []);
        }
    }
}

#[test]
fn the_kernels_own_name_is_as_good_as_a_pattern() {
    let grub = (
        "/etc/default/grub",
        "GRUB_CMDLINE_LINUX=\"net.ifnames=0\"\n",
    );
    let plain = "[Match]\nName=eth0\n[Network]\nDHCP=yes\n";
    let fixture = guest(&[("20-lan.network", plain), grub]);
    fixture.fix(&ALL);
    assert_eq!(text(&fixture, "20-lan.network").unwrap(), plain);
    assert!(!fixture.has(OURS));
}

#[test]
fn identities_of_the_client_go() {
    let fixture = guest(&[
        (
            "20-any.network",
            "[Match]\nName=e*\n[Network]\nDHCP=yes\n[DHCPv4]\nDUIDType=vendor\nDUIDRawData=00:00:ab:11:f9:2a:c2:77\nIAID=5\nUseMTU=yes\n\
             RequestAddress=10.0.0.5\nClientIdentifier=duid\n[DHCPv6]\nDUIDType=uuid\n",
        ),
        (
            "/etc/systemd/networkd.conf",
            "[Network]\nSpeedMeter=no\n[DHCP]\n#DUIDType=vendor\nDUIDRawData=00:01:52:54:00:12:34:56\n",
        ),
        (
            "/etc/systemd/networkd.conf.d/a.conf",
            "[DHCPv6]\nDUIDRawData=01:02\n",
        ),
    ]);
    assert_eq!(fixture.open(&NetDhcpIdentity).len(), 6);
    fixture.fix(&ALL);
    assert_eq!(
        text(&fixture, "20-any.network").unwrap(),
        "[Match]\nName=e*\n[Network]\nDHCP=yes\n[DHCPv4]\nUseMTU=yes\nClientIdentifier=duid\n[DHCPv6]\nDUIDType=uuid\n"
    );
    assert_eq!(
        fixture.text("/etc/systemd/networkd.conf").unwrap(),
        "[Network]\nSpeedMeter=no\n[DHCP]\n#DUIDType=vendor\n"
    );
}

#[test]
fn nobody_waits_for_the_old_nic() {
    const WANTS: &str = "/etc/systemd/system/network-online.target.wants";
    const DROP_IN: &str = "/etc/systemd/system/systemd-networkd-wait-online.service.d/x.conf";
    let instance = |nic: &str| format!("{WANTS}/systemd-networkd-wait-online@{nic}.service");
    let fixture = guest(&[
        (
            &instance("ens192"),
            "-> /lib/systemd/system/systemd-networkd-wait-online@.service",
        ),
        (
            &instance("wg0"),
            "-> /lib/systemd/system/systemd-networkd-wait-online@.service",
        ),
        ("20-any.network", "[Match]\nName=e*\n[Network]\nDHCP=yes\n"),
        (
            DROP_IN,
            "[Service]\nExecStart=\nExecStart=/lib/systemd/systemd-networkd-wait-online -i ens192:routable --interface=eth0 -i wg0 --timeout=30\n",
        ),
    ]);
    let open = fixture.open(&NetNamePinned);
    assert_eq!(open, [instance("ens192"), format!("{DROP_IN}:3")]);
    fixture.fix(&ALL);
    assert!(!fixture.has(&instance("ens192")) && fixture.has(&instance("wg0")));
    assert_eq!(
        fixture.text(DROP_IN).unwrap(),
        "[Service]\nExecStart=\nExecStart=/lib/systemd/systemd-networkd-wait-online -i wg0 --timeout=30\n"
    );
}

#[test]
fn macs_that_take_no_effect_are_noted() {
    let fixture = guest(&[
        (
            "20-any.network",
            "# was 00:50:56:ab:cd:ef\n[Match]\nName=e*\n[Network]\nDHCP=yes\n",
        ),
        (
            "20-any.network.bak",
            "[Match]\nMACAddress=00:50:56:ab:cd:ef\n",
        ),
        (
            "/run/systemd/network/10-netplan-x.network",
            "[Match]\nMACAddress=00:50:56:ab:cd:ef\n",
        ),
        (
            "10-nic.link",
            "[Match]\nPermanentMACAddress=00:50:56:ab:cd:ef\n",
        ),
    ]);
    let notes: Vec<Severity> = fixture
        .severities(&NetMac)
        .into_iter()
        .map(|n| n.1)
        .collect();
    assert_eq!(notes, [Severity::Note; 3]);
}
