//! A volume group, taken from its text and checked as a whole: what comes out of here refers to
//! nothing that is not there.

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::Serialize;

use super::text::{self, Section, Value};
use super::{Member, MetadataError};
use crate::units::SECTOR_SIZE;

/// More than LVM itself manages well. Each that is for use is looked into.
const MAX_VOLUMES: usize = 4096;
const MAX_SEGMENTS: usize = 262_144;
const MAX_STRIPES: u64 = 128;
/// LVM counts extents with 32 bits.
const MAX_EXTENTS: u64 = 1 << 32;

/// A volume group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub name: String,
    pub uuid: String,
    pub seqno: u64,
    /// The size of an extent in bytes.
    pub extent_size: u64,
    /// Whether the system that it belongs to has given it up.
    pub exported: bool,
    pub physical: Vec<Physical>,
    pub logical: Vec<Logical>,
}

/// A physical volume of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Physical {
    pub uuid: String,
    /// Where its first extent begins, in bytes.
    pub first_extent: u64,
    /// How many extents it has.
    pub extents: u64,
    /// Where on this disk it is; `None` where it is not, or not for certain.
    pub member: Option<Member>,
    /// Whether the group has gone on without it.
    given_up: bool,
}

/// A logical volume of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logical {
    pub name: String,
    pub uuid: String,
    /// Whether it is for use, and not a part of another one.
    pub visible: bool,
    pub kind: Kind,
    /// Its size in bytes.
    pub size: u64,
    /// In order and without gaps, at least one.
    pub segments: Vec<Segment>,
    /// The volumes that snapshots of it lie on.
    pub snapshots: Vec<String>,
}

/// What a logical volume is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Pieces of physical volumes, one after the other.
    Linear,
    /// Pieces of physical volumes that take turns.
    Striped,
    /// A mirror of the old kind.
    Mirror,
    /// RAID of any level.
    Raid,
    /// A volume that gets its space from a pool when it is written to.
    Thin,
    /// The pool of such volumes.
    ThinPool,
    /// A volume with a cache before it.
    Cache,
    /// The cache.
    CachePool,
    /// A snapshot of the old kind.
    Snapshot,
    /// A volume that is compressed and without duplicates.
    Vdo,
    /// The pool of such volumes.
    VdoPool,
    /// A volume with a cache for writing before it.
    Writecache,
    /// A volume with checksums.
    Integrity,
    /// Something else.
    Other,
}

impl Kind {
    /// The name for messages, that of LVM where it has one.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Striped => "striped",
            Self::Mirror => "mirror",
            Self::Raid => "raid",
            Self::Thin => "thin",
            Self::ThinPool => "thin-pool",
            Self::Cache => "cache",
            Self::CachePool => "cache-pool",
            Self::Snapshot => "snapshot",
            Self::Vdo => "vdo",
            Self::VdoPool => "vdo-pool",
            Self::Writecache => "writecache",
            Self::Integrity => "integrity",
            Self::Other => "other",
        }
    }
}

/// A part of a logical volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Its size in bytes.
    pub len: u64,
    pub map: Map,
}

/// What a segment lies on. Numbers are indices into the group's lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Map {
    /// One area, or several that take turns.
    Areas {
        /// How long a turn is, in bytes; 0 where there is one area.
        stripe_size: u64,
        areas: Vec<Area>,
    },
    /// A volume out of a pool.
    Thin {
        pool: usize,
        device: u64,
        /// Whether what was never written is read from yet another volume.
        external: bool,
    },
    /// The pool itself.
    ThinPool {
        metadata: usize,
        data: usize,
        /// The unit that is given out, in bytes.
        chunk: u64,
        zero: bool,
    },
    /// Something that is not looked into.
    Opaque,
}

/// Where an area begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Area {
    /// On a physical volume, at this extent.
    Physical { volume: usize, extent: u64 },
    /// On a logical volume: another is being moved or converted.
    Logical,
}

/// Which group a text is about, and the group where it is understood.
pub(super) struct Identity {
    pub(super) uuid: String,
    pub(super) seqno: u64,
    pub(super) group: Result<Group, MetadataError>,
}

/// Reads a text. One that has a group with UUID and sequence number is at least known by these.
pub(super) fn identify(text: &str) -> Result<Identity, MetadataError> {
    let text = text::parse(text)?;
    let (name, section) = text.sections().next().ok_or(MetadataError::NoGroup)?;
    let in_group = field(name);
    let uuid = uuid(section).ok_or_else(|| in_group("id"))?;
    let seqno = section.number("seqno").ok_or_else(|| in_group("seqno"))?;
    Ok(Identity {
        uuid: uuid.to_owned(),
        seqno,
        group: group(name, section, uuid, seqno),
    })
}

/// The UUID of a section. It gets into messages, so it holds nothing but what LVM writes.
fn uuid(section: &Section) -> Option<&str> {
    section.text("id").filter(|id| {
        (1..=64).contains(&id.len())
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

fn field(what: &str) -> impl Fn(&'static str) -> MetadataError {
    move |field| MetadataError::Field {
        what: what.to_owned(),
        field,
    }
}

fn group(name: &str, section: &Section, uuid: &str, seqno: u64) -> Result<Group, MetadataError> {
    let wrong = field(name);
    if !is_name(name) {
        return Err(wrong("name"));
    }
    let extent_size = section
        .number("extent_size")
        .filter(|&sectors| sectors > 0)
        .and_then(|sectors| sectors.checked_mul(SECTOR_SIZE))
        .filter(|&bytes| bytes <= u64::MAX / MAX_EXTENTS)
        .ok_or_else(|| wrong("extent_size"))?;
    let empty = Section::default();
    let physical_sections = section
        .section("physical_volumes")
        .ok_or_else(|| wrong("physical_volumes"))?;
    let logical_sections = section.section("logical_volumes").unwrap_or(&empty);

    let mut physical = Vec::new();
    let mut places = Names::default();
    for (name, section) in physical_sections.sections() {
        places.add(name)?;
        physical.push(physical_volume(name, section)?);
    }
    let mut volumes = Names::default();
    for (name, _) in logical_sections.sections() {
        volumes.add(name)?;
    }
    let mut reader = Reader {
        extent_size,
        physical: &physical,
        places: &places,
        volumes: &volumes,
        segments_left: MAX_SEGMENTS,
    };
    let mut logical = Vec::new();
    for (name, section) in logical_sections.sections() {
        logical.push(reader.volume(name, section)?);
    }
    for (_, section) in logical_sections.sections() {
        snapshots(section, &volumes, &mut logical)?;
    }
    let group = Group {
        name: name.to_owned(),
        uuid: uuid.to_owned(),
        seqno,
        extent_size,
        exported: section.lists("status", "EXPORTED"),
        physical,
        logical,
    };
    group.check_shared()?;
    Ok(group)
}

/// Names and their order.
#[derive(Default)]
struct Names(HashMap<String, usize>);

impl Names {
    fn add(&mut self, name: &str) -> Result<(), MetadataError> {
        let index = self.0.len();
        if index >= MAX_VOLUMES {
            return Err(MetadataError::TooMany);
        }
        if self.0.insert(name.to_owned(), index).is_some() {
            return Err(MetadataError::Twice {
                name: name.to_owned(),
            });
        }
        Ok(())
    }

    fn get(&self, what: &str, on: &str) -> Result<usize, MetadataError> {
        self.0
            .get(on)
            .copied()
            .ok_or_else(|| MetadataError::Unknown {
                what: what.to_owned(),
                on: on.to_owned(),
            })
    }
}

/// Whether LVM allows a name: it becomes part of messages and paths.
fn is_name(name: &str) -> bool {
    (1..128).contains(&name.len())
        && !name.starts_with('-')
        && name != "."
        && name != ".."
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+_.-".contains(&byte))
}

fn physical_volume(name: &str, section: &Section) -> Result<Physical, MetadataError> {
    let wrong = field(name);
    let uuid = uuid(section).ok_or_else(|| wrong("id"))?;
    let first_extent = section
        .number("pe_start")
        .and_then(|sectors| sectors.checked_mul(SECTOR_SIZE))
        .ok_or_else(|| wrong("pe_start"))?;
    let extents = section
        .number("pe_count")
        .filter(|&count| count < MAX_EXTENTS)
        .ok_or_else(|| wrong("pe_count"))?;
    Ok(Physical {
        uuid: uuid.to_owned(),
        first_extent,
        extents,
        member: None,
        given_up: section.lists("flags", "MISSING"),
    })
}

struct Reader<'a> {
    extent_size: u64,
    physical: &'a [Physical],
    places: &'a Names,
    volumes: &'a Names,
    segments_left: usize,
}

impl Reader<'_> {
    fn volume(&mut self, name: &str, section: &Section) -> Result<Logical, MetadataError> {
        let wrong = field(name);
        if !is_name(name) {
            return Err(wrong("name"));
        }
        let mut segments = Vec::new();
        let mut kind = None;
        let mut next = 0_u64;
        let mut size = 0_u64;
        for (_, section) in section.sections() {
            self.segments_left = self
                .segments_left
                .checked_sub(1)
                .ok_or(MetadataError::TooMany)?;
            let count = section
                .number("extent_count")
                .filter(|count| (1..MAX_EXTENTS).contains(count))
                .ok_or_else(|| wrong("extent_count"))?;
            if section.number("start_extent") != Some(next) {
                return Err(MetadataError::Segments {
                    what: name.to_owned(),
                });
            }
            next = next
                .checked_add(count)
                .filter(|&end| end < MAX_EXTENTS)
                .ok_or_else(|| wrong("extent_count"))?;
            let (own, map) = self.segment(name, section, count)?;
            kind = Some(match kind {
                None => own,
                Some(Kind::Linear) if own == Kind::Striped => own,
                Some(kind) => kind,
            });
            // Both factors are limited, so that no product of them overflows.
            let len = count * self.extent_size;
            size += len;
            segments.push(Segment { len, map });
        }
        let stated = section.number("segment_count");
        if stated.is_some_and(|stated| usize::try_from(stated) != Ok(segments.len())) {
            return Err(wrong("segment_count"));
        }
        Ok(Logical {
            name: name.to_owned(),
            uuid: uuid(section).ok_or_else(|| wrong("id"))?.to_owned(),
            visible: section.lists("status", "VISIBLE"),
            kind: kind.ok_or_else(|| wrong("segment_count"))?,
            size,
            segments,
            snapshots: Vec::new(),
        })
    }

    fn segment(
        &self,
        name: &str,
        section: &Section,
        count: u64,
    ) -> Result<(Kind, Map), MetadataError> {
        let wrong = field(name);
        let stated = section.text("type").ok_or_else(|| wrong("type"))?;
        // Flags for older versions of LVM follow behind a plus sign.
        let stated = stated.split('+').next().unwrap_or(stated);
        let other = |field: &'static str| {
            let on = section.text(field).ok_or_else(|| wrong(field))?;
            self.volumes.get(name, on)
        };
        let opaque = |kind| Ok((kind, Map::Opaque));
        match stated {
            "striped" | "linear" => self.striped(name, section, count),
            "thin" => Ok((
                Kind::Thin,
                Map::Thin {
                    pool: other("thin_pool")?,
                    // The kernel counts them with 24 bits.
                    device: section
                        .number("device_id")
                        .filter(|&id| id < 1 << 24)
                        .ok_or_else(|| wrong("device_id"))?,
                    external: section.value("external_origin").is_some(),
                },
            )),
            "thin-pool" => Ok((
                Kind::ThinPool,
                Map::ThinPool {
                    metadata: other("metadata")?,
                    data: other("pool")?,
                    // 64 KiB to 1 GiB, in steps of 64 KiB.
                    chunk: section
                        .number("chunk_size")
                        .filter(|&sectors| {
                            (128..=1 << 21).contains(&sectors) && sectors.is_multiple_of(128)
                        })
                        .map(|sectors| sectors * SECTOR_SIZE)
                        .ok_or_else(|| wrong("chunk_size"))?,
                    zero: section.number("zero_new_blocks") == Some(1),
                },
            )),
            "mirror" => opaque(Kind::Mirror),
            "cache" => opaque(Kind::Cache),
            "cache-pool" => opaque(Kind::CachePool),
            "snapshot" => opaque(Kind::Snapshot),
            "vdo" => opaque(Kind::Vdo),
            "vdo-pool" => opaque(Kind::VdoPool),
            "writecache" => opaque(Kind::Writecache),
            "integrity" => opaque(Kind::Integrity),
            raid if raid.starts_with("raid") => opaque(Kind::Raid),
            _ => opaque(Kind::Other),
        }
    }

    fn striped(
        &self,
        name: &str,
        section: &Section,
        count: u64,
    ) -> Result<(Kind, Map), MetadataError> {
        let wrong = field(name);
        let Some(Value::List(list)) = section.value("stripes") else {
            return Err(wrong("stripes"));
        };
        let stripes = section
            .number("stripe_count")
            .filter(|stripes| (1..=MAX_STRIPES).contains(stripes) && count.is_multiple_of(*stripes))
            .ok_or_else(|| wrong("stripe_count"))?;
        if u64::try_from(list.len()) != Ok(2 * stripes) {
            return Err(wrong("stripes"));
        }
        let stripe_size = match stripes {
            1 => 0,
            _ => section
                .number("stripe_size")
                .filter(|sectors| sectors.is_power_of_two())
                .and_then(|sectors| sectors.checked_mul(SECTOR_SIZE))
                .filter(|&bytes| bytes <= self.extent_size)
                .ok_or_else(|| wrong("stripe_size"))?,
        };
        let mut areas = Vec::new();
        for pair in list.chunks_exact(2) {
            let [Value::Text(on), Value::Number(extent)] = pair else {
                return Err(wrong("stripes"));
            };
            areas.push(self.area(name, on, *extent, count / stripes)?);
        }
        let kind = if stripes == 1 {
            Kind::Linear
        } else {
            Kind::Striped
        };
        Ok((kind, Map::Areas { stripe_size, areas }))
    }

    /// `count` extents from `extent` on.
    fn area(&self, name: &str, on: &str, extent: i64, count: u64) -> Result<Area, MetadataError> {
        let Some(&volume) = self.places.0.get(on) else {
            self.volumes.get(name, on)?;
            return Ok(Area::Logical);
        };
        let last = self.physical.get(volume).map_or(0, |place| place.extents);
        u64::try_from(extent)
            .ok()
            .filter(|extent| extent.checked_add(count).is_some_and(|end| end <= last))
            .map(|extent| Area::Physical { volume, extent })
            .ok_or_else(|| MetadataError::BehindEnd {
                what: name.to_owned(),
            })
    }
}

/// Ties the volumes that a snapshot has to do with together.
fn snapshots(
    section: &Section,
    volumes: &Names,
    logical: &mut [Logical],
) -> Result<(), MetadataError> {
    for (name, segment) in section.sections() {
        if segment.text("type") != Some("snapshot") {
            continue;
        }
        let (Some(origin), Some(store)) = (segment.text("origin"), segment.text("cow_store"))
        else {
            return Err(field(name)("origin"));
        };
        let (at, store_at) = (volumes.get(name, origin)?, volumes.get(name, store)?);
        if let Some(store) = logical.get_mut(store_at) {
            store.kind = Kind::Snapshot;
        }
        if let Some(origin) = logical.get_mut(at) {
            origin.snapshots.push(store.to_owned());
        }
    }
    Ok(())
}

impl Segment {
    /// Whether it is known on which extents it lies.
    fn is_understood(&self) -> bool {
        match &self.map {
            Map::Areas { areas, .. } => !areas.contains(&Area::Logical),
            // These lie on other volumes of the group.
            Map::Thin { .. } | Map::ThinPool { .. } => true,
            Map::Opaque => false,
        }
    }
}

impl Group {
    /// Finds its physical volumes among those of the disk. One whose UUID is there twice is not
    /// found: which of them is meant cannot be told.
    pub(super) fn place(&mut self, members: &BTreeMap<String, Vec<Member>>) {
        for physical in &mut self.physical {
            if let Some([member]) = members.get(&physical.uuid).map(Vec::as_slice)
                && !physical.given_up
            {
                physical.member = Some(*member);
            }
        }
    }

    /// An extent belongs to one segment at most.
    fn check_shared(&self) -> Result<(), MetadataError> {
        let mut used: Vec<(usize, u64, u64)> = Vec::new();
        for segment in self.logical.iter().flat_map(|volume| &volume.segments) {
            used.extend(self.used_by(segment));
        }
        used.sort_unstable();
        for pair in used.windows(2) {
            let [(volume, first, count), (next_volume, next, _)] = pair else {
                continue;
            };
            if volume == next_volume && *next < first + count {
                return Err(MetadataError::Shared {
                    uuid: self
                        .physical
                        .get(*volume)
                        .map(|place| place.uuid.clone())
                        .unwrap_or_default(),
                    extent: *next,
                });
            }
        }
        Ok(())
    }

    /// The extents of a segment: physical volume, first, count.
    fn used_by<'a>(&'a self, segment: &'a Segment) -> impl Iterator<Item = (usize, u64, u64)> + 'a {
        let areas: &[Area] = match &segment.map {
            Map::Areas { areas, .. } => areas,
            Map::Thin { .. } | Map::ThinPool { .. } | Map::Opaque => &[],
        };
        let count = u64::try_from(areas.len()).unwrap_or(1).max(1);
        let extents = segment.len / self.extent_size / count;
        areas.iter().filter_map(move |area| match *area {
            Area::Physical { volume, extent } => Some((volume, extent, extents)),
            Area::Logical => None,
        })
    }

    /// The runs of extents that no segment uses, physical volume by physical volume: first, count.
    /// Of a group with segments that are not looked into, nothing is known to be free.
    pub(crate) fn free(&self) -> Vec<(usize, u64, u64)> {
        let mut segments = self.logical.iter().flat_map(|volume| &volume.segments);
        if segments.any(|segment| !segment.is_understood()) {
            return Vec::new();
        }
        let mut used: Vec<(usize, u64, u64)> = Vec::new();
        for segment in self.logical.iter().flat_map(|volume| &volume.segments) {
            used.extend(self.used_by(segment));
        }
        used.sort_unstable();
        let mut used = used.into_iter().peekable();
        let mut free = Vec::new();
        for (volume, physical) in self.physical.iter().enumerate() {
            let mut next = 0;
            while let Some((_, first, count)) = used.next_if(|(on, ..)| *on == volume) {
                if first > next {
                    free.push((volume, next, first - next));
                }
                next = first + count;
            }
            if next < physical.extents {
                free.push((volume, next, physical.extents - next));
            }
        }
        free
    }
}
