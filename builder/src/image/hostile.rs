//! Images made to do harm: whatever their bytes say, the answer is an error or a disk, never a
//! panic, another file of the host, or memory and disk space that they do not pay for.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::tests::{Bench, MIB};
use super::*;

/// Where and what is written into an image.
type Patches = &'static [(u64, &'static [u8])];

/// How a small image is made, what is written into it, and what is said of it then.
const CASES: &[(&str, Patches, &str)] = &[
    // QCOW2: header 0, refcount table 1, refcounts 2, L1 3; L2 4 and data 5 once data is there.
    (
        QCOW2,
        &[(40, &[0x7f; 8])],
        "the first table lies behind the end",
    ),
    (
        QCOW2,
        &[(36, &[0, 0, 0, 0])],
        "its first table has 0 entries",
    ),
    (QCOW2, &[(24, &[0xff; 8])], "more than 64 TiB"),
    (
        QCOW2,
        &[(24, &[0, 0, 0x3f, 0, 0, 0, 0, 0])],
        "its first table has 1 entries",
    ),
    (QCOW2, &[(20, &[0, 0, 0, 8])], "clusters of 2^8"),
    (QCOW2, &[(20, &[0, 0, 0, 63])], "clusters of 2^63"),
    (
        QCOW2,
        &[(72, &[0x80, 0, 0, 0, 0, 0, 0, 0])],
        "unknown features",
    ),
    (
        QCOW2,
        &[(72, &[0, 0, 0, 0, 0, 0, 0, 2])],
        "marked it as corrupt",
    ),
    (
        QCOW2,
        &[(72, &[0, 0, 0, 0, 0, 0, 0, 4])],
        "data in another file",
    ),
    (QCOW2, &[(32, &[0, 0, 0, 1])], "is encrypted"),
    (QCOW2, &[(4, &[0, 0, 0, 9])], "QCOW2 version 9"),
    (
        QCOW2,
        &[(8, &[0, 0, 0, 0, 0, 1, 0, 0]), (16, &[0, 0, 0, 11])],
        "backing file",
    ),
    (
        QCOW2,
        &[(8, &[0xff; 8]), (16, &[0, 0, 0, 11])],
        "name lies behind the end",
    ),
    (
        QCOW2,
        &[(8, &[0, 0, 0, 0, 0, 1, 0, 0]), (16, &[0xff; 4])],
        "name of 4294967295 bytes",
    ),
    (
        QCOW2,
        &[(48, &[0xff; 8]), (56, &[0xff; 4]), (96, &[0xff; 4])],
        "read as qcow2",
    ),
    (
        QCOW2,
        &[(60, &[0xff; 4]), (64, &[0xff; 8])],
        "read as qcow2",
    ),
    (
        QCOW2,
        &[(3 << 16, &[0x80, 0, 0x7f, 0, 0, 4, 0, 0])],
        "table of clusters lies behind",
    ),
    (
        QCOW2,
        &[(3 << 16, &[0x80, 0, 0, 0, 0, 4, 2, 0])],
        "amid a cluster",
    ),
    // The table of the first level as the one of the second.
    (
        QCOW2,
        &[(3 << 16, &[0x80, 0, 0, 0, 0, 3, 0, 0])],
        "read as qcow2",
    ),
    (
        QCOW2,
        &[(4 << 16, &[0x80, 0x7f, 0, 0, 0, 5, 0, 0])],
        "block of data lies behind",
    ),
    (
        QCOW2,
        &[(4 << 16, &[0x80, 0, 0, 0, 0, 5, 2, 0])],
        "lies askew",
    ),
    (
        QCOW2,
        &[(4 << 16, &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])],
        "compressed cluster",
    ),
    (
        QCOW2,
        &[(4 << 16, &[0x40, 0, 0, 0, 0, 5, 0, 0])],
        "compressed block at offset 327680 is broken",
    ),
    // VMDK.
    (VMDK, &[(12, &[0xff; 8])], "a place at sector"),
    (
        VMDK,
        &[(12, &[0, 0, 0, 0, 0xff, 0, 0, 0])],
        "more than 64 TiB",
    ),
    (VMDK, &[(20, &[0; 8])], "grains of 0 sectors"),
    (VMDK, &[(20, &[0, 0, 0, 0, 0, 0, 0, 0x80])], "sectors"),
    (VMDK, &[(44, &[0; 4])], "grain tables of 0 entries"),
    (
        VMDK,
        &[(44, &[0xff; 4])],
        "grain tables of 4294967295 entries",
    ),
    (
        VMDK,
        &[(56, &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0])],
        "the grain directory lies behind",
    ),
    (VMDK, &[(56, &[0xff; 8])], "ends without its footer"),
    (
        VMDK,
        &[(28, &[0; 8])],
        "one extent of a VMDK of several files",
    ),
    (VMDK, &[(36, &[0xff; 8])], "a place at sector"),
    (
        VMDK,
        &[(36, &[0, 1, 0, 0, 0, 0, 0, 0])],
        "descriptor is too long",
    ),
    (VMDK, &[(73, b"\n\n\n\n")], "transfer as text"),
    (VMDK, &[(4, &[7, 0, 0, 0])], "VMDK version 7"),
    (VMDK, &[(512, &[0xff; 100])], "descriptor is no text"),
    // VDI.
    (VDI, &[(0x170, &[0xff; 8])], "more than 64 TiB"),
    (VDI, &[(0x178, &[0; 4])], "blocks of 0"),
    (VDI, &[(0x178, &[0xff; 4])], "blocks of 4294967295"),
    (VDI, &[(0x180, &[0; 4])], "0 blocks of"),
    (VDI, &[(0x154, &[0xff; 4])], "the block map lies behind"),
    (VDI, &[(0x4c, &[4, 0, 0, 0])], "differencing"),
    (VDI, &[(0x1a8, &[1; 16])], "differencing"),
    (VDI, &[(0x44, &[0, 0, 9, 0])], "VDI version 9.0"),
    (
        VDI,
        &[(0x200, &[0, 0, 0, 0x7f])],
        "block of data lies behind",
    ),
    (
        VDI,
        &[(0x170, &[0, 0, 0x20, 0, 0, 0, 0, 0]), (0x204, &[0; 4])],
        "lie one on another",
    ),
    // VHD: the checksums keep most lies out, so the lies here are about the checksum and places.
    (VHD, &[(48, &[0xff; 8])], "checksum of the footer"),
    (
        VHD,
        &[(512 + 32, &[0; 4])],
        "checksum of the dynamic disk header",
    ),
    (VHD, &[(512, &[0; 8])], "no dynamic disk header"),
    (
        VHD,
        &[(1536, &[0x7f, 0xff, 0xff, 0xff])],
        "a block lies behind",
    ),
    // VHDX.
    (
        VHDX,
        &[(64 << 10, &[0; 64]), (128 << 10, &[0; 64])],
        "both of its headers",
    ),
    (
        VHDX,
        &[(192 << 10, &[0; 64]), (256 << 10, &[0; 64])],
        "both of its region tables",
    ),
    (
        VHDX,
        &[((64 << 10) + 48, &[1; 16]), ((128 << 10) + 48, &[1; 16])],
        "both of its headers",
    ),
    (VHDX, &[(0x30_0000, &[0; 8])], "no metadata table"),
];

const QCOW2: &str = "qemu-img create -q -f qcow2 p 4M; \
                     qemu-io -f qcow2 -c 'write -P 1 0 64k' p > /dev/null";
const VMDK: &str = "qemu-img create -q -f vmdk p 4M; qemu-io -f vmdk -c 'write -P 1 0 64k' p > \
                    /dev/null";
const VDI: &str = "qemu-img create -q -f vdi p 2M; qemu-io -f vdi -c 'write -P 1 0 64k' p > \
                   /dev/null";
const VHD: &str = "qemu-img create -q -f vpc p 4M; qemu-io -f vpc -c 'write -P 1 0 64k' p > \
                   /dev/null";
const VHDX: &str = "qemu-img create -q -f vhdx p 4M; qemu-io -f vhdx -c 'write -P 1 0 64k' p > \
                    /dev/null";

fn patch(bench: &Bench, patches: &[(u64, &[u8])]) {
    let file = OpenOptions::new()
        .write(true)
        .open(bench.path("p"))
        .unwrap();
    for (offset, bytes) in patches {
        file.write_all_at(bytes, *offset).unwrap();
    }
}

#[test]
fn lies_in_headers_and_tables_are_told() {
    let bench = Bench::new();
    for (make, patches, words) in CASES {
        bench.shell(make);
        assert!(bench.error("p").starts_with("read as"), "{make}");
        patch(&bench, patches);
        let said = bench.error("p");
        assert!(said.contains(words), "{patches:x?}: {said}, not {words}");
    }
}

#[test]
fn images_cut_off_anywhere_are_told() {
    let bench = Bench::new();
    for make in [
        QCOW2,
        VMDK,
        VDI,
        VHD,
        VHDX,
        "qemu-img create -q -f raw d 4M; qemu-io -f raw -c 'write -P 1 0 2M' d > /dev/null; \
         qemu-img convert -f raw -O vmdk -o subformat=streamOptimized d p",
    ] {
        bench.shell(make);
        let whole = fs::read(bench.path("p")).unwrap();
        for part in [16, 8, 4, 2] {
            fs::write(bench.path("p"), &whole[..whole.len() / part]).unwrap();
            // What was cut off may be a part that says nothing.
            let _ = bench.error("p");
        }
        fs::write(bench.path("p"), &whole[..600]).unwrap();
        assert!(!bench.error("p").starts_with("read as"), "{make}");
    }
}

/// A file of the host whose content would be seen in a disk.
#[test]
fn no_image_leads_to_a_file_of_the_host() {
    let bench = Bench::new();
    let secret = b"byoi-secret-of-the-host";
    fs::write(bench.path("secret"), secret).unwrap();
    let name = bench.path("secret").display().to_string();
    let descriptor = |extent: &str| {
        format!(
            "printf '# Disk DescriptorFile\\nversion=1\\nCID=1\\nparentCID=ffffffff\\n\
             createType=\"monolithicFlat\"\\nRW 1 FLAT \"%s\" 0\\n' '{extent}' > p"
        )
    };
    for (make, words) in [
        (
            format!("qemu-img create -q -f qcow2 -u -b {name} -F raw p 1M"),
            "lies on the backing file",
        ),
        (
            "qemu-img create -q -f qcow2 -u -b /etc/passwd -F raw p 1M".to_owned(),
            "lies on the backing file \"/etc/passwd\"",
        ),
        (
            format!(
                "qemu-img create -q -f qcow2 -o data_file=d,data_file_raw=on p 1M; \
                 qemu-img amend -f qcow2 -o data_file={name} p 2> /dev/null || true"
            ),
            "its data in another file",
        ),
        // What a guest writes into the first sector of a raw disk.
        (
            format!(
                "qemu-img create -q -f qcow2 -u -b {name} -F raw q 1M; truncate -s 8M p; \
                 dd if=q of=p conv=notrunc status=none"
            ),
            "lies on the backing file",
        ),
        (descriptor(&name), "outside its own directory"),
        (descriptor("../../etc/shadow"), "outside its own directory"),
        (
            format!(
                "ln -sf {name} link-flat.vmdk; {}",
                descriptor("link-flat.vmdk")
            ),
            "opening",
        ),
        (
            "qemu-img create -q -f vmdk -o subformat=monolithicSparse p 1M; \
             sed -i 's/parentCID=ffffffff/parentCID=fffffffe/' p"
                .to_owned(),
            "a snapshot on top of another",
        ),
    ] {
        bench.shell(&make);
        let said = bench.error("p");
        assert!(said.contains(words), "{make}: {said}");
        fs::remove_file(bench.path("p")).unwrap();
    }
    // Links in an archive lead nowhere either.
    bench.shell(&format!(
        "ln -s {name} disk.vmdk; tar cf p disk.vmdk; rm disk.vmdk; ln {name} hard.vmdk; \
         tar rf p hard.vmdk secret"
    ));
    assert!(bench.error("p").contains("without a disk in it"));
}

#[test]
fn what_shrinks_to_nothing_does_not_grow_without_bound() {
    let bench = Bench::new();
    // A table of the second level whose entries all mean the same compressed cluster.
    bench.shell(
        "qemu-img create -q -f raw d 64k; qemu-io -f raw -c 'write -P 1 0 64k' d > /dev/null; \
         qemu-img convert -c -f raw -O qcow2 d p; qemu-img resize -q -f qcow2 p 512M",
    );
    let image = fs::read(bench.path("p")).unwrap();
    let l2 = usize::try_from(u64::from_be_bytes(
        image[3 << 16..(3 << 16) + 8].try_into().unwrap(),
    ))
    .unwrap()
        & 0xff_ffff;
    let entries = image[l2..l2 + 8].repeat(8192);
    patch(&bench, &[(u64::try_from(l2).unwrap(), entries.as_slice())]);
    // It is what it says: 512 MiB. The room that it needs is known before.
    let source = bench.open(&Input::of(bench.path("p"))).unwrap();
    let file = tempfile::tempfile().unwrap();
    let error = source
        .expand(
            &file,
            std::path::Path::new("/proc"),
            crate::progress::Narrator::Silent,
        )
        .unwrap_err();
    assert!(matches!(error, ImageError::NoSpace { needed, .. } if needed == 512 * MIB));

    // Zeros without end cost neither memory nor room.
    let mut packed = GzEncoder::new(
        fs::File::create(bench.path("p")).unwrap(),
        Compression::fast(),
    );
    let zeros = vec![0; 1 << 20];
    for _ in 0..256 {
        packed.write_all(&zeros).unwrap();
    }
    packed.finish().unwrap();
    let (source, disk) = bench.read("p").unwrap();
    assert_eq!(source.size(), 256 * MIB);
    let metadata = disk.file().metadata().unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::blocks(&metadata), 0);
}

#[test]
fn broken_streams_are_told() {
    let bench = Bench::new();
    bench.shell("head -c 2M /dev/urandom > d");
    for pack in ["gzip", "xz -0", "zstd -q"] {
        bench.shell(&format!("{pack} < d > p"));
        let whole = fs::read(bench.path("p")).unwrap();
        for cut in [whole.len() - 1, whole.len() / 2, 20] {
            fs::write(bench.path("p"), &whole[..cut]).unwrap();
            let said = bench.error("p");
            assert!(said.starts_with("unpacking"), "{pack} {cut}: {said}");
        }
        let mut bent = whole.clone();
        bent[whole.len() / 2] ^= 0x55;
        fs::write(bench.path("p"), &bent).unwrap();
        let said = bench.error("p");
        assert!(said.starts_with("unpacking"), "{pack}: {said}");
    }
    // Dictionaries of 4 GiB and windows of terabytes.
    fs::write(
        bench.path("p"),
        b"\x28\xb5\x2f\xfd\x00\xf8\x01\x00\x00".repeat(64),
    )
    .unwrap();
    assert!(bench.error("p").starts_with("unpacking"));
}

fn made(make: &str) -> Vec<u8> {
    let bench = Bench::new();
    bench.shell(make);
    fs::read(bench.path("p")).unwrap()
}

fn never_panics(bytes: &[u8]) {
    let bench = Bench::new();
    fs::write(bench.path("p"), bytes).unwrap();
    // An answer is all that is asked for.
    let _ = bench.error("p");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_bytes_after_a_magic_never_panic(bytes in prop::collection::vec(any::<u8>(), 512..8192)) {
        for (offset, magic) in [
            (0, &b"QFI\xfb\0\0\0\x02"[..]),
            (0, b"QFI\xfb\0\0\0\x03"),
            (0, b"KDMV\x01\0\0\0"),
            (0, b"# Disk DescriptorFile\n"),
            (0x40, &[0x7f, 0x10, 0xda, 0xbe, 1, 0, 1, 0]),
            (0, b"conectix"),
            (0, b"vhdxfile"),
            (257, b"ustar"),
            (0, &[0x1f, 0x8b, 8, 0]),
            (0, b"\xfd7zXZ\0"),
            (0, &[0x28, 0xb5, 0x2f, 0xfd]),
        ] {
            let mut bytes = bytes.clone();
            bytes[offset..offset + magic.len()].copy_from_slice(magic);
            never_panics(&bytes);
        }
    }

    #[test]
    fn bent_images_never_panic(
        format in 0_usize..5,
        bends in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..24),
    ) {
        static IMAGES: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
        let images = IMAGES.get_or_init(|| [QCOW2, VMDK, VDI, VHD, VHDX].map(made).to_vec());
        let mut bytes = images[format].clone();
        for (place, byte, in_header) in bends {
            let len = if in_header { bytes.len().min(600) } else { bytes.len() };
            bytes[place.index(len)] = byte;
        }
        never_panics(&bytes);
    }
}
