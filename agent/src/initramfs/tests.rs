//! Images made by the programs that make real ones.

use std::io;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::kernel_modules::KernelModules;
use super::modules::{self, Modules, Provision};
use super::testing::{entry, file, trailer};
use super::*;
use crate::cmd::Cmd;

/// The packers and what they make.
const PACKERS: [(&str, Compression); 8] = [
    ("cat", Compression::None),
    ("gzip -c", Compression::Gzip),
    ("bzip2 -c", Compression::Bzip2),
    ("xz --format=lzma -c", Compression::Lzma),
    ("xz --check=crc32 -c", Compression::Xz),
    ("lz4 -l -c", Compression::Lz4Legacy),
    ("lz4 -c", Compression::Lz4),
    ("zstd -q -c", Compression::Zstd),
];

const RULE: &str = "etc/udev/rules.d/70-persistent-net.rules";

/// Two trees, and `pack DIR`, which writes one as an archive to standard output.
const PRELUDE: &str = r#"
cd "$1"
pack() { (cd "$1" && find . -print0 | LC_ALL=C sort -z | cpio -0 -o -H "${2:-newc}" --quiet); }
mkdir -p early/kernel/x86/microcode
head -c 3000 /dev/urandom > early/kernel/x86/microcode/GenuineIntel.bin
modules=main/usr/lib/modules/6.1.0-9-amd64
mkdir -p main/etc/udev/rules.d main/conf main/dev main/usr/bin $modules/kernel/drivers/scsi
echo 'ATTR{address}=="52:54:00:12:34:56", NAME="eth0"' > main/etc/udev/rules.d/70-persistent-net.rules
echo 'IP=192.0.2.7::192.0.2.1' > main/conf/initramfs.conf
echo 'kernel/fs/ext4/ext4.ko' > $modules/modules.builtin
echo x > $modules/kernel/drivers/scsi/sd_mod.ko.xz
echo x > $modules/kernel/virtio-pci.ko
head -c 200000 /dev/urandom > main/usr/bin/noise
yes incompressible | head -c 300000 >> main/usr/bin/noise || true
ln -s usr/lib main/lib
mknod main/dev/console c 5 1
mkfifo main/dev/initctl
chmod 0750 main/conf
"#;

/// What a script writes to its standard output.
fn image(script: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    Cmd::new("bash")
        .args(["-euo", "pipefail", "-c"])
        .arg(format!("{PRELUDE}\n{script}"))
        .arg("image")
        .arg(dir.path())
        .run()
        .unwrap()
        .stdout
}

/// The first tree as a bare archive, as microcode comes.
static EARLY: LazyLock<Vec<u8>> = LazyLock::new(|| image("pack early"));

/// The second tree, packed by each of the packers.
static MAIN: LazyLock<Vec<(Compression, Vec<u8>)>> = LazyLock::new(|| {
    PACKERS
        .map(|(packer, compression)| (compression, image(&format!("pack main | {packer}"))))
        .to_vec()
});

fn wanted(path: &str) -> bool {
    pins::is_config(path)
}

fn read(bytes: &[u8]) -> Result<Initramfs, InitramfsError> {
    Initramfs::read(bytes, &wanted, &Limits::default())
}

/// What an error and its causes say.
fn complaint(result: Result<Initramfs, InitramfsError>) -> String {
    let error = result.unwrap_err();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

fn compressions(image: &Initramfs) -> Vec<Compression> {
    image
        .segments()
        .iter()
        .map(|segment| segment.compression)
        .collect()
}

#[test]
fn every_compression_gives_the_same_tree() {
    for (compression, bytes) in &*MAIN {
        let image = read(bytes).unwrap();
        assert_eq!(compressions(&image), [*compression]);
        assert!(image.file(RULE).unwrap().starts_with(b"ATTR{address}"));
        assert_eq!(
            image.file("conf/initramfs.conf").unwrap(),
            b"IP=192.0.2.7::192.0.2.1\n"
        );
        let noise = image.entry("usr/bin/noise").unwrap();
        assert_eq!(
            (noise.size, noise.content()),
            (500_000, None),
            "{compression}"
        );
        let kinds = ["conf", "lib", "dev/console", "dev/initctl", "usr/bin/noise"]
            .map(|path| image.entry(path).unwrap().kind.clone());
        assert_eq!(
            kinds,
            [
                Kind::Dir,
                Kind::Symlink("usr/lib".to_owned()),
                Kind::Device,
                Kind::Other,
                Kind::File
            ]
        );
        assert_eq!(image.entry("conf").unwrap().mode, 0o040_750);
        // The root directory counts as an entry, but has no path.
        let listed = u64::try_from(image.iter().count()).unwrap();
        assert_eq!(image.segments()[0].entries, listed + 1);
    }
}

#[test]
fn microcode_padding_and_all_compressions_in_a_row() {
    let mut expected = vec![Compression::None];
    expected.extend(PACKERS.map(|(_, compression)| compression));
    for padding in [0, 512] {
        let mut bytes = EARLY.clone();
        for (_, main) in &*MAIN {
            bytes.resize(bytes.len() + padding, 0);
            bytes.extend(main);
        }
        let image = read(&bytes).unwrap();
        assert_eq!(compressions(&image), expected, "{padding}");
        let microcode = image.entry("kernel/x86/microcode/GenuineIntel.bin");
        assert_eq!(microcode.unwrap().size, 3000);
        assert!(image.file(RULE).is_some());
    }
}

#[test]
fn legacy_lz4_ends_where_the_next_segment_begins() {
    // Their magic numbers are also possible block lengths.
    for next in [
        "gzip -c",
        "xz --format=lzma --lzma1=dict=64MiB -c",
        "lz4 -l -c",
    ] {
        let image = read(&image(&format!(
            "pack early | lz4 -l -c; pack main | {next}"
        )))
        .unwrap();
        assert!(image.file(RULE).is_some(), "{next}");
    }
}

#[test]
fn blocks_of_legacy_lz4_are_joined() {
    let image = read(&image(
        "head -c 20M /dev/zero > main/aaa; pack main | lz4 -l -c; pack main | gzip -1",
    ))
    .unwrap();
    assert_eq!(image.entry("aaa").unwrap().size, 20 << 20);
    assert_eq!(image.segments().len(), 2);
}

#[test]
fn archives_may_share_one_compressed_segment() {
    let image = read(&image(
        "(pack early; head -c 700 /dev/zero; pack main crc) | gzip -c; head -c 99 /dev/zero",
    ))
    .unwrap();
    assert_eq!(compressions(&image), [Compression::Gzip]);
    assert!(image.file(RULE).is_some());
    assert!(image.entry("kernel").is_some());
}

#[test]
fn a_later_entry_replaces_an_earlier_one() {
    let image = read(&image(
        "pack main; echo 'IP=dhcp' > main/conf/initramfs.conf; pack main | gzip -c",
    ))
    .unwrap();
    assert_eq!(image.file("conf/initramfs.conf").unwrap(), b"IP=dhcp\n");
}

#[test]
fn all_names_of_a_file_have_its_data() {
    let image = read(&image(
        "echo 'IP=dhcp' > main/aaa; ln main/aaa main/conf/param.conf; ln main/aaa main/zzz; pack main",
    ))
    .unwrap();
    for path in ["aaa", "conf/param.conf", "zzz"] {
        assert_eq!(image.entry(path).unwrap().size, 8, "{path}");
    }
    assert_eq!(image.file("conf/param.conf").unwrap(), b"IP=dhcp\n");
}

#[test]
fn data_may_come_with_the_first_name() {
    let link = |name, size, data| entry(name, 0o100_644, (7, 2), size, data);
    let image = [
        link("etc/fstab", 3, b"abc"),
        link("etc/hosts", 0, b""),
        trailer(),
        // The trailer ends what inode numbers mean.
        link("etc/crypttab", 0, b""),
        trailer(),
    ]
    .concat();
    let image = read(&image).unwrap();
    assert_eq!(image.file("etc/hosts").unwrap(), b"abc");
    assert_eq!(image.file("etc/crypttab").unwrap(), b"");
}

#[test]
fn odd_names_stay_inside_the_tree() {
    let image = [
        file("../../etc/fstab", b"one"),
        file("/etc/hosts\0\0\0\0", b"two"),
        trailer(),
    ]
    .concat();
    let image = read(&image).unwrap();
    let paths: Vec<_> = image.iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["etc/fstab", "etc/hosts"]);
    assert_eq!(image.file("etc/fstab").unwrap(), b"one");
}

#[test]
fn names_that_are_not_utf8_do_not_hide_the_rest() {
    let mut bytes = file("caf\u{e9}", b"");
    let at = bytes.iter().position(|byte| *byte == 0xc3).unwrap();
    bytes[at] = 0xff;
    bytes.extend([file("etc/fstab", b"one"), trailer()].concat());
    let image = read(&bytes).unwrap();
    assert!(image.entry("caf??").is_some());
    assert!(image.file("etc/fstab").is_some());
}

#[test]
fn a_boot_configuration_may_follow() {
    let tail = b"kernel.root = \"/dev/sda1\"\n\0\0\x1c\0\0\0\x70\x09\0\0#BOOTCONFIG\n";
    let good = [file("etc/fstab", b""), trailer(), tail.to_vec()].concat();
    assert_eq!(read(&good).unwrap().segments().len(), 1);
    let text = complaint(read(&good[..good.len() - 1]));
    assert!(
        text.starts_with("segment 2 of the initramfs, at byte 244"),
        "{text}"
    );
}

#[test]
fn truncation_is_called_so_with_its_place() {
    for (compression, main) in &*MAIN {
        let expected = format!("the initramfs is truncated in segment 2 ({compression})");
        let bytes = [EARLY.as_slice(), main].concat();
        let start = EARLY.len();
        for cut in [
            start + 20,
            start + 300,
            bytes.len() - 100_000,
            bytes.len() - 1000,
        ] {
            assert_eq!(
                complaint(read(&bytes[..cut])),
                expected,
                "{cut} of {}",
                bytes.len()
            );
        }
    }
}

#[test]
fn damage_is_called_so() {
    for (compression, main) in &*MAIN {
        // The middle is random data. Without a checksum nothing tells that a bit in it has changed.
        if matches!(
            compression,
            Compression::None | Compression::Lz4Legacy | Compression::Lzma
        ) {
            continue;
        }
        let mut bytes = main.clone();
        bytes[main.len() / 2] ^= 0x10;
        let text = complaint(read(&bytes));
        let expected = format!("the initramfs is damaged in segment 1 ({compression}): ");
        assert!(text.starts_with(&expected), "{text}");
    }
}

#[test]
fn what_is_no_initramfs_is_refused() {
    for (bytes, expected) in [
        (&b""[..], "the initramfs is empty"),
        (&[0; 5000], "the initramfs is empty"),
        (
            b"\x7fELF",
            "segment 1 of the initramfs, at byte 0, has an unknown format",
        ),
        (
            b"\0\0hello",
            "segment 1 of the initramfs, at byte 2, has an unknown format",
        ),
        (
            b"\x89LZO\0\r\n\x1a\n",
            "segment 1 of the initramfs is in lzop format, which is not supported",
        ),
        (
            b"070707000000",
            "segment 1 of the initramfs is in old portable cpio format, which is not supported",
        ),
    ] {
        assert_eq!(complaint(read(bytes)), expected);
    }
    let text = complaint(read(&image("echo hello | gzip -c")));
    assert_eq!(
        text,
        "the initramfs is damaged in segment 1 (gzip): there is no cpio archive in it"
    );
}

#[test]
fn a_claimed_size_is_not_believed() {
    let huge = entry("etc/fstab", 0o100_644, (1, 1), u32::MAX, b"short");
    assert_eq!(
        complaint(read(&huge)),
        "the initramfs exceeds the limit of 4194304 bytes in a file to keep"
    );
    let huge = entry("usr/bin/x", 0o100_644, (1, 1), u32::MAX, b"short");
    assert_eq!(
        complaint(read(&huge)),
        "the initramfs is truncated in segment 1 (not compressed)"
    );
    let mut huge = file("etc/fstab", b"");
    huge[94..102].copy_from_slice(b"FFFFFFFF");
    assert_eq!(
        complaint(read(&huge)),
        "the initramfs exceeds the limit of 4096 bytes in a path or link target"
    );
}

#[test]
fn limits_are_named_when_exceeded() {
    let strict = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        limits
    };
    let link = entry("a", 0o120_777, (1, 1), 8, b"../fstab");
    let bytes = [file("etc/fstab", &[b'x'; 500]), link, trailer()].concat();
    let twice = bytes.repeat(2);
    for (limits, expected) in [
        (
            strict(|limits| limits.unpacked = 1000),
            "1000 unpacked bytes",
        ),
        (strict(|limits| limits.entries = 3), "3 entries"),
        (strict(|limits| limits.segments = 1), "1 segments"),
        (
            strict(|limits| limits.name = 7),
            "7 bytes in a path or link target",
        ),
        (
            strict(|limits| limits.file = 499),
            "499 bytes in a file to keep",
        ),
        (
            strict(|limits| limits.kept = 600),
            "600 bytes kept in memory",
        ),
    ] {
        let text = complaint(Initramfs::read(twice.as_slice(), &wanted, &limits));
        assert_eq!(
            text,
            format!("the initramfs exceeds the limit of {expected}")
        );
    }
}

#[test]
fn a_bomb_is_refused() {
    let limits = Limits {
        unpacked: 1 << 20,
        ..Limits::default()
    };
    let header = entry("zeros", 0o100_644, (1, 1), 1 << 30, b"");
    let header = String::from_utf8(header).unwrap().replace('\0', "\\0");
    for script in [
        format!("(printf '{header}'; head -c 1G /dev/zero) | gzip -1"),
        "head -c 100M /dev/zero | zstd -q -c".to_owned(),
        "head -c 2M /dev/zero".to_owned(),
    ] {
        let bytes = image(&script);
        let text = complaint(Initramfs::read(bytes.as_slice(), &wanted, &limits));
        assert_eq!(
            text, "the initramfs exceeds the limit of 1048576 unpacked bytes",
            "{script}"
        );
    }
}

#[test]
fn an_error_of_the_file_is_not_the_images() {
    struct Broken<'a>(&'a [u8]);
    impl Read for Broken<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buf)? {
                0 => Err(io::Error::other("bad sector")),
                length => Ok(length),
            }
        }
    }
    for (compression, bytes) in &*MAIN {
        let source = Broken(&bytes[..bytes.len() - 2000]);
        let text = complaint(Initramfs::read(source, &wanted, &Limits::default()));
        assert_eq!(text, "reading the initramfs: bad sector", "{compression}");
    }
}

#[test]
fn drivers_are_found_in_the_kernel_and_in_the_image() {
    let image = read(&image("pack early; pack main | zstd -q -c")).unwrap();
    let versions: Vec<_> = modules::kernel_versions(&image).into_iter().collect();
    assert_eq!(versions, ["6.1.0-9-amd64"]);
    let kernel = KernelModules::parse(
        "kernel/fs/ext4/ext4.ko\n",
        "kernel/virtio-pci.ko: kernel/virtio_ring.ko\nkernel/drivers/scsi/sd_mod.ko.xz: a/ext4.ko\n",
    );
    let modules = Modules::new(Some(&image), versions[0], &kernel);
    for (module, expected) in [
        ("ext4", Provision::BuiltIn),
        ("sd_mod", Provision::Module),
        ("sd-mod", Provision::Module),
        ("virtio_pci", Provision::Module),
        ("virtio_scsi", Provision::Missing),
        ("xfs", Provision::Missing),
    ] {
        assert_eq!(modules.provides(module), expected, "{module}");
    }
    assert_eq!(
        modules.missing_for_boot(&["ext3"]),
        ["virtio_ring", "virtio_scsi"]
    );
    assert_eq!(
        modules.missing_for_boot(&["xfs", "virtio_scsi"]),
        ["virtio_ring", "virtio_scsi", "xfs"]
    );
    assert!(modules.predates_virtio_scsi());
    assert_eq!(modules.missing_for_emulated_boot(&["ext4"]), ["ata_piix"]);
    let unknown = KernelModules::default();
    let other = Modules::new(Some(&image), "5.10.0", &unknown);
    assert!(!other.predates_virtio_scsi());
    assert_eq!(
        other.missing_for_boot::<&str>(&[]),
        ["virtio_pci", "virtio_scsi", "sd_mod"]
    );
}

/// Small images of every compression, for tests that read them many times.
fn small_images() -> Vec<Vec<u8>> {
    PACKERS
        .map(|(packer, _)| image(&format!("rm main/usr/bin/noise; pack main | {packer}")))
        .to_vec()
}

#[test]
fn no_truncation_and_no_flipped_byte_makes_it_panic() {
    let images = small_images();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 1500,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let strategy = (
        0..images.len(),
        any::<prop::sample::Index>(),
        prop::collection::vec((any::<prop::sample::Index>(), 1..=255_u8), 0..4),
    );
    let limits = Limits {
        unpacked: 16 << 20,
        ..Limits::default()
    };
    runner
        .run(&strategy, |(which, cut, flips)| {
            let mut bytes = images[which].clone();
            // Half of the cases keep their whole length.
            let length = cut.index(bytes.len() * 2).min(bytes.len());
            bytes.truncate(length);
            if !bytes.is_empty() {
                for (at, mask) in flips {
                    let at = at.index(bytes.len());
                    bytes[at] ^= mask;
                }
            }
            let result = Initramfs::read(bytes.as_slice(), &wanted, &limits);
            prop_assert!(result.is_ok() || !complaint(result).is_empty());
            Ok(())
        })
        .unwrap();
}
