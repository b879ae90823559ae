//! Which bytes of the disk a logical volume is.

use super::group::{Area, Group, Kind, Logical, Map};
use crate::units::ByteRange;

/// How deep volumes lie on one another: a thin one on its pool, the pool on its data.
const MAX_DEPTH: u32 = 8;
/// How many pieces of the disk one volume is put together from.
const MAX_TARGETS: usize = 4096;

/// What a logical volume is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Backing {
    /// One piece of the disk.
    Range(ByteRange),
    /// Tables for the device mapper; the last one is the volume, each refers to earlier ones only.
    Tables(Vec<Table>),
}

/// A device of the device mapper: pieces that follow one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    pub targets: Vec<(u64, Target)>,
}

/// A piece of such a device, behind its length in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A piece of the disk.
    Linear(ByteRange),
    /// Pieces of the disk that take turns.
    Striped {
        /// How long a turn is, in bytes.
        chunk: u64,
        stripes: Vec<ByteRange>,
    },
    /// A pool on two other tables.
    ThinPool {
        metadata: usize,
        data: usize,
        /// The unit that is given out, in bytes.
        chunk: u64,
        /// Whether a unit is zeroed before it is given out.
        zero: bool,
    },
    /// A volume out of the pool that another table is.
    Thin { pool: usize, device: u64 },
}

/// Why a logical volume cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Obstacle {
    #[error("the physical volume {uuid} is not on this disk")]
    Missing { uuid: String },
    #[error("the partition ends before the volume does: the image is cut off")]
    CutOff,
    #[error(
        "byoi does not put {what} together: convert it to a linear volume with lvconvert, or copy \
         the file system to one"
    )]
    Kind { what: &'static str },
    #[error("it has the snapshot {name}, which writing would break: merge or remove it")]
    Snapshot { name: String },
    #[error("it is being moved or converted: let pvmove or lvconvert finish")]
    Moving,
    #[error("two volume groups of this disk have the name {group}: rename one with vgrename")]
    Ambiguous { group: String },
    #[error("its volume group was exported: bring it back with vgimport")]
    Exported,
    #[error("it is in more pieces than byoi puts together")]
    Pieces,
}

impl Obstacle {
    /// Whether a part of the volume is not on this disk.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }
}

impl Kind {
    /// What such a volume is called, with its article.
    fn described(self) -> &'static str {
        match self {
            Self::Linear => "a linear volume",
            Self::Striped => "a striped volume",
            Self::Mirror => "a mirror",
            Self::Raid => "a RAID volume",
            Self::Thin => "a thin volume with an external origin",
            Self::ThinPool => "a thin pool",
            Self::Cache => "a cached volume",
            Self::CachePool => "a cache pool",
            Self::Snapshot => "a snapshot",
            Self::Vdo | Self::VdoPool => "a VDO volume",
            Self::Writecache => "a volume with a write cache",
            Self::Integrity => "a volume with integrity data",
            Self::Other => "a volume of this type",
        }
    }
}

impl Group {
    /// What `volume`, one of this group, is made of.
    pub(crate) fn backing(&self, volume: &Logical) -> Result<Backing, Obstacle> {
        if self.exported {
            return Err(Obstacle::Exported);
        }
        let mut tables = Vec::new();
        self.add(volume, &mut tables, 0)?;
        if let [Table { targets }] = tables.as_slice()
            && let Some(range) = joined(targets)
        {
            return Ok(Backing::Range(range));
        }
        Ok(Backing::Tables(tables))
    }

    /// The partition that `volume` begins on; of one that lies on others, the first of the group.
    pub(crate) fn first_member(&self, volume: &Logical) -> Option<u32> {
        let areas = volume
            .segments
            .iter()
            .find_map(|segment| match &segment.map {
                Map::Areas { areas, .. } => areas.first(),
                _ => None,
            });
        match areas {
            Some(Area::Physical { volume, .. }) => self.physical.get(*volume)?.member,
            _ => self.physical.iter().find_map(|physical| physical.member),
        }
        .map(|member| member.partition)
    }

    /// Adds the tables of a volume; gives the index of its own, which is the last one.
    fn add(
        &self,
        volume: &Logical,
        tables: &mut Vec<Table>,
        depth: u32,
    ) -> Result<usize, Obstacle> {
        if depth > MAX_DEPTH {
            return Err(Obstacle::Pieces);
        }
        if volume.kind == Kind::Snapshot {
            return Err(Obstacle::Kind {
                what: volume.kind.described(),
            });
        }
        if let Some(name) = volume.snapshots.first() {
            return Err(Obstacle::Snapshot { name: name.clone() });
        }
        let mut targets: Vec<(u64, Target)> = Vec::new();
        for segment in &volume.segments {
            if targets.len() >= MAX_TARGETS {
                return Err(Obstacle::Pieces);
            }
            let target = match &segment.map {
                Map::Areas { stripe_size, areas } => {
                    self.areas(segment.len, *stripe_size, areas)?
                }
                Map::ThinPool {
                    metadata,
                    data,
                    chunk,
                    zero,
                } => Target::ThinPool {
                    metadata: self.add_other(*metadata, tables, depth)?,
                    data: self.add_other(*data, tables, depth)?,
                    chunk: *chunk,
                    zero: *zero,
                },
                Map::Thin {
                    pool,
                    device,
                    external: false,
                } => Target::Thin {
                    pool: self.add_other(*pool, tables, depth)?,
                    device: *device,
                },
                Map::Thin { .. } | Map::Opaque => {
                    return Err(Obstacle::Kind {
                        what: volume.kind.described(),
                    });
                }
            };
            targets.push((segment.len, target));
        }
        tables.push(Table { targets });
        Ok(tables.len() - 1)
    }

    fn add_other(
        &self,
        index: usize,
        tables: &mut Vec<Table>,
        depth: u32,
    ) -> Result<usize, Obstacle> {
        // A text that has a volume lie on itself is no deeper than this allows.
        let other = self.logical.get(index).ok_or(Obstacle::Pieces)?;
        if tables.len() > 16 {
            return Err(Obstacle::Pieces);
        }
        self.add(other, tables, depth + 1)
    }

    fn areas(&self, len: u64, stripe_size: u64, areas: &[Area]) -> Result<Target, Obstacle> {
        let count = u64::try_from(areas.len()).unwrap_or(1).max(1);
        let mut stripes = Vec::new();
        for area in areas {
            let Area::Physical { volume, extent } = *area else {
                return Err(Obstacle::Moving);
            };
            stripes.push(self.bytes(volume, extent, len / count)?);
        }
        match stripes.as_slice() {
            [range] => Ok(Target::Linear(*range)),
            _ => Ok(Target::Striped {
                chunk: stripe_size,
                stripes,
            }),
        }
    }

    /// `len` bytes of a physical volume from an extent on.
    pub(crate) fn bytes(
        &self,
        volume: usize,
        extent: u64,
        len: u64,
    ) -> Result<ByteRange, Obstacle> {
        let physical = self.physical.get(volume).ok_or(Obstacle::CutOff)?;
        let member = physical.member.ok_or_else(|| Obstacle::Missing {
            uuid: physical.uuid.clone(),
        })?;
        extent
            .checked_mul(self.extent_size)
            .and_then(|offset| offset.checked_add(physical.first_extent))
            .and_then(|offset| offset.checked_add(member.range.start()))
            .and_then(|start| ByteRange::new(start, len))
            .filter(|range| member.range.contains(*range))
            .ok_or(Obstacle::CutOff)
    }
}

/// The one piece that linear ones make up together, where they follow one another on the disk.
fn joined(targets: &[(u64, Target)]) -> Option<ByteRange> {
    let mut whole: Option<ByteRange> = None;
    for (_, target) in targets {
        let Target::Linear(range) = target else {
            return None;
        };
        whole = Some(match whole {
            None => *range,
            Some(before) if before.end() == range.start() => {
                ByteRange::new(before.start(), before.len().checked_add(range.len())?)?
            }
            Some(_) => return None,
        });
    }
    whole
}
