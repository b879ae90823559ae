//! Guests with small images, and a tool that makes what a test wants.
#![allow(
    clippy::disallowed_methods,
    reason = "the tool of a test writes where the guest is on the host"
)]

use super::*;
use crate::apply::GuestShell;
use crate::cmd::CmdError;
use crate::finding::Status;
use crate::guest::GuestCommand;
use crate::initramfs::testing::image_with;
use crate::interrupt::Interrupted;
use crate::root::GuestRootMut;
use crate::rules::fixture::Fixture;
use crate::run::{self, Outcome};
use crate::selection::Selection;

const ALL: [&str; 4] = ["virtio_pci", "virtio_scsi", "sd_mod", "xfs"];
const BARE: [&str; 3] = ["mptspi", "sd_mod", "xfs"];
const DEP: &str = "kernel/virtio_pci.ko.xz: kernel/virtio_ring.ko.xz\nkernel/virtio_ring.ko.xz:\n\
    kernel/virtio_scsi.ko.xz:\nkernel/sd_mod.ko.xz:\nkernel/xfs.ko.xz:\n";
const BUILTIN: &str = "kernel/virtio_ring.ko\n";
const RELEASE: (&str, &str) = ("/etc/os-release", "ID=ol\nVERSION_ID=9.4\n");
const FSTAB: (&str, &str) = ("/etc/fstab", "UUID=x / xfs defaults 0 0\n");
const DRACUT: (&str, &str) = (
    "/usr/bin/dracut",
    "no-hostonly no-hostonly-cmdline add-drivers",
);
const IMAGE: &str = "/boot/initramfs-5.14.img";

fn rule() -> BootInitramfsVirtio {
    BootInitramfsVirtio::new(Rc::default(), Rc::default())
}

/// A guest with the kernel 5.14, more files, and an image.
fn guest(image: Option<&str>, dep: &str, builtin: &str, more: &[(&str, &str)]) -> Fixture {
    let mut files = vec![
        RELEASE,
        FSTAB,
        ("/boot/vmlinuz-5.14", "x"),
        ("/lib/modules/5.14/modules.dep", dep),
        ("/lib/modules/5.14/modules.builtin", builtin),
    ];
    files.extend(image.map(|image| (IMAGE, image)));
    files.extend(more);
    Fixture::new(&files)
}

#[test]
fn a_tree_without_kernels_has_nothing_to_judge() {
    for files in [vec![], vec![RELEASE, FSTAB], vec![RELEASE, ("/boot/x", "")]] {
        let fixture = Fixture::new(&files);
        assert!(fixture.check(&rule()).is_empty());
        fixture.fix(&[&rule()]);
    }
}

#[test]
fn drivers_come_from_the_image_or_the_kernel() {
    use Severity::{Blocker, Warning};
    let good = image_with("5.14", &ALL);
    let bare = image_with("5.14", &BARE);
    let sata = image_with("5.14", &["ata_piix", "sd_mod", "xfs"]);
    let without_root = image_with("5.14", &["virtio_pci", "virtio_scsi", "sd_mod"]);
    let every_builtin = ALL.map(|module| format!("kernel/{module}.ko\n")).concat();
    for (image, dep, builtin, expected) in [
        (Some(&good), DEP, BUILTIN, None),
        (Some(&good), DEP, "", Some((Blocker, "virtio_ring"))),
        (
            Some(&bare),
            DEP,
            BUILTIN,
            Some((Blocker, "virtio_pci virtio_scsi")),
        ),
        (Some(&bare), DEP, every_builtin.as_str(), None),
        (Some(&without_root), DEP, BUILTIN, Some((Blocker, "xfs"))),
        (
            None,
            DEP,
            BUILTIN,
            Some((Blocker, "virtio_pci virtio_scsi sd_mod xfs")),
        ),
        (None, "", every_builtin.as_str(), None),
        // A kernel older than virtio SCSI.
        (
            Some(&sata),
            "kernel/sd_mod.ko:\n",
            "",
            Some((Warning, "virtio_pci virtio_scsi")),
        ),
        (
            Some(&bare),
            "kernel/sd_mod.ko:\n",
            "",
            Some((Blocker, "ata_piix")),
        ),
    ] {
        let fixture = guest(image.map(String::as_str), dep, builtin, &[]);
        let found = fixture.check(&rule());
        let shown: Vec<_> = found
            .iter()
            .map(|defect| (defect.severity.unwrap_or(Blocker), defect.evidence.as_str()))
            .collect();
        assert_eq!(shown, Vec::from_iter(expected), "{dep}{builtin}");
        assert!(found.iter().all(|defect| defect.subject == IMAGE));
    }
}

#[test]
fn what_cannot_be_read() {
    for (image, expected) in [
        ("070701", Severity::Blocker),
        ("nonsense", Severity::Blocker),
        ("", Severity::Blocker),
        ("\u{7f}LZO", Severity::Blocker),
        ("070707", Severity::Warning),
    ] {
        let fixture = guest(Some(image), DEP, BUILTIN, &[]);
        let found = fixture.check(&rule());
        assert_eq!(found.len(), 1, "{image}");
        let severity = found[0].severity.unwrap_or(Severity::Blocker);
        assert_eq!(severity, expected, "{image}");
    }
}

#[test]
fn rescue_kernels_and_leftovers_are_not_in_the_way() {
    let good = image_with("5.14", &ALL);
    let bare = image_with("5.14", &BARE);
    let fixture = guest(
        Some(&good),
        DEP,
        BUILTIN,
        &[
            DRACUT,
            ("/boot/vmlinuz-0-rescue-8d0a", ""),
            ("/boot/initramfs-0-rescue-8d0a.img", &bare),
            ("/boot/vmlinuz-4.18", ""),
            ("/boot/initramfs-5.14kdump.img", "x"),
        ],
    );
    assert_eq!(
        fixture.severities(&rule()),
        [
            (
                "/boot/initramfs-0-rescue-8d0a.img".into(),
                Severity::Warning
            ),
            ("/boot/initramfs-4.18.img".into(), Severity::Warning),
        ]
    );
    assert!(commands(&fixture).is_empty());
}

/// What is drafted to be run.
fn commands(fixture: &Fixture) -> Vec<String> {
    fixture.with(|guest| {
        let mut guest = Guest::new(guest.root(), guest.facts()).with_programs(true);
        rule().fix(&mut guest).unwrap();
        let once = guest.commands().to_vec();
        rule().fix(&mut guest).unwrap();
        assert_eq!(guest.commands(), once);
        once.iter().map(|command| command.argv.join(" ")).collect()
    })
}

#[test]
fn only_a_guest_whose_programs_run_is_rebuilt() {
    let bare = image_with("5.14", &BARE);
    let fixture = guest(Some(&bare), DEP, BUILTIN, &[DRACUT]);
    let command = "/usr/bin/dracut --force --no-hostonly --no-hostonly-cmdline --add-drivers \
        virtio_ring virtio_pci virtio_scsi sd_mod xfs /boot/initramfs-5.14.img";
    assert_eq!(commands(&fixture), [format!("{command}.byoi-new 5.14")]);
    fixture.with(|guest| {
        rule().fix(guest).unwrap();
        assert!(guest.commands().is_empty() && guest.drafts().is_empty());
    });
    let hint = fixture.check(&rule()).remove(0).hint;
    assert!(hint.contains("\"virtio_ring virtio_pci"), "{hint}");
    assert!(hint.ends_with("/boot/initramfs-5.14.img 5.14"), "{hint}");
    assert!(commands(&guest(Some(&bare), DEP, BUILTIN, &[])).is_empty());
}

/// A tool that leaves this image, or fails.
struct Tool<'a> {
    host: &'a std::path::Path,
    makes: Option<&'a str>,
}

impl GuestShell for Tool<'_> {
    fn run(&self, command: &GuestCommand) -> Result<(), Error> {
        let written_to = &command.initramfs.as_ref().unwrap().written_to;
        let path = self
            .host
            .join(written_to.to_string().trim_start_matches('/'));
        let Some(image) = self.makes else {
            std::fs::write(path, "half").unwrap();
            return Err(Error::Command(CmdError::Interrupted {
                command: command.argv.join(" "),
                source: Interrupted,
            }));
        };
        std::fs::remove_file(&path).ok();
        std::fs::write(path, image).unwrap();
        Ok(())
    }
}

fn prepare(fixture: &Fixture, makes: Option<&str>) -> Result<Outcome, Error> {
    fixture.with(|guest| {
        let host = guest.root().host_path();
        let rules: [Box<dyn Rule>; 1] = [Box::new(rule())];
        let root = GuestRootMut::open(host).unwrap();
        let tool = Tool { host, makes };
        run::prepare(&root, &rules, &Selection::default(), &tool)
    })
}

#[test]
fn there_is_a_working_image_throughout() {
    let good = image_with("5.14", &ALL);
    let bare = image_with("5.14", &BARE);
    let worse = image_with("5.14", &["sd_mod"]);
    let update = ("/usr/sbin/update-initramfs", "");
    for tool in [DRACUT, update] {
        for (makes, expected, complaint) in [
            (Some(&good), &good, None),
            (Some(&bare), &bare, None),
            (Some(&worse), &bare, Some("it lacks xfs")),
            (
                Some(&good[..good.len() - 200].to_owned()),
                &bare,
                Some("truncated"),
            ),
            (None, &bare, Some("was stopped")),
        ] {
            let fixture = guest(Some(&bare), DEP, BUILTIN, &[tool]);
            let outcome = prepare(&fixture, makes.map(String::as_str));
            assert_eq!(fixture.text(IMAGE).as_deref(), Some(expected.as_str()));
            for suffix in [NEW, COPY, ".byoi-copy"] {
                assert!(!fixture.has(&format!("{IMAGE}{suffix}")), "{suffix}");
            }
            match (outcome, complaint) {
                (Ok(outcome), None) => {
                    let status = outcome.findings[0].status;
                    assert_eq!(status == Status::Fixed, *expected == good);
                }
                (Err(error), Some(complaint)) => {
                    let text = error.to_string();
                    assert!(text.contains(complaint), "{text}");
                }
                (outcome, _) => panic!("{outcome:?}"),
            }
        }
    }
}

#[test]
fn the_first_image_of_a_kernel_is_made() {
    let good = image_with("5.14", &ALL);
    let fixture = guest(None, DEP, BUILTIN, &[DRACUT]);
    prepare(&fixture, Some(&good)).unwrap();
    assert_eq!(fixture.text(IMAGE), Some(good));
    assert!(fixture.has("/etc/dracut.conf.d/zz-byoi.conf"));
}

#[test]
fn what_a_killed_run_left_is_used_or_removed() {
    let good = image_with("5.14", &ALL);
    let bare = image_with("5.14", &BARE);
    let copy = format!("{IMAGE}{COPY}");
    // The image is whole: the copy goes.
    let fixture = guest(Some(&good), DEP, BUILTIN, &[(&copy, &bare)]);
    assert_eq!(
        fixture.severities(&rule()),
        [(copy.clone(), Severity::Warning)]
    );
    fixture.fix(&[&rule()]);
    assert!(!fixture.has(&copy));
    // It is not: a tool that fails again leaves the copy's content.
    let update = ("/usr/sbin/update-initramfs", "");
    let fixture = guest(Some("half"), DEP, BUILTIN, &[(&copy, &bare), update]);
    prepare(&fixture, None).unwrap_err();
    assert_eq!(fixture.text(IMAGE), Some(bare));
    assert!(!fixture.has(&copy));
}
