//! The rules of the network on guests with wicked.

use crate::finding::Severity;
use crate::rules::Rule;
use crate::rules::fixture::Fixture;
use crate::rules::net_dhcp_identity::NetDhcpIdentity;
use crate::rules::net_mac::NetMac;
use crate::rules::net_name_pinned::NetNamePinned;
use crate::rules::net_no_dhcp::NetNoDhcp;
use crate::rules::net_static::NetStatic;

const ETH0: &str = "/etc/sysconfig/network/ifcfg-eth0";
const ETH1: &str = "/etc/sysconfig/network/ifcfg-eth1";
const CONFIG: &str = "/etc/sysconfig/network/config";
const DHCP: &str = "/etc/sysconfig/network/dhcp";
const ROUTES: &str = "/etc/sysconfig/network/routes";
const LO: (&str, &str) = (
    "/etc/sysconfig/network/ifcfg-lo",
    "IPADDR='127.0.0.1/8'\nNETMASK='255.0.0.0'\nSTARTMODE='nfsroot'\nBOOTPROTO='static'\n",
);
/// As `YaST` writes it.
const STATIC: &str = "BOOTPROTO='static'\nBROADCAST=''\nETHTOOL_OPTIONS=''\nIPADDR='192.0.2.41/24'\n\
    MTU=''\nNAME='82545EM Gigabit Ethernet Controller'\nNETWORK=''\nREMOTE_IPADDR=''\nSTARTMODE='auto'\n";
/// DHCP with a MAC and a comment.
const WITH_MAC: &str = "# the only NIC\r\nBOOTPROTO='dhcp'\r\nLLADDR='52:54:00:12:34:56'\r\nIPADDR=''\r\nSTARTMODE='auto'\r\n";
const GRUB: (&str, &str) = (
    "/etc/default/grub",
    "GRUB_CMDLINE_LINUX=\"splash=silent\"\n",
);

fn all() -> [&'static dyn Rule; 5] {
    [
        &NetMac,
        &NetStatic,
        &NetNamePinned,
        &NetNoDhcp,
        &NetDhcpIdentity,
    ]
}

fn sles(files: &[(&str, &str)]) -> Fixture {
    let release = ("/etc/os-release", "ID=\"sles\"\nVERSION_ID=\"15.5\"\n");
    Fixture::new(&[&[release, LO], files].concat())
}

#[test]
fn profiles_become_one_of_eth0_by_dhcp() {
    let fixture = sles(&[
        (ETH0, STATIC),
        (
            ETH1,
            "BOOTPROTO=none\nLLADDR=52:54:00:12:34:57\nSTARTMODE=hotplug\n",
        ),
        (
            "/etc/sysconfig/network/ifcfg-bond0",
            "BONDING_MASTER='yes'\nBONDING_SLAVE_0='eth1'\nIPADDR_x='192.0.2.9/24'\nLABEL_x='x'\nSTARTMODE='auto'\n",
        ),
        (
            "/etc/sysconfig/network/ifcfg-br7",
            "BRIDGE='yes'\nBRIDGE_PORTS=''\nLLADDR='52:54:00:aa:bb:cc'\nIPADDR='10.7.0.1/24'\n",
        ),
        (
            "/etc/sysconfig/network/ifroute-eth0",
            "default 192.0.2.1 - -\n",
        ),
        (
            "/etc/sysconfig/network/ifrule-eth0",
            "ipv4 from 192.0.2.41 table 7\n",
        ),
        (
            "/etc/sysconfig/network/ifroute-br7",
            "10.8.0.0/16 10.7.0.9 - -\n",
        ),
        (
            ROUTES,
            "# kept\ndefault 192.0.2.1 - -\n10.9.0.0/16 - - br7\n",
        ),
        GRUB,
    ]);
    fixture.fix(&all());
    let profile = fixture.text(ETH0).unwrap();
    assert!(
        profile.contains("BOOTPROTO='dhcp'\nSTARTMODE='auto'\n"),
        "{profile}"
    );
    for gone in ["ifcfg-eth1", "ifcfg-bond0", "ifroute-eth0", "ifrule-eth0"] {
        assert!(
            !fixture.has(&format!("/etc/sysconfig/network/{gone}")),
            "{gone}"
        );
    }
    assert_eq!(
        fixture.text("/etc/sysconfig/network/ifcfg-br7").unwrap(),
        "BRIDGE='yes'\nBRIDGE_PORTS=''\nIPADDR='10.7.0.1/24'\n"
    );
    assert!(fixture.has("/etc/sysconfig/network/ifroute-br7"));
    assert_eq!(
        fixture.text(ROUTES).unwrap(),
        "# kept\n10.9.0.0/16 - - br7\n"
    );
    assert_eq!(fixture.text(LO.0).unwrap(), LO.1);
    assert_eq!(
        fixture.text(GRUB.0).unwrap(),
        "GRUB_CMDLINE_LINUX=\"splash=silent net.ifnames=0 biosdevname=0\"\n"
    );
}

#[test]
fn a_plain_profile_of_eth0_stays_minus_its_mac() {
    let fixture = sles(&[(ETH0, WITH_MAC)]);
    assert_eq!(fixture.open(&NetMac), [format!("{ETH0}:3")]);
    fixture.fix(&all());
    assert_eq!(
        fixture.text(ETH0).unwrap(),
        WITH_MAC.replace("LLADDR='52:54:00:12:34:56'\r\n", "")
    );
}

#[test]
fn each_rule_alone_leaves_a_network() {
    let bridge = (
        "/etc/sysconfig/network/ifcfg-br0",
        "BRIDGE=yes\nBRIDGE_PORTS='eth0'\nBOOTPROTO='dhcp'\nSTARTMODE='auto'\n",
    );
    let port = (ETH0, "BOOTPROTO='none'\nSTARTMODE='hotplug'\n");
    let by_mac = (
        "/etc/sysconfig/network/ifcfg-eth-id-52:54:00:12:34:56",
        "BOOTPROTO='static'\nIPADDR='192.0.2.41'\nSTARTMODE='onboot'\n_nm_name='bus-pci-0000:02:00.0'\n",
    );
    let native = (
        "/etc/wicked/ifconfig/nic.xml",
        "<interface>\n  <name namespace=\"ethernet\">\n    <permanent-address>52:54:00:12:34:56</permanent-address>\n  \
         </name>\n  <ipv4:static><address><local>192.0.2.41/24</local></address></ipv4:static>\n</interface>\n",
    );
    let cases: [(&[(&str, &str)], &dyn Rule); 6] = [
        (&[(ETH1, STATIC)], &NetStatic),
        (
            &[(ETH1, "BOOTPROTO='dhcp'\nSTARTMODE='auto'\n")],
            &NetNamePinned,
        ),
        (&[bridge, port], &NetNamePinned),
        (&[bridge, port], &NetNoDhcp),
        (&[by_mac], &NetMac),
        (&[native], &NetMac),
    ];
    for (files, rule) in cases {
        let fixture = sles(files);
        assert!(!fixture.open(rule).is_empty(), "{files:?}");
        fixture.fix(&[rule]);
        assert_eq!(fixture.open(&NetNoDhcp), Vec::<String>::new(), "{files:?}");
        fixture.fix(&all());
        assert!(fixture.has(ETH0), "{files:?}");
        assert!(!fixture.has(bridge.0) && !fixture.has(by_mac.0) && !fixture.has(native.0));
    }
}

#[test]
fn a_stack_that_does_not_run_gets_no_profile() {
    let fixture = sles(&[
        (ETH0, WITH_MAC),
        (
            "/etc/sysconfig/network/ifcfg-wlan0",
            "WIRELESS_ESSID='x'\nBOOTPROTO='dhcp'\nLLADDR='52:54:00:12:34:58'\n",
        ),
        ("/usr/lib/systemd/systemd", ""),
        ("/usr/sbin/NetworkManager", ""),
        (
            "/etc/systemd/system/multi-user.target.wants/NetworkManager.service",
            "-> /usr/lib/systemd/system/NetworkManager.service",
        ),
    ]);
    fixture.fix_once(&all());
    assert!(!fixture.has(ETH0));
    assert_eq!(
        fixture.text("/etc/sysconfig/network/ifcfg-wlan0").unwrap(),
        "WIRELESS_ESSID='x'\nBOOTPROTO='dhcp'\n"
    );
}

#[test]
fn macs_in_files_that_are_not_read_are_notes() {
    let mac = "LLADDR='52:54:00:12:34:56'\n";
    let fixture = sles(&[
        (
            ETH0,
            "# LLADDR 52:54:00:12:34:56\nBOOTPROTO='dhcp'\nSTARTMODE='auto'\n",
        ),
        ("/etc/sysconfig/network/ifcfg-eth9.bak", mac),
        ("/etc/sysconfig/network/ifcfg-eth9~", mac),
        ("/etc/sysconfig/network/ifcfg.template", mac),
        ("/etc/sysconfig/network/ifcfg-eth9.rpmsave", mac),
    ]);
    let found = fixture.severities(&NetMac);
    assert_eq!(found.len(), 5);
    assert!(
        found
            .iter()
            .all(|(_, severity)| *severity == Severity::Note)
    );
    fixture.fix(&all());
    assert!(fixture.has("/etc/sysconfig/network/ifcfg-eth9.bak"));
}

#[test]
fn name_servers_and_client_ids_lose_their_values_only() {
    let fixture = sles(&[
        (
            ETH0,
            "BOOTPROTO='dhcp'\nDHCLIENT_CLIENT_ID='me'\nSTARTMODE='auto'\n",
        ),
        (
            CONFIG,
            "## Type: string\nNETCONFIG_DNS_POLICY=\"STATIC\"\nNETCONFIG_DNS_STATIC_SEARCHLIST=\"example.com\"\n\
             NETCONFIG_DNS_STATIC_SERVERS=\"192.0.2.2 192.0.2.3\" # x\nWAIT_FOR_INTERFACES=\"30\"\n",
        ),
        (
            DHCP,
            "DHCLIENT_CLIENT_ID=\"01:52:54:00:12:34:56\"\nDHCLIENT_SET_HOSTNAME=\"yes\"\n",
        ),
        ("/var/lib/wicked/duid.xml", "<duid/>"),
        ("/var/lib/wicked/iaid.xml", "<iaid/>"),
        ("/var/lib/wicked/lease-eth0-dhcp-ipv4.xml", "<lease/>"),
        ("/var/lib/wicked/other", "x"),
    ]);
    let warnings = fixture.severities(&NetStatic);
    assert_eq!(warnings.len(), 2);
    assert!(
        warnings
            .iter()
            .all(|(_, severity)| *severity == Severity::Warning)
    );
    assert_eq!(fixture.open(&NetMac), [format!("{DHCP}:1")]);
    fixture.fix(&all());
    assert_eq!(
        fixture.text(CONFIG).unwrap(),
        "## Type: string\nNETCONFIG_DNS_POLICY=\"auto\"\nNETCONFIG_DNS_STATIC_SEARCHLIST=\"\"\n\
         NETCONFIG_DNS_STATIC_SERVERS=\"\" # x\nWAIT_FOR_INTERFACES=\"30\"\n"
    );
    assert_eq!(
        fixture.text(DHCP).unwrap(),
        "DHCLIENT_CLIENT_ID=\"\"\nDHCLIENT_SET_HOSTNAME=\"yes\"\n"
    );
    assert_eq!(
        fixture.text(ETH0).unwrap(),
        "BOOTPROTO='dhcp'\nSTARTMODE='auto'\n"
    );
    for name in ["duid.xml", "iaid.xml", "lease-eth0-dhcp-ipv4.xml"] {
        assert!(!fixture.has(&format!("/var/lib/wicked/{name}")), "{name}");
    }
    assert!(fixture.has("/var/lib/wicked/other"));
}

#[test]
fn xml_loses_nics_macs_and_identities() {
    const LOCAL: &str = "/etc/wicked/local.xml";
    const NATIVE: &str = "/etc/wicked/ifconfig/a.xml";
    let fixture = sles(&[
        (
            LOCAL,
            "<config>\n  <addrconf><dhcp6>\n    <default-duid><ll>\n      <address>52:54:00:12:34:56</address>\n    </ll></default-duid>\n  \
             </dhcp6></addrconf>\n  <!-- 52:54:00:12:34:56 -->\n  <debug>all</debug>\n</config>\n",
        ),
        (
            "/etc/wicked/client-local.xml",
            "<config><addrconf><dhcp6><default-duid><uuid><machine-id/></uuid></default-duid></dhcp6></addrconf></config>\n",
        ),
        (
            NATIVE,
            "<!-- two -->\n<interface>\n  <name>dummy0</name>\n  <dummy>\n    <address>02:02:02:02:02:02</address>\n  </dummy>\n  \
             <ipv4:static><address><local>10.1.0.1/24</local></address></ipv4:static>\n</interface>\n<interface>\n  <name>eth1</name>\n</interface>\n",
        ),
        (
            "/etc/wicked/ifconfig/broken.xml",
            "<interface>52:54:00:12:34:56\n",
        ),
    ]);
    assert_eq!(
        fixture.open(&NetMac),
        [format!("{NATIVE}:5"), format!("{LOCAL}:4")]
    );
    fixture.fix(&all());
    assert_eq!(
        fixture.text(LOCAL).unwrap(),
        "<config>\n  <addrconf><dhcp6>\n    <default-duid><ll>\n    </ll></default-duid>\n  \
         </dhcp6></addrconf>\n  <!-- 52:54:00:12:34:56 -->\n  <debug>all</debug>\n</config>\n"
    );
    assert!(
        fixture
            .text("/etc/wicked/client-local.xml")
            .unwrap()
            .contains("machine-id")
    );
    assert_eq!(
        fixture.text(NATIVE).unwrap(),
        "<!-- two -->\n<interface>\n  <name>dummy0</name>\n  <dummy>\n  </dummy>\n  \
         <ipv4:static><address><local>10.1.0.1/24</local></address></ipv4:static>\n</interface>\n"
    );
    assert!(fixture.has(ETH0));
}

#[test]
fn sles_11_starts_its_network_by_a_script() {
    let fixture = Fixture::new(&[
        (
            "/etc/SuSE-release",
            "SUSE Linux Enterprise Server 11 (x86_64)\nVERSION = 11\n",
        ),
        LO,
        (ETH1, STATIC),
        ("/etc/init.d/rc3.d/S05network", "-> ../network"),
        (
            "/boot/grub/menu.lst",
            "title SLES\n    kernel /vmlinuz root=/dev/sda2 splash=silent\n    initrd /initrd\n",
        ),
    ]);
    fixture.fix(&all());
    assert!(fixture.has(ETH0) && !fixture.has(ETH1));
    let menu = fixture.text("/boot/grub/menu.lst").unwrap();
    assert!(
        menu.contains("splash=silent net.ifnames=0 biosdevname=0\n"),
        "{menu}"
    );
}
