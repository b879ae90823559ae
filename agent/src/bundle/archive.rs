//! The archive: the manifest, and then every path that was there, in its order.

use std::fs::File;
use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};
use tar::{Archive, Builder, EntryType, Header};

use super::BundleError;
use super::manifest::{Entry, Manifest};
use super::member::{Member, Records, parse_records};
use super::sparse::{self, Packed};
use super::state::{State, hex};
use crate::error::Error;
use crate::failpoint;
use crate::interrupt;
use crate::root::{Attributes, GuestRoot};

/// What the first member is called.
const MANIFEST: &str = "byoi-bundle.json";
/// The largest manifest that is read, in bytes.
const MANIFEST_LIMIT: u64 = 256 << 20;
/// The most that a member's PAX records may hold, in bytes.
const RECORDS_LIMIT: u64 = 4 << 20;
/// What a member is filled up to a multiple of, in bytes.
const RECORD: u64 = 512;
/// How much is copied at once, in bytes.
const CHUNK: usize = 64 << 10;

/// Writes a bundle of a guest as it stands.
///
/// # Errors
///
/// The guest could not be read, changed meanwhile, or the bundle could not be written.
pub fn write(manifest: &Manifest, root: &GuestRoot, out: &mut dyn Write) -> Result<(), Error> {
    let failed = || Error::io("writing", "the bundle");
    let mut builder = Builder::new(out);
    let json = serde_json::to_vec_pretty(manifest)
        .map_err(io::Error::other)
        .map_err(failed())?;
    let mut header = Header::new_ustar();
    header
        .set_path(MANIFEST)
        .and_then(|()| {
            header.set_size(json.len().try_into().map_err(io::Error::other)?);
            header.set_mode(0o600);
            header.set_mtime(manifest.time);
            header.set_cksum();
            builder.append(&header, json.as_slice())
        })
        .map_err(failed())?;
    for entry in manifest.paths.iter().filter(|entry| entry.before.is_kept()) {
        failpoint::reach("bundle-write").map_err(failed())?;
        interrupt::check().map_err(Error::Interrupted)?;
        append(&mut builder, entry, root)?;
    }
    builder.finish().map_err(failed())
}

fn append(
    builder: &mut Builder<&mut dyn Write>,
    entry: &Entry,
    root: &GuestRoot,
) -> Result<(), Error> {
    let path = entry.guest_path();
    let failed = || Error::io("keeping", &path);
    let changed = || Error::Changed {
        path: path.to_string(),
    };
    let (_, attributes) = root.attributes(&path)?.ok_or_else(changed)?;
    let open = || root.open_file(&path)?.ok_or_else(changed);
    let member = |builder: &mut _, length| member(builder, entry, &attributes, length);
    let kept = match &entry.before {
        State::File { size, .. } => {
            let header = member(builder, *size).map_err(failed())?;
            // What a log has gained since the manifest was made is left out.
            let mut content = Hashed::new(open()?.take(*size));
            builder.append(&header, &mut content).map_err(failed())?;
            content.state()
        }
        State::Sparse { size, .. } => {
            let packed = Packed::of(open()?, *size).map_err(failed())?;
            let length = packed.length().map_err(failed())?;
            let header = member(builder, length).map_err(failed())?;
            let sha256 = append_packed(builder.get_mut(), &header, &packed).map_err(failed())?;
            State::Sparse {
                size: *size,
                sha256,
            }
        }
        state => {
            let header = member(builder, 0).map_err(failed())?;
            builder.append(&header, io::empty()).map_err(failed())?;
            state.clone()
        }
    };
    if kept == entry.before {
        Ok(())
    } else {
        Err(changed())
    }
}

/// Writes the records of a member, which is to hold this many bytes, and makes its header.
fn member(
    builder: &mut Builder<&mut dyn Write>,
    entry: &Entry,
    attributes: &Attributes,
    length: u64,
) -> io::Result<Header> {
    let member = Member::of(&entry.path, &entry.before, attributes, length)?;
    let records = member.records.iter();
    builder
        .append_pax_extensions(records.map(|(keyword, value)| (keyword.as_str(), &value[..])))?;
    Ok(member.header)
}

/// Writes a member of a file with holes, and tells the digest of its data.
fn append_packed(out: &mut dyn Write, header: &Header, packed: &Packed) -> io::Result<String> {
    out.write_all(header.as_bytes())?;
    let sha256 = packed.write(out)?;
    let length = packed.length()?;
    let filling = length.next_multiple_of(RECORD) - length;
    io::copy(&mut io::repeat(0).take(filling), out)?;
    Ok(sha256)
}

/// Reads a bundle from its start to its end. Whatever is kept is shown with what it had besides its
/// content.
///
/// # Errors
///
/// The bundle is damaged, or `visit` failed.
pub fn read(
    source: impl Read,
    mut visit: impl FnMut(&Entry, &Attributes, &mut Content<'_>) -> Result<(), Error>,
) -> Result<Manifest, Error> {
    let mut archive = Archive::new(source);
    let mut members = archive
        .entries()
        .map_err(|error| damaged(error.to_string()))?
        .raw(true);
    let mut next = || -> Result<_, Error> {
        interrupt::check().map_err(Error::Interrupted)?;
        members
            .next()
            .transpose()
            .map_err(|error| damaged(error.to_string()))
    };
    let mut first = next()?.ok_or_else(|| damaged("it is empty"))?;
    if first.path_bytes() != MANIFEST.as_bytes() {
        return Err(damaged(format!("it does not begin with {MANIFEST}")));
    }
    let manifest = Manifest::parse(&small(&mut first, MANIFEST_LIMIT)?).map_err(Error::Bundle)?;
    drop(first);

    let mut kept = manifest.paths.iter().filter(|entry| entry.before.is_kept());
    let mut records = Records::new();
    let mut expected = kept.next();
    while let Some(mut tar) = next()? {
        if tar.header().entry_type() == EntryType::XHeader {
            records = parse_records(&small(&mut tar, RECORDS_LIMIT)?)
                .ok_or_else(|| damaged("it has records that cannot be read"))?;
            continue;
        }
        let member = Member {
            header: tar.header().clone(),
            records: std::mem::take(&mut records),
        };
        let name = String::from_utf8_lossy(&member.header.path_bytes()).into_owned();
        let entry = expected
            .filter(|entry| member.is_of(&entry.path, &entry.before))
            .ok_or_else(|| damaged(format!("`{name}` is not what its manifest says")))?;
        let attributes = member
            .attributes()
            .ok_or_else(|| damaged(format!("`{name}` has no valid owner, mode or time")))?;
        let mut content = Content {
            source: &mut tar,
            entry,
        };
        visit(entry, &attributes, &mut content)?;
        expected = kept.next();
    }
    match expected {
        None => Ok(manifest),
        Some(entry) => Err(damaged(format!("it ends before {}", entry.path.display()))),
    }
}

/// The content of a member.
pub struct Content<'a> {
    source: &'a mut dyn Read,
    entry: &'a Entry,
}

impl Content<'_> {
    /// Copies the content to a file where one is given, and says whether it was what the manifest
    /// says.
    ///
    /// # Errors
    ///
    /// It was not, or could not be read or written. What was written then is of no use.
    pub fn copy_to(&mut self, out: Option<&mut File>) -> io::Result<()> {
        let read = match &self.entry.before {
            State::File { .. } => self.copy_whole(out)?,
            State::Sparse { size, .. } => State::Sparse {
                size: *size,
                sha256: sparse::unpack(self.source, *size, out)?,
            },
            _ => return Ok(()),
        };
        if read == self.entry.before {
            Ok(())
        } else {
            Err(io::Error::other("its content in the bundle is damaged"))
        }
    }

    fn copy_whole(&mut self, mut out: Option<&mut File>) -> io::Result<State> {
        let mut content = Hashed::new(&mut *self.source);
        let mut buffer = vec![0; CHUNK];
        loop {
            interrupt::check()?;
            let read = content.read(&mut buffer)?;
            if read == 0 {
                return Ok(content.state());
            }
            if let Some(out) = &mut out {
                out.write_all(&buffer[..read])?;
            }
        }
    }
}

/// The whole content of a small member.
fn small(member: &mut impl Read, limit: u64) -> Result<Vec<u8>, Error> {
    let mut content = Vec::new();
    member
        .take(limit + 1)
        .read_to_end(&mut content)
        .map_err(|error| damaged(error.to_string()))?;
    if u64::try_from(content.len()).is_ok_and(|length| length <= limit) {
        Ok(content)
    } else {
        Err(damaged("its records are too large"))
    }
}

pub(super) fn damaged(reason: impl Into<String>) -> Error {
    Error::Bundle(BundleError::Damaged {
        reason: reason.into(),
    })
}

/// Tells which state a file has of which this was read.
struct Hashed<R> {
    source: R,
    size: u64,
    digest: Sha256,
}

impl<R> Hashed<R> {
    fn new(source: R) -> Self {
        Self {
            source,
            size: 0,
            digest: Sha256::new(),
        }
    }

    fn state(self) -> State {
        State::File {
            size: self.size,
            sha256: hex(&self.digest.finalize()),
        }
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.digest.update(&buffer[..read]);
        self.size += u64::try_from(read).map_err(io::Error::other)?;
        Ok(read)
    }
}
