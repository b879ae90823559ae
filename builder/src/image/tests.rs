//! Every format, as real tools write it, against the disk that it was made from.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use byoi_agent::cmd::Cmd;
use tempfile::TempDir;

use super::*;
use crate::progress::Narrator;

pub(super) const MIB: u64 = 1 << 20;

/// A directory with a raw disk in it.
pub(super) struct Bench {
    dir: TempDir,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// A disk with a partition table, an ext4 with files, written zeros, and a sparse tail.
    fn with_disk() -> Self {
        let bench = Self::new();
        bench.shell(
            "truncate -s 64M disk.raw; \
             printf 'label: dos\\nstart=2048,size=65536,type=83,bootable\\n' | \
             sfdisk --quiet --no-tell-kernel disk.raw; mkdir tree; \
             cp /proc/cpuinfo tree; head -c 3000000 /dev/urandom > tree/noise; \
             cp -r /etc/ssl /etc/default tree; \
             mkfs.ext4 -q -F -d tree -E offset=1048576 disk.raw 32M; \
             dd if=/dev/zero of=disk.raw bs=1M seek=40 count=2 conv=notrunc status=none; \
             printf end | dd of=disk.raw bs=1 seek=67108861 conv=notrunc status=none",
        );
        bench
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn shell(&self, script: &str) {
        let script = format!("cd \"$1\"; {script}");
        Cmd::new("sh")
            .args(["-euc", &script, "sh"])
            .arg(self.dir.path())
            .run()
            .unwrap();
    }

    fn convert(&self, format: &str, options: &str, name: &str) {
        let mut options = options.split(' ').filter(|it| !it.is_empty()).peekable();
        let mut command = Cmd::new("qemu-img").args(["convert", "-f", "raw", "-O", format]);
        let compress = options.next_if_eq(&"-c").is_some();
        if compress {
            command = command.arg("-c");
        }
        for option in options {
            command = command.args(["-o", option]);
        }
        command
            .args([self.path("disk.raw"), self.path(name)])
            .run()
            .unwrap();
    }

    pub(super) fn open(&self, input: &Input) -> Result<SourceImage, ImageError> {
        SourceImage::open(input, self.dir.path(), Narrator::Silent)
    }

    /// The format of an image, and its disk in a file.
    pub(super) fn read(&self, name: &str) -> Result<(SourceImage, RawDisk), ImageError> {
        let source = self.open(&Input::of(self.path(name)))?;
        let disk = source.raw_disk(self.dir.path(), Narrator::Silent)?;
        Ok((source, disk))
    }

    /// What is wrong with an image.
    pub(super) fn error(&self, name: &str) -> String {
        match self.read(name) {
            Ok((source, disk)) => format!("read as {}, {} bytes", source.format(), disk.size()),
            Err(error) => error.to_string(),
        }
    }

    /// Asserts that an image holds the disk, with zeros behind it where its geometry asks for more.
    fn assert_equal(&self, name: &str, expected: Format) -> SourceImage {
        let (source, disk) = self
            .read(name)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(source.format(), expected, "{name}");
        assert_eq!(source.size(), disk.size(), "{name}");
        let original = fs::read(self.path("disk.raw")).unwrap();
        let mut bytes = vec![0; usize::try_from(disk.size()).unwrap()];
        disk.file().read_exact_at(&mut bytes, 0).unwrap();
        let (head, tail) = bytes.split_at(original.len());
        assert!(head == original, "{name} differs");
        assert!(tail.iter().all(|&byte| byte == 0), "{name}");
        assert!(tail.len() < 2 << 20, "{name}: {}", tail.len());

        let work = WorkDisk::copy_of(&source, self.dir.path(), Narrator::Silent).unwrap();
        work.file().read_exact_at(&mut bytes, 0).unwrap();
        assert!(bytes[..original.len()] == original, "{name} differs");
        let metadata = work.file().metadata().unwrap();
        assert_eq!(metadata.len(), disk.size(), "{name}");
        let allocated = fs::metadata(self.path("disk.raw")).unwrap().blocks() * 512;
        assert!(
            metadata.blocks() * 512 <= allocated + MIB,
            "{name}: {} of {allocated}",
            metadata.blocks() * 512
        );
        source
    }
}

/// Format and options of qemu-img, the name of the image, what it is.
const IMAGES: [(&str, &str, &str, Format); 18] = [
    ("qcow2", "compat=0.10", "two.qcow2", Format::Qcow2),
    ("qcow2", "compat=1.1", "three.qcow2", Format::Qcow2),
    ("qcow2", "-c compat=0.10", "deflate2.qcow2", Format::Qcow2),
    ("qcow2", "-c", "deflate.qcow2", Format::Qcow2),
    (
        "qcow2",
        "-c compression_type=zstd",
        "zstd.qcow2",
        Format::Qcow2,
    ),
    ("qcow2", "cluster_size=512", "small.qcow2", Format::Qcow2),
    ("qcow2", "-c cluster_size=2M", "large.qcow2", Format::Qcow2),
    (
        "qcow2",
        "extended_l2=on,cluster_size=128k",
        "sub.qcow2",
        Format::Qcow2,
    ),
    (
        "qcow2",
        "preallocation=metadata",
        "meta.qcow2",
        Format::Qcow2,
    ),
    ("vmdk", "", "sparse.vmdk", Format::Vmdk),
    ("vmdk", "zeroed_grain=on", "zeroed.vmdk", Format::Vmdk),
    (
        "vmdk",
        "subformat=monolithicFlat",
        "flat.vmdk",
        Format::Vmdk,
    ),
    (
        "vmdk",
        "subformat=streamOptimized",
        "stream.vmdk",
        Format::Vmdk,
    ),
    ("vdi", "", "dynamic.vdi", Format::Vdi),
    ("vdi", "static=on", "static.vdi", Format::Vdi),
    ("vpc", "", "dynamic.vhd", Format::Vhd),
    (
        "vpc",
        "subformat=fixed,force_size=on",
        "fixed.vhd",
        Format::Vhd,
    ),
    ("vhdx", "", "dynamic.vhdx", Format::Vhdx),
];

#[test]
fn every_format_reads_back_as_it_was() {
    let bench = Bench::with_disk();
    bench.assert_equal("disk.raw", Format::Raw);
    for (format, options, name, expected) in IMAGES {
        bench.convert(format, options, name);
        // The name lies on purpose; a flat VMDK's other file is named inside it.
        bench.shell(&format!("mv {name} image.iso"));
        let source = bench.assert_equal("image.iso", expected);
        assert!(source.containers().is_empty());
        assert!(source.findings().is_empty(), "{name}");
        bench.shell(&format!("mv image.iso {name}"));
    }
    bench.convert("vhdx", "subformat=fixed", "fixed.vhdx");
    bench.assert_equal("fixed.vhdx", Format::Vhdx);
    bench.convert("vpc", "force_size=on", "exact.vhd");
    bench.assert_equal("exact.vhd", Format::Vhd);
}

#[test]
fn packed_images_read_back_as_they_were() {
    let bench = Bench::with_disk();
    for (_, options, name, _) in [IMAGES[1], IMAGES[12]] {
        let format = if name.ends_with("qcow2") {
            "qcow2"
        } else {
            "vmdk"
        };
        bench.convert(format, options, name);
    }
    for (pack, name, expected) in [
        (
            "gzip -1 < disk.raw > p; printf '' | gzip >> p",
            "gzip",
            Format::Raw,
        ),
        ("xz -0 -T0 < disk.raw > p", "xz", Format::Raw),
        // Two frames, and one to be skipped between them.
        (
            "head -c 9000001 disk.raw | zstd -q > p; \
             printf '\\120\\052\\115\\030\\003\\000\\000\\000abc' >> p; \
             tail -c +9000002 disk.raw | zstd -q >> p",
            "zstd",
            Format::Raw,
        ),
        ("gzip -1 < three.qcow2 > p", "gzip", Format::Qcow2),
        ("zstd -q < stream.vmdk > p", "zstd", Format::Vmdk),
    ] {
        bench.shell(pack);
        let source = bench.assert_equal("p", expected);
        assert_eq!(source.containers(), [name], "{pack}");
        assert_eq!(source.format_finding().unwrap().rule, "image/format");
    }
}

#[test]
fn the_one_disk_of_an_archive_is_taken() {
    let bench = Bench::with_disk();
    bench.convert("vmdk", "subformat=streamOptimized", "stream.vmdk");
    bench.convert("qcow2", "", "other.qcow2");
    bench.shell(
        "echo '<Envelope/>' > a.ovf; echo SHA > a.mf; \
         truncate -s 64K a.iso; printf CD001 | dd of=a.iso bs=1 seek=32769 conv=notrunc status=none; \
         printf '\\125\\252' | dd of=a.iso bs=1 seek=510 conv=notrunc status=none; \
         gzip -k stream.vmdk; truncate -s 1M empty.qcow2; qemu-img create -q -f qcow2 empty.qcow2 1M; \
         mkdir $(printf 'd%.0s' $(seq 120)); cp other.qcow2 d*/",
    );
    for (pack, containers, expected) in [
        (
            "tar cf p a.ovf stream.vmdk a.mf a.iso",
            &["ova"][..],
            Format::Vmdk,
        ),
        (
            "tar -H ustar -cf p a.ovf stream.vmdk",
            &["ova"],
            Format::Vmdk,
        ),
        ("tar -H pax -cf p d*/", &["ova"], Format::Qcow2),
        ("tar -H gnu -cf p d*/", &["ova"], Format::Qcow2),
        ("tar cf p disk.raw", &["ova"], Format::Raw),
        (
            "tar cf p a.ovf stream.vmdk.gz",
            &["ova", "gzip"],
            Format::Vmdk,
        ),
        (
            "tar czf p a.ovf other.qcow2",
            &["gzip", "ova"],
            Format::Qcow2,
        ),
    ] {
        bench.shell(pack);
        let source = bench.assert_equal("p", expected);
        assert_eq!(source.containers(), containers, "{pack}");
    }

    bench.shell("tar cf p a.ovf stream.vmdk empty.qcow2");
    let said = bench.error("p");
    assert!(
        said.contains("2 disks, stream.vmdk, empty.qcow2: choose one with --disk"),
        "{said}"
    );
    let mut input = Input::of(bench.path("p"));
    for (number, expected) in [
        (1, Ok(Format::Vmdk)),
        (2, Ok(Format::Qcow2)),
        (3, Err("2 disks")),
    ] {
        input.disk = NonZeroUsize::new(number);
        match (bench.open(&input), expected) {
            (Ok(source), Ok(format)) => assert_eq!(source.format(), format),
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
            (other, _) => panic!("{number}: {other:?}"),
        }
    }
    for (pack, words) in [
        ("tar cf p a.ovf a.mf a.iso", "without a disk in it"),
        (
            "tar cf q stream.vmdk; tar cf p q; tar cf p a.ovf q",
            "without a disk in it",
        ),
        ("gzip < stream.vmdk.gz > p", "packed more than once"),
        (
            "truncate -s 1G s.raw; printf x | dd of=s.raw bs=1 seek=9 conv=notrunc status=none; \
          tar -H gnu -Scf p s.raw",
            "stored as sparse",
        ),
        (
            "tar cf p stream.vmdk; truncate -s 100000 p",
            "end of a member lies behind",
        ),
        ("bzip2 < a.ovf > p", "a bzip2 file"),
    ] {
        bench.shell(pack);
        let said = bench.error("p");
        assert!(said.contains(words), "{pack}: {said}");
    }
}

#[test]
fn what_is_not_whole_is_refused_by_name() {
    let bench = Bench::with_disk();
    bench.convert("vmdk", "subformat=twoGbMaxExtentSparse", "split.vmdk");
    bench.convert("vmdk", "subformat=twoGbMaxExtentFlat", "splitflat.vmdk");
    bench.convert("qcow2", "", "base.qcow2");
    bench.shell(
        "qemu-img create -q -f vmdk parent.vmdk 4M; \
         qemu-img create -q -f vmdk -b parent.vmdk -F vmdk child.vmdk; \
         qemu-img create -q -f vhdx log.vhdx 4M; \
         qemu-img create -q -f qcow2 -o data_file=data.raw,data_file_raw=on outside.qcow2 4M; \
         qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 top.qcow2; \
         qemu-img create -q -f qcow2 --object secret,id=s,data=x \
             -o encrypt.format=luks,encrypt.key-secret=s luks.qcow2 4M; \
         qemu-img create -q -f qcow 1.qcow 4M; qemu-img create -q -f qed 1.qed 4M; \
         qemu-img create -q -f parallels 1.hds 4M",
    );
    for (name, words) in [
        ("split.vmdk", "twoGbMaxExtentSparse"),
        ("split-s001.vmdk", "one extent of a VMDK of several files"),
        ("splitflat.vmdk", "twoGbMaxExtentFlat"),
        ("child.vmdk", "a snapshot on top of another VMDK"),
        ("outside.qcow2", "its data in another file"),
        (
            "top.qcow2",
            "lies on the backing file \"base.qcow2\": give --allow-backing",
        ),
        ("luks.qcow2", "is encrypted"),
        ("1.qcow", "a QCOW image of version 1"),
        ("1.qed", "a QED image"),
        ("1.hds", "a Parallels image"),
    ] {
        let said = bench.error(name);
        assert!(said.contains(words), "{name}: {said}");
    }
    match bench.open(&Input::of(bench.path("luks.qcow2"))) {
        Err(ImageError::Refused { refusal, .. }) => {
            assert_eq!(refusal.finding().rule, "image/encrypted");
            assert_eq!(refusal.virtual_size, 4 * MIB);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn backing_files_are_read_where_that_is_allowed() {
    let bench = Bench::with_disk();
    bench.convert("qcow2", "-c", "base.qcow2");
    bench.shell(
        "cp --sparse=always disk.raw base.raw; \
         qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 middle.qcow2; \
         qemu-img create -q -f qcow2 -b middle.qcow2 -F qcow2 top.qcow2 80M; \
         qemu-img create -q -f qcow2 -b base.raw -F raw short.qcow2 16M; \
         qemu-img create -q -f qcow2 -b top.qcow2 -F qcow2 loop.qcow2; \
         qemu-io -f qcow2 -c 'write -z 1M 2M' middle.qcow2; \
         qemu-io -f qcow2 -c 'write -P 7 0 1000' -c 'write -P 0 5M 100k' -c 'write -P 9 70M 1M' \
             top.qcow2; \
         for name in top short; do \
             qemu-img convert -f qcow2 -O raw $name.qcow2 $name.raw; done; \
         qemu-img create -q -f qcow2 turn.qcow2 4M; \
         qemu-img create -q -f qcow2 -b turn.qcow2 -F qcow2 round.qcow2; \
         qemu-img rebase -u -f qcow2 -b round.qcow2 -F qcow2 turn.qcow2; \
         qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 far.qcow2; \
         qemu-img rebase -u -f qcow2 -b json:x -F qcow2 far.qcow2",
    );
    let mut input = Input::of("");
    input.allow_backing = true;
    for (name, files) in [("top", 2), ("short", 1)] {
        input.path = bench.path(&format!("{name}.qcow2"));
        let source = bench.open(&input).unwrap();
        assert_eq!(source.findings().len(), files, "{name}");
        let disk = source.raw_disk(bench.dir.path(), Narrator::Silent).unwrap();
        let expected = fs::read(bench.path(&format!("{name}.raw"))).unwrap();
        let mut bytes = vec![0; usize::try_from(disk.size()).unwrap()];
        disk.file().read_exact_at(&mut bytes, 0).unwrap();
        assert!(bytes == expected, "{name}");
        // No output may take the place of a backing file.
        assert!(source.is_same_file(&bench.path("base.qcow2")).unwrap() == (name == "top"));
    }
    for (name, words) in [("round", "lead back"), ("far", "no path")] {
        input.path = bench.path(&format!("{name}.qcow2"));
        let error = bench.open(&input).unwrap_err().to_string();
        assert!(error.contains(words), "{name}: {error}");
    }
}

#[test]
fn snapshots_are_told() {
    let bench = Bench::with_disk();
    bench.convert("qcow2", "", "disk.qcow2");
    bench.shell("qemu-img snapshot -c one disk.qcow2; qemu-img snapshot -c two disk.qcow2");
    let source = bench.assert_equal("disk.qcow2", Format::Qcow2);
    let [finding] = &source.findings()[..] else {
        panic!("{:?}", source.findings());
    };
    assert_eq!(finding.rule, "image/snapshot");
    assert!(finding.evidence.ends_with(": 2"), "{}", finding.evidence);
}

#[test]
fn a_flat_extent_is_a_plain_file_beside_its_descriptor() {
    let bench = Bench::with_disk();
    bench.convert("vmdk", "subformat=monolithicFlat", "disk.vmdk");
    let source = bench.assert_equal("disk.vmdk", Format::Vmdk);
    assert!(source.is_same_file(&bench.path("disk-flat.vmdk")).unwrap());
    // A link to the descriptor does not move the directory.
    fs::create_dir(bench.path("elsewhere")).unwrap();
    symlink(bench.path("disk.vmdk"), bench.path("elsewhere/disk.vmdk")).unwrap();
    bench.assert_equal("elsewhere/disk.vmdk", Format::Vmdk);

    let extent = bench.path("disk-flat.vmdk");
    bench.shell("truncate -s 1M disk-flat.vmdk");
    let said = bench.error("disk.vmdk");
    assert!(
        said.contains("disk-flat.vmdk") && said.contains("behind the end"),
        "{said}"
    );
    fs::remove_file(&extent).unwrap();
    symlink("/etc/passwd", &extent).unwrap();
    let said = bench.error("disk.vmdk");
    assert!(
        said.starts_with("opening ") && said.contains("disk-flat.vmdk"),
        "{said}"
    );
    bench.shell("gzip < disk.vmdk > disk.gz");
    let said = bench.error("disk.gz");
    assert!(said.contains("nowhere from here"), "{said}");
}

#[test]
fn what_boots_is_written_out_unless_qemu_reads_it() {
    let bench = Bench::with_disk();
    for (format, options, name, expected) in [
        ("qcow2", "-c", "disk.qcow2", "qcow2"),
        ("vpc", "subformat=fixed,force_size=on", "disk.vhd", "raw"),
        ("vdi", "", "disk.vdi", "raw"),
    ] {
        bench.convert(format, options, name);
        let source = bench.open(&Input::of(bench.path(name))).unwrap();
        let bootable = source.bootable(bench.dir.path(), Narrator::Silent).unwrap();
        assert_eq!(bootable.format().name(), expected);
        Cmd::new("qemu-img")
            .args(["compare", "-q", "-f", "raw", "-F", expected])
            .args([
                OsStr::new(&bench.path("disk.raw")),
                bootable.path().as_os_str(),
            ])
            .run()
            .unwrap();
    }
}

#[test]
fn a_lack_of_room_is_told_before_the_disk_is_written() {
    let bench = Bench::with_disk();
    bench.convert("vmdk", "", "disk.vmdk");
    let source = bench.open(&Input::of(bench.path("disk.vmdk"))).unwrap();
    let file = File::create(bench.path("to")).unwrap();
    let error = source
        .expand(&file, Path::new("/proc"), Narrator::Silent)
        .unwrap_err();
    assert!(matches!(error, ImageError::NoSpace { needed, .. } if needed > 3_000_000));
    assert_eq!(file.metadata().unwrap().len(), 0);
}
