use std::io::Cursor;

use proptest::prelude::*;

use super::testing::{
    AREA, AREA_LEN, DATA, area, label, linear, logical, seal_area, seal_label, text, uuid, volume,
};
use super::*;

const SIZE: usize = 3 * 1024 * 1024;
const EXTENT: u64 = 64 * 1024;

fn len(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap()
}

/// Reads a disk that consists of these physical volumes, partitions 1 and so on.
fn read_all(volumes: &[Vec<u8>]) -> Found {
    let mut disk = Vec::new();
    let mut members = Vec::new();
    for (partition, bytes) in (1..).zip(volumes) {
        members.push(Member {
            partition,
            range: ByteRange::new(len(&disk), len(bytes)).unwrap(),
        });
        disk.extend(bytes);
    }
    read(&mut Cursor::new(disk), &members).unwrap()
}

fn read_text(text: &str) -> Found {
    read_all(&[volume('a', SIZE, text, 512)])
}

/// What each volume of the first group is made of.
fn backings(found: &Found) -> Vec<Result<Backing, Obstacle>> {
    let group = &found.groups[0];
    let backing = |volume| group.backing(volume);
    group.logical.iter().map(backing).collect()
}

fn range(extent: u64, count: u64) -> ByteRange {
    ByteRange::new(
        u64::try_from(DATA).unwrap() + extent * EXTENT,
        count * EXTENT,
    )
    .unwrap()
}

#[test]
fn segments_become_bytes() {
    let on_next = ByteRange::new(range(2, 2).start() + len(&[0; SIZE]), 2 * EXTENT).unwrap();
    let tables = |targets| Ok(Backing::Tables(vec![Table { targets }]));
    let cases: [(&[(u64, &str)], Result<Backing, Obstacle>); 6] = [
        (&[(3, &linear("pv0", 2))], Ok(Backing::Range(range(2, 3)))),
        // Two segments that follow one another on the disk as well.
        (
            &[(3, &linear("pv0", 2)), (1, &linear("pv0", 5))],
            Ok(Backing::Range(range(2, 4))),
        ),
        (
            &[(3, &linear("pv0", 2)), (2, &linear("pv1", 2))],
            tables(vec![
                (3 * EXTENT, Target::Linear(range(2, 3))),
                (2 * EXTENT, Target::Linear(on_next)),
            ]),
        ),
        (
            &[(
                4,
                "type = \"striped\"\nstripe_count = 2\nstripe_size = 8\n\
                 stripes = [\"pv0\", 2, \"pv1\", 2]",
            )],
            tables(vec![(
                4 * EXTENT,
                Target::Striped {
                    chunk: 4096,
                    stripes: vec![range(2, 2), on_next],
                },
            )]),
        ),
        (
            &[(1, &linear("pv2", 0))],
            Err(Obstacle::Missing { uuid: uuid('c') }),
        ),
        (
            &[(1, "type = \"cache+METADATA_FORMAT\"")],
            Err(Obstacle::Kind {
                what: "a cached volume",
            }),
        ),
    ];
    for (segments, expected) in cases {
        let text = text(1, "abc", &logical("root", segments));
        let found = read_all(&[
            volume('a', SIZE, &text, 512),
            volume('b', SIZE, &text, 1024),
        ]);
        assert_eq!(found.faults, [], "{segments:?}");
        assert_eq!(backings(&found), [expected], "{segments:?}");
    }
}

#[test]
fn a_thin_volume_lies_on_its_pool() {
    let thin = "type = \"thin\"\nthin_pool = \"pool\"\ndevice_id = 7";
    let pool = "type = \"thin-pool\"\nmetadata = \"meta\"\npool = \"data\"\nchunk_size = 128\n\
                zero_new_blocks = 1";
    let text = text(
        1,
        "a",
        &(logical("root", &[(40, thin)])
            + &logical("pool", &[(8, pool)])
            + &logical("data", &[(8, &linear("pv0", 1))])
            + &logical("meta", &[(1, &linear("pv0", 0))])),
    );
    let found = read_text(&text);
    let Ok(Backing::Tables(tables)) = backings(&found).remove(0) else {
        panic!("{found:?}");
    };
    let targets: Vec<_> = tables.into_iter().flat_map(|table| table.targets).collect();
    assert_eq!(
        targets,
        [
            (EXTENT, Target::Linear(range(0, 1))),
            (8 * EXTENT, Target::Linear(range(1, 8))),
            (
                8 * EXTENT,
                Target::ThinPool {
                    metadata: 0,
                    data: 1,
                    chunk: 64 * 1024,
                    zero: true
                }
            ),
            (40 * EXTENT, Target::Thin { pool: 2, device: 7 }),
        ]
    );
    assert_eq!(found.groups[0].logical[0].kind, Kind::Thin);
}

#[test]
fn what_is_under_a_snapshot_is_left_alone() {
    let snapshot = "type = \"snapshot\"\norigin = \"root\"\ncow_store = \"store\"";
    let text = text(
        1,
        "a",
        &(logical("root", &[(2, &linear("pv0", 0))])
            + &logical("store", &[(2, &linear("pv0", 2))])
            + &logical("snapshot0", &[(2, snapshot)])),
    );
    let found = read_text(&text);
    let obstacles: Vec<_> = backings(&found)
        .into_iter()
        .map(|backing| backing.unwrap_err())
        .collect();
    assert!(matches!(&obstacles[0], Obstacle::Snapshot { name } if name == "store"));
    assert!(matches!(&obstacles[1], Obstacle::Kind { what } if *what == "a snapshot"));
}

#[test]
fn a_text_may_go_round_the_ring() {
    let root = logical("root", &[(1, &linear("pv0", 0))]);
    let text = text(1, "a", &root);
    for offset in [512, AREA_LEN - text.len(), AREA_LEN - 100, AREA_LEN - 1] {
        let found = read_all(&[volume('a', SIZE, &text, offset)]);
        assert_eq!(found.faults, [], "{offset}");
        assert_eq!(found.groups.len(), 1, "{offset}");
    }
}

#[test]
fn the_newest_text_counts() {
    let of = |seqno, name: &str| text(seqno, "ab", &logical(name, &[(1, &linear("pv0", 0))]));
    let name = |found: &Found| found.groups[0].logical[0].name.clone();
    for (first, second) in [(3, 4), (4, 3)] {
        let found = read_all(&[
            volume('a', SIZE, &of(first, "old"), 512),
            volume('b', SIZE, &of(second, "new"), 512),
        ]);
        let expected = if first > second { "old" } else { "new" };
        assert_eq!(name(&found), expected);
        assert!(
            found.groups[0]
                .physical
                .iter()
                .all(|pv| pv.member.is_some())
        );
    }
    // Of what the newest text says, nothing is understood: then an older one is of no use.
    let broken = of(9, "new").replace("extent_count = 1", "extent_count = -1");
    let found = read_all(&[
        volume('a', SIZE, &of(3, "old"), 512),
        volume('b', SIZE, &broken, 512),
    ]);
    assert_eq!(found.groups, []);
    assert_eq!(found.faults.len(), 1);
    // A copy that is damaged is as good as none.
    let mut damaged = volume('b', SIZE, &of(9, "new"), 512);
    damaged[AREA + 600] ^= 1;
    let found = read_all(&[volume('a', SIZE, &of(3, "old"), 512), damaged]);
    assert_eq!(name(&found), "old");
    assert_eq!(found.faults[0].error, MetadataError::TextChecksum);
}

#[test]
fn two_groups_and_two_equal_physical_volumes() {
    let root = logical("root", &[(1, &linear("pv0", 0))]);
    let one = text(1, "a", &root);
    let other = text(1, "b", &root)
        .replace(&uuid('g'), &uuid('h'))
        .replace("vg {", "data {");
    let found = read_all(&[volume('a', SIZE, &one, 512), volume('b', SIZE, &other, 512)]);
    let names: Vec<_> = found.groups.iter().map(|group| &group.name).collect();
    assert_eq!(names, ["data", "vg"]);

    let found = read_all(&[volume('a', SIZE, &one, 512), volume('a', SIZE, &one, 512)]);
    assert_eq!(
        found.faults,
        [Fault {
            partition: 2,
            error: MetadataError::Twice { name: uuid('a') }
        }]
    );
    assert!(backings(&found)[0].as_ref().unwrap_err().is_missing());
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn texts_that_cannot_be_are_refused() {
    let of = |segment: &str| text(1, "a", &logical("root", &[(4, segment)]));
    let fine = of(&linear("pv0", 0));
    let field = |what: &str, field| MetadataError::Field {
        what: what.into(),
        field,
    };
    let what = || "root".to_owned();
    let two =
        logical("root", &[(4, &linear("pv0", 0))]) + &logical("swap", &[(4, &linear("pv0", 3))]);
    for (text, expected) in [
        (
            of(&linear("pv0", -1)),
            MetadataError::BehindEnd { what: what() },
        ),
        (
            of(&linear("pv0", 13)),
            MetadataError::BehindEnd { what: what() },
        ),
        (
            of(&linear("pv0", i64::MAX)),
            MetadataError::BehindEnd { what: what() },
        ),
        (
            of(&linear("pv9", 0)),
            MetadataError::Unknown {
                what: what(),
                on: "pv9".into(),
            },
        ),
        (
            fine.replace("extent_count = 4", "extent_count = -4"),
            field("root", "extent_count"),
        ),
        (
            fine.replace("extent_count = 4", "extent_count = 0"),
            field("root", "extent_count"),
        ),
        (
            fine.replace("extent_count = 4", "extent_count = 9223372036854775807"),
            field("root", "extent_count"),
        ),
        (
            fine.replace("start_extent = 0", "start_extent = 1"),
            MetadataError::Segments { what: what() },
        ),
        (
            fine.replace("segment_count = 1", "segment_count = 2"),
            field("root", "segment_count"),
        ),
        (
            fine.replace("extent_size = 128", "extent_size = 0"),
            field("vg", "extent_size"),
        ),
        (
            fine.replace("extent_size = 128", "extent_size = 9223372036854775807"),
            field("vg", "extent_size"),
        ),
        (
            fine.replace("stripe_count = 1", "stripe_count = 3"),
            field("root", "stripe_count"),
        ),
        (
            fine.replace("stripe_count = 1", "stripe_count = 2"),
            field("root", "stripes"),
        ),
        (fine.replace("root {", "../etc {"), field("../etc", "name")),
        (fine.replace("vg {", "-vg {"), field("-vg", "name")),
        (
            fine.replace("seqno = 1", "seqno = -1"),
            field("vg", "seqno"),
        ),
        (
            of("type = \"thin\"\nthin_pool = \"none\"\ndevice_id = 1"),
            MetadataError::Unknown {
                what: what(),
                on: "none".into(),
            },
        ),
        (
            of("type = \"thin\"\nthin_pool = \"root\"\ndevice_id = 16777216"),
            field("root", "device_id"),
        ),
        (
            text(1, "a", &two),
            MetadataError::Shared {
                uuid: uuid('a'),
                extent: 3,
            },
        ),
        (
            text(1, "a", &two.replace("swap {", "root {")),
            MetadataError::Twice { name: what() },
        ),
        ("version = 1\n".into(), MetadataError::NoGroup),
        ("vg {\n".repeat(500), MetadataError::TooDeep),
    ] {
        let found = read_text(&text);
        let errors: Vec<_> = found.faults.into_iter().map(|fault| fault.error).collect();
        assert_eq!(errors, [expected], "{text}");
        assert_eq!(found.groups, []);
    }
    assert_eq!(read_text(&fine).faults, []);
}

#[test]
fn volumes_that_lie_on_themselves_are_refused() {
    let pool = "type = \"thin-pool\"\nmetadata = \"root\"\npool = \"root\"\nchunk_size = 128";
    let thin = "type = \"thin\"\nthin_pool = \"root\"\ndevice_id = 1";
    for segment in [pool, thin] {
        let found = read_text(&text(1, "a", &logical("root", &[(4, segment)])));
        assert_eq!(backings(&found), [Err(Obstacle::Pieces)]);
    }
}

#[test]
fn a_type_that_nobody_knows_is_told() {
    let found = read_text(&text(
        1,
        "a",
        &logical("root", &[(4, "type = \"holographic\"")]),
    ));
    assert_eq!(found.groups[0].logical[0].kind, Kind::Other);
    assert!(backings(&found)[0].is_err());
}

#[test]
fn a_cut_off_volume_is_told() {
    let text = text(1, "a", &logical("root", &[(16, &linear("pv0", 0))]));
    let found = read_all(&[volume('a', DATA + 8 * 64 * 1024, &text, 512)]);
    assert_eq!(backings(&found), [Err(Obstacle::CutOff)]);
}

/// What is done to the bytes of a disk.
type Damage = Box<dyn Fn(&mut Vec<u8>)>;

#[test]
fn headers_that_cannot_be_are_refused() {
    let text = text(1, "a", &logical("root", &[(1, &linear("pv0", 0))]));
    let put = |at: usize, number: u64| {
        move |bytes: &mut Vec<u8>| bytes[at..at + 8].copy_from_slice(&number.to_le_bytes())
    };
    let cases: [(Damage, Option<MetadataError>); 11] = [
        (Box::new(|_| ()), None),
        // The declared length of the text: 100 MB, more than the area, all that 64 bits can say.
        (
            Box::new(put(AREA + 48, 100_000_000)),
            Some(MetadataError::TooLong { len: 100_000_000 }),
        ),
        (
            Box::new(put(AREA + 48, 1_000_000)),
            Some(MetadataError::TextPlace),
        ),
        (
            Box::new(put(AREA + 48, u64::MAX)),
            Some(MetadataError::TooLong { len: u64::MAX }),
        ),
        // Its place: in the header itself, behind the area.
        (Box::new(put(AREA + 40, 8)), Some(MetadataError::TextPlace)),
        (
            Box::new(put(AREA + 40, u64::MAX)),
            Some(MetadataError::TextPlace),
        ),
        // The area that says of itself to be elsewhere, or longer.
        (
            Box::new(put(AREA + 24, 512)),
            Some(MetadataError::AreaHeader),
        ),
        (
            Box::new(put(AREA + 32, u64::MAX)),
            Some(MetadataError::AreaHeader),
        ),
        // The label: an area behind the end, one without end, areas without end.
        (
            Box::new(put(512 + 104, 1 << 62)),
            Some(MetadataError::CutOff),
        ),
        (
            Box::new(put(512 + 112, u64::MAX)),
            Some(MetadataError::AreaHeader),
        ),
        (
            Box::new(|bytes| bytes[512 + 72..1024].fill(1)),
            Some(MetadataError::LabelAreas),
        ),
    ];
    for (number, (damage, expected)) in cases.iter().enumerate() {
        let mut bytes = volume('a', SIZE, &text, 512);
        damage(&mut bytes);
        seal_label(&mut bytes);
        seal_area(&mut bytes);
        let found = read_all(&[bytes]);
        let error = found.faults.into_iter().next().map(|fault| fault.error);
        assert_eq!(error, *expected, "case {number}");
    }
    for (at, expected) in [
        (512 + 40, MetadataError::LabelChecksum),
        (AREA + 48, MetadataError::AreaChecksum),
        (AREA + 700, MetadataError::TextChecksum),
    ] {
        let mut bytes = volume('a', SIZE, &text, 512);
        bytes[at] ^= 1;
        assert_eq!(read_all(&[bytes]).faults[0].error, expected);
    }
}

#[test]
fn free_extents_are_what_no_volume_uses() {
    let text = text(
        1,
        "ab",
        &(logical("root", &[(3, &linear("pv0", 2)), (2, &linear("pv1", 0))])
            + &logical("swap", &[(4, &linear("pv0", 12))])),
    );
    let found = read_text(&text);
    let free = found.groups[0].free();
    assert_eq!(free, [(0, 0, 2), (0, 5, 7), (1, 2, 14)]);
    // A mirror that pvmove has left may lie on extents that are not looked at.
    for segment in [
        "type = \"mirror\"",
        "type = \"striped\"\nstripe_count = 1\nstripes = [\"swap\", 0]",
    ] {
        let moving = text.replace(
            "logical_volumes {",
            &format!(
                "logical_volumes {{\n{}",
                logical("pvmove0", &[(1, segment)])
            ),
        );
        let found = read_text(&moving);
        assert_eq!(found.faults, []);
        assert_eq!(found.groups[0].free(), []);
    }
}

#[test]
fn stripes_are_read_in_turns() {
    let mut disk = vec![0; 64];
    for (index, byte) in (0..).zip(&mut disk) {
        *byte = index;
    }
    let stripes = vec![
        ByteRange::new(8, 8).unwrap(),
        ByteRange::new(32, 8).unwrap(),
    ];
    let backing = Backing::Tables(vec![Table {
        targets: vec![
            (16, Target::Striped { chunk: 4, stripes }),
            (2, Target::Linear(ByteRange::new(0, 2).unwrap())),
        ],
    }]);
    let mut disk = Cursor::new(disk);
    let mut extents = Extents::new(&mut disk, &backing).unwrap();
    let mut read = Vec::new();
    extents.read_to_end(&mut read).unwrap();
    let expected = [
        8, 9, 10, 11, 32, 33, 34, 35, 12, 13, 14, 15, 36, 37, 38, 39, 0, 1,
    ];
    assert_eq!(read, expected);
}

proptest! {
    /// Whatever the text is, with all checksums right: an answer, soon.
    #[test]
    fn no_text_does_harm(
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        offset in 512_usize..AREA_LEN,
    ) {
        let whole = text(
            1,
            "a",
            &(logical("root", &[(3, &linear("pv0", 2)), (2, &linear("pv0", 7))])
                + &logical("thin", &[(2, "type = \"thin\"\nthin_pool = \"root\"\ndevice_id = 1")])),
        );
        let mut text = whole.into_bytes();
        for (index, byte) in cuts {
            let at = index.index(text.len());
            text[at] = byte;
        }
        let mut bytes = vec![0; SIZE];
        label(&mut bytes, 'a');
        area(&mut bytes, &text, offset);
        let found = read_all(&[bytes]);
        for group in &found.groups {
            group.free();
            for volume in &group.logical {
                group.backing(volume).ok();
            }
        }
    }

    /// Whatever label and header are, with their checksums right.
    #[test]
    fn no_header_does_harm(
        header in proptest::collection::vec(any::<u8>(), 440),
        entry in proptest::collection::vec(any::<u8>(), 24),
    ) {
        let mut bytes = volume('a', 256 * 1024, "vg {}", 512);
        bytes[512 + 72..1024].copy_from_slice(&header);
        seal_label(&mut bytes);
        read_all(&[bytes]);
        let mut bytes = volume('a', 256 * 1024, "vg {}", 512);
        bytes[AREA + 40..AREA + 64].copy_from_slice(&entry);
        seal_area(&mut bytes);
        read_all(&[bytes]);
    }

    #[test]
    fn no_bytes_do_harm(mut bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        if bytes.len() >= 1024 {
            bytes[512..520].copy_from_slice(b"LABELONE");
            bytes[520..528].copy_from_slice(&1_u64.to_le_bytes());
            bytes[536..544].copy_from_slice(b"LVM2 001");
        }
        read_all(&[bytes]);
    }
}
