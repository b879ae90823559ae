//! The text after the header, which says what kind of disk it is.

use sha2::{Digest, Sha256};

use crate::sparsify::AllocationMap;

/// The content id of a disk that has no parent.
const NO_PARENT: u32 = u32::MAX;

/// The geometry that a SCSI adapter gives a disk, whatever its size.
const HEADS: u64 = 255;
const SECTORS_OF_TRACK: u64 = 63;

/// The descriptor of a disk of `capacity` sectors.
pub fn descriptor(capacity: u64, map: &AllocationMap) -> String {
    format!(
        "# Disk DescriptorFile\n\
         version=1\n\
         encoding=\"UTF-8\"\n\
         CID={cid:08x}\n\
         parentCID={NO_PARENT:08x}\n\
         createType=\"streamOptimized\"\n\
         \n\
         # Extent description\n\
         RW {capacity} SPARSE \"disk.vmdk\"\n\
         \n\
         # The Disk Data Base\n\
         #DDB\n\
         \n\
         ddb.virtualHWVersion = \"4\"\n\
         ddb.adapterType = \"lsilogic\"\n\
         ddb.geometry.cylinders = \"{cylinders}\"\n\
         ddb.geometry.heads = \"{HEADS}\"\n\
         ddb.geometry.sectors = \"{SECTORS_OF_TRACK}\"\n",
        cid = content_id(map),
        cylinders = capacity.div_ceil(HEADS * SECTORS_OF_TRACK),
    )
}

/// A number that the same disk has each time. It is written before the content is known, so it is
/// one of where the data is.
fn content_id(map: &AllocationMap) -> u32 {
    let mut digest = Sha256::new();
    digest.update(map.size().to_le_bytes());
    for run in map.runs() {
        digest.update(run.first().number().to_le_bytes());
        digest.update(run.count().to_le_bytes());
    }
    let [a, b, c, d, ..] = digest.finalize()[..] else {
        return 0;
    };
    match u32::from_le_bytes([a, b, c, d]) {
        NO_PARENT => 0,
        id => id,
    }
}
