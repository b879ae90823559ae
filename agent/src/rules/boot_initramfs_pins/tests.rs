//! Guests whose images hold copies of configuration.

use super::*;
use crate::initramfs::testing::image;
use crate::rules::Rule;
use crate::rules::fixture::Fixture;
use crate::rules::net_udev::NetUdev;

const RULES: &str = "etc/udev/rules.d/70-persistent-net.rules";
const PIN: &str = "SUBSYSTEM==\"net\", ATTR{address}==\"52:54:00:12:34:56\", NAME=\"eth0\"\n";
const UPDATE: (&str, &str) = ("/usr/sbin/update-initramfs", "");

fn rule() -> BootInitramfsPins {
    BootInitramfsPins::new(Rc::default(), Rc::default())
}

fn guest(inside: &[(&str, &str)], more: &[(&str, &str)]) -> Fixture {
    let image = image(inside);
    let files = [
        ("/boot/vmlinuz-6.1", "x"),
        ("/boot/initrd.img-6.1", &image),
        ("/lib/modules/6.1/modules.dep", "x.ko:\n"),
        UPDATE,
    ];
    Fixture::debian(&[&files, more].concat())
}

/// Whether the rules together rebuild the image.
fn rebuilds(fixture: &Fixture, rules: &[&dyn Rule]) -> bool {
    fixture.with(|guest| {
        let mut guest = Guest::new(guest.root(), guest.facts()).with_programs(true);
        for rule in rules {
            rule.fix(&mut guest).unwrap();
        }
        !guest.commands().is_empty()
    })
}

#[test]
fn a_copy_is_rebuilt_once_its_source_is_clean() {
    let own = format!("/{RULES}");
    let fixture = guest(&[(RULES, PIN)], &[(&own, PIN)]);
    let found = fixture.check(&rule());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].subject, "/boot/initrd.img-6.1");
    assert_eq!(found[0].evidence, PIN.trim());
    assert!(found[0].message.contains(RULES));
    assert!(found[0].hint.contains("update-initramfs -u -k 6.1"));
    assert!(!rebuilds(&fixture, &[&rule()]));
    assert!(rebuilds(&fixture, &[&NetUdev, &rule()]));
    assert!(rebuilds(&guest(&[(RULES, PIN)], &[]), &[&rule()]));
}

#[test]
fn what_packages_ship_is_no_copy() {
    let link = "usr/lib/systemd/network/50-vendor.link";
    let text = "[Match]\nOriginalName=eth0\n";
    let shipped = guest(&[(link, text)], &[(&format!("/{link}"), text)]);
    assert!(shipped.check(&rule()).is_empty());
    let apart = guest(
        &[(link, text)],
        &[("/lib/systemd/network/50-vendor.link", text)],
    );
    assert!(apart.check(&rule()).is_empty());
    let copied = guest(&[(link, text)], &[]);
    assert_eq!(copied.check(&rule()).len(), 1);
}

#[test]
fn copies_are_compared_with_what_they_are_made_from() {
    let address = "IP=192.0.2.7::192.0.2.1:255.255.255.0::eth0:off\n";
    for (inside, own, text) in [
        (
            "etc/initiatorname.iscsi",
            "/etc/iscsi/initiatorname.iscsi",
            "InitiatorName=iqn.x:web01\n",
        ),
        (
            "conf/initramfs.conf",
            "/etc/initramfs-tools/initramfs.conf",
            address,
        ),
        ("conf/conf.d/ip", "/etc/initramfs-tools/conf.d/ip", address),
    ] {
        let fixture = guest(&[(inside, text)], &[(own, text)]);
        assert_eq!(fixture.check(&rule()).len(), 1, "{inside}");
        assert!(!rebuilds(&fixture, &[&rule()]), "{inside}");
        assert!(rebuilds(&guest(&[(inside, text)], &[]), &[&rule()]));
    }
    // Whatever the guest still has of this puts the system elsewhere.
    let text = "ISCSI_TARGET_IP=192.0.2.9\n";
    assert_eq!(
        source("etc/iscsi.initramfs"),
        "/etc/iscsi/iscsi.initramfs".into()
    );
    assert!(rebuilds(
        &guest(&[("etc/iscsi.initramfs", text)], &[]),
        &[&rule()]
    ));
}

#[test]
fn the_image_of_a_system_elsewhere_stays() {
    let inside = [
        (RULES, PIN),
        (
            "etc/cmdline.d/95iscsi.conf",
            "netroot=iscsi:192.0.2.9::::iqn.x\n",
        ),
        ("etc/initiatorname.iscsi", "InitiatorName=iqn.x:web01\n"),
    ];
    for (path, text) in [
        ("/etc/iscsi/iscsi.initramfs", "ISCSI_TARGET_IP=192.0.2.9\n"),
        (
            "/etc/kernel/cmdline",
            "root=UUID=x rd.iscsi.target.name=iqn.x\n",
        ),
    ] {
        let fixture = guest(&inside, &[(path, text)]);
        let found = fixture.check(&rule());
        assert_eq!(found.len(), inside.len());
        assert!(
            found
                .iter()
                .all(|defect| defect.hint.contains("iscsi/root"))
        );
        assert!(!rebuilds(&fixture, &[&rule()]));
    }
    assert!(rebuilds(&guest(&inside, &[]), &[&rule()]));
}

#[test]
fn notes_and_rescue_images_are_left_alone() {
    let wwids = "etc/multipath/wwids";
    let fixture = guest(&[(wwids, "/3600/\n")], &[]);
    assert_eq!(fixture.check(&rule()).len(), 1);
    assert!(!rebuilds(&fixture, &[&rule()]));
    let rescue = image(&[(RULES, PIN)]);
    let fixture = guest(
        &[],
        &[
            ("/boot/vmlinuz-0-rescue-8d0a", ""),
            ("/boot/initramfs-0-rescue-8d0a.img", &rescue),
        ],
    );
    let severities = fixture.severities(&rule());
    assert_eq!(severities.len(), 1);
    assert_eq!(severities[0].1, Severity::Warning);
    assert!(!rebuilds(&fixture, &[&rule()]));
}

#[test]
fn a_tree_without_images_has_no_pins() {
    for files in [vec![], vec![("/boot/vmlinuz-6.1", "x")]] {
        let fixture = Fixture::debian(&files);
        assert!(fixture.check(&rule()).is_empty());
        fixture.fix(&[&rule()]);
    }
}
