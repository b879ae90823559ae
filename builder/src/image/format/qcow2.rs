//! QEMU copy-on-write, versions 2 and 3.
//!
//! QEMU `docs/interop/qcow2.txt`. All numbers are big-endian. Two levels of tables lead to the
//! clusters. Reference counts and the tables of snapshots are never looked at: the disk's present
//! state does without them.

use super::super::disk_map::{Codec, Content, DiskMap, Piece, Visit, block, plausible_size};
use super::super::fault::{Fault, Reason, Refusal};
use super::super::window::{Window, field};
use crate::units::byte_len;

/// The length of the header of version 2, and of all fields that are read here.
const HEADER_V2: usize = 72;
const HEADER: usize = 112;
/// The longest table of the first level, in bytes, as in QEMU.
const MAX_L1: u64 = 32 << 20;
/// The longest name of a backing file.
const MAX_NAME: u32 = 1023;
/// The most header extensions that are looked at.
const MAX_EXTENSIONS: u32 = 64;
/// The header extension that states the backing file's format.
const BACKING_FORMAT: u32 = 0xe279_2aca;
/// Where tables and clusters lie: bits 9 to 55 of an entry.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// A cluster is compressed: bit 62 of an entry of the second level.
const COMPRESSED: u64 = 1 << 62;
/// A cluster is zeros: bit 0 of such an entry.
const ZEROS: u64 = 1;
/// The unit in which the length of compressed clusters is counted.
const SECTOR: u64 = 512;
/// Subclusters of a cluster, where there are any.
const SUBCLUSTERS: u64 = 32;

/// The incompatible features.
mod feature {
    pub(super) const DIRTY: u64 = 1;
    pub(super) const CORRUPT: u64 = 1 << 1;
    pub(super) const DATA_FILE: u64 = 1 << 2;
    pub(super) const COMPRESSION: u64 = 1 << 3;
    pub(super) const EXTENDED_L2: u64 = 1 << 4;
    pub(super) const KNOWN: u64 = DIRTY | CORRUPT | DATA_FILE | COMPRESSION | EXTENDED_L2;
}

/// The file that an image lies on top of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Backing {
    /// Its name as the image has it.
    pub(in super::super) name: String,
    /// Its format, where the image states it.
    pub(in super::super) format: Option<String>,
}

/// The tables of an image.
#[derive(Debug)]
pub(in super::super) struct Qcow2 {
    window: Window,
    size: u64,
    cluster_bits: u32,
    l1: u64,
    l1_len: u64,
    version: u32,
    extended: bool,
    codec: Codec,
    snapshots: u32,
    backing: Option<Backing>,
}

impl Qcow2 {
    /// Reads the header.
    pub(in super::super) fn open(window: &Window) -> Result<Self, Fault> {
        let mut header = window.up_to(0, HEADER)?;
        if header.len() < HEADER_V2 {
            return Err(Fault::cut_off("the header"));
        }
        header.resize(HEADER, 0);
        let number = |offset| u32::from_be_bytes(field(&header, offset));
        let long = |offset| u64::from_be_bytes(field(&header, offset));
        let version = number(4);
        let (features, header_len) = match version {
            2 => (0, 72),
            3 => (long(72), number(100)),
            other => {
                return Err(Fault::unsupported(
                    format!("has QCOW2 version {other}"),
                    "run qemu-img convert -O qcow2",
                ));
            }
        };
        let size = plausible_size(long(24))?;
        check_features(features, number(32), size)?;
        let cluster_bits = number(20);
        if !(9..=21).contains(&cluster_bits) {
            return Err(Fault::damaged(format!(
                "it states clusters of 2^{cluster_bits} bytes"
            )));
        }
        let extended = features & feature::EXTENDED_L2 != 0;
        if extended && cluster_bits < 14 {
            return Err(Fault::damaged("its clusters are too small for subclusters"));
        }
        let codec = match header[104] {
            1 if header_len > 104 && features & feature::COMPRESSION != 0 => Codec::Zstd,
            0 => Codec::Deflate,
            _ if header_len <= 104 => Codec::Deflate,
            other => {
                return Err(Fault::unsupported(
                    format!("has clusters compressed by method {other}"),
                    "run qemu-img convert -O qcow2",
                ));
            }
        };
        let mut image = Self {
            window: window.clone(),
            size,
            cluster_bits,
            l1: long(40),
            l1_len: 0,
            version,
            extended,
            codec,
            snapshots: number(60),
            backing: None,
        };
        image.l1_len = image.clusters().div_ceil(image.l2_len());
        if u64::from(number(36)) < image.l1_len || image.l1_len * 8 > MAX_L1 {
            return Err(Fault::damaged(format!(
                "its first table has {} entries, and a disk of {size} bytes needs {}",
                number(36),
                image.l1_len
            )));
        }
        image.backing = backing(window, (long(8), number(16)), header_len)?;
        Ok(image)
    }

    /// How many snapshots are in the file beside the present state.
    pub(in super::super) fn snapshots(&self) -> u32 {
        self.snapshots
    }

    /// The file that it lies on top of.
    pub(in super::super) fn backing(&self) -> Option<&Backing> {
        self.backing.as_ref()
    }

    fn cluster_size(&self) -> u64 {
        1 << self.cluster_bits
    }

    fn clusters(&self) -> u64 {
        self.size.div_ceil(self.cluster_size())
    }

    /// The entries of a table of the second level.
    fn l2_len(&self) -> u64 {
        self.cluster_size() / if self.extended { 16 } else { 8 }
    }

    fn l2(&self, first: u64, entry: u64, visit: &mut Visit<'_>) -> Result<(), Fault> {
        let at = entry & OFFSET;
        if !at.is_multiple_of(self.cluster_size()) {
            return Err(Fault::damaged(format!(
                "a table lies amid a cluster, at {at}"
            )));
        }
        let count = (self.clusters() - first).min(self.l2_len());
        let what = "a table of clusters";
        if self.extended {
            self.window.entries::<16>(at, count, what, |index, bytes| {
                let (entry, bitmap) = (field(&bytes, 0), field(&bytes, 8));
                let bitmap = u64::from_be_bytes(bitmap);
                self.cluster(
                    first + index,
                    u64::from_be_bytes(entry),
                    Some(bitmap),
                    visit,
                )
            })
        } else {
            self.window.entries::<8>(at, count, what, |index, bytes| {
                self.cluster(first + index, u64::from_be_bytes(bytes), None, visit)
            })
        }
    }

    fn cluster(
        &self,
        index: u64,
        entry: u64,
        bitmap: Option<u64>,
        visit: &mut Visit<'_>,
    ) -> Result<(), Fault> {
        if entry & COMPRESSED != 0 {
            return self.visit(index, self.compressed(entry)?, visit);
        }
        let at = entry & OFFSET;
        if !at.is_multiple_of(self.cluster_size()) {
            return Err(Fault::damaged(format!("a cluster lies askew, at {at}")));
        }
        if let Some(bitmap) = bitmap {
            return self.subclusters(index, at, bitmap, visit);
        }
        match at {
            // Version 2 has no such flag.
            _ if entry & ZEROS != 0 && self.version >= 3 => {
                self.visit(index, Content::Zeros, visit)
            }
            0 => Ok(()),
            at => self.visit(index, Content::Stored { at }, visit),
        }
    }

    /// The low half of the bitmap says what is stored, the high half what is zeros.
    fn subclusters(
        &self,
        index: u64,
        at: u64,
        bitmap: u64,
        visit: &mut Visit<'_>,
    ) -> Result<(), Fault> {
        let length = self.cluster_size() / SUBCLUSTERS;
        for subcluster in 0..SUBCLUSTERS {
            let is_set = |bit| (bitmap >> bit) & 1 == 1;
            let content = match (is_set(subcluster), is_set(subcluster + SUBCLUSTERS)) {
                (false, false) => continue,
                (false, true) => Content::Zeros,
                (true, false) if at != 0 => Content::Stored {
                    at: at + subcluster * length,
                },
                _ => return Err(Fault::damaged("a cluster contradicts its subclusters")),
            };
            let number = index * SUBCLUSTERS + subcluster;
            if let Some(piece) = block(number, length, self.size, content) {
                self.visit_clipped(piece, visit)?;
            }
        }
        Ok(())
    }

    fn visit(&self, index: u64, content: Content, visit: &mut Visit<'_>) -> Result<(), Fault> {
        match block(index, self.cluster_size(), self.size, content) {
            Some(piece) => self.visit_clipped(piece, visit),
            None => Ok(()),
        }
    }

    /// The file may end amid its last cluster; what is missing there is zeros.
    fn visit_clipped(&self, mut piece: Piece, visit: &mut Visit<'_>) -> Result<(), Fault> {
        if let Content::Stored { at } = piece.content
            && at < self.window.len()
            && piece.len > self.window.len() - at
        {
            let (there, whole) = (self.window.len() - at, piece);
            piece.len = there;
            visit(piece)?;
            piece = Piece {
                guest: whole.guest + there,
                len: whole.len - there,
                content: Content::Zeros,
            };
        }
        visit(piece)
    }

    /// An entry with an offset and, above it, how many further sectors the data touches.
    fn compressed(&self, entry: u64) -> Result<Content, Fault> {
        let split = 62 - (self.cluster_bits - 8);
        let at = entry & ((1 << split) - 1);
        let sectors = (entry & (COMPRESSED - 1)) >> split;
        let packed = (sectors + 1) * SECTOR - at % SECTOR;
        let left = self.window.len().saturating_sub(at);
        if left == 0 {
            return Err(Fault::cut_off("a compressed cluster"));
        }
        Ok(Content::Packed {
            at,
            packed: packed.min(left),
            codec: self.codec,
        })
    }
}

impl DiskMap for Qcow2 {
    fn size(&self) -> u64 {
        self.size
    }

    fn walk(&self, visit: &mut Visit<'_>) -> Result<(), Fault> {
        let mut read = 0;
        self.window
            .entries(self.l1, self.l1_len, "the first table", |index, bytes| {
                let entry = u64::from_be_bytes(bytes);
                if entry & OFFSET == 0 {
                    return Ok(());
                }
                read += self.cluster_size();
                if read > self.window.len().saturating_add(self.cluster_size()) {
                    return Err(Fault::damaged("tables lie one on another"));
                }
                self.l2(index * self.l2_len(), entry, visit)
            })
    }
}

fn check_features(features: u64, encryption: u32, virtual_size: u64) -> Result<(), Fault> {
    let refuse = |reason, what: &str, hint| {
        Err(Fault::Refused(Refusal {
            reason,
            what: what.to_owned(),
            hint,
            virtual_size,
        }))
    };
    if features & !feature::KNOWN != 0 {
        return Err(Fault::unsupported(
            format!("has unknown features ({:#x})", features & !feature::KNOWN),
            "run qemu-img convert -O qcow2",
        ));
    }
    if encryption != 0 {
        return refuse(
            Reason::Encrypted,
            "is encrypted (LUKS or AES in the QCOW2)",
            "decrypt it with qemu-img convert; OCI encrypts volumes by itself",
        );
    }
    if features & feature::DATA_FILE != 0 {
        return refuse(
            Reason::OtherFile,
            "has its data in another file",
            "make it whole with qemu-img convert -O qcow2 first",
        );
    }
    if features & feature::CORRUPT != 0 {
        return Err(Fault::damaged(
            "QEMU has marked it as corrupt (qemu-img check tells more)",
        ));
    }
    Ok(())
}

/// The name of the backing file, and its format from the header extensions.
fn backing(
    window: &Window,
    (at, len): (u64, u32),
    header_len: u32,
) -> Result<Option<Backing>, Fault> {
    if at == 0 {
        return Ok(None);
    }
    if len == 0 || len > MAX_NAME {
        return Err(Fault::damaged(format!(
            "it states a backing file with a name of {len} bytes"
        )));
    }
    let mut name = vec![0; usize::try_from(len).map_err(|_| Fault::damaged("a long name"))?];
    window.read(at, &mut name, "the backing file's name")?;
    let text = |bytes| String::from_utf8(bytes).map_err(|_| Fault::damaged("a name is no text"));
    let mut backing = Backing {
        name: text(name)?,
        format: None,
    };
    let mut at = u64::from(header_len);
    for _ in 0..MAX_EXTENSIONS {
        let head: [u8; 8] = window.array(at, "a header extension")?;
        let (kind, len) = (
            u32::from_be_bytes(field(&head, 0)),
            u32::from_be_bytes(field(&head, 4)),
        );
        match kind {
            0 => break,
            BACKING_FORMAT if len <= MAX_NAME => {
                let len = usize::try_from(len).map_err(|_| Fault::damaged("a long name"))?;
                let mut format = vec![0; len];
                window.read(at + byte_len(head.len()), &mut format, "a header extension")?;
                backing.format = Some(text(format)?);
                break;
            }
            _ => at += byte_len(head.len()) + u64::from(len).next_multiple_of(8),
        }
    }
    Ok(Some(backing))
}
