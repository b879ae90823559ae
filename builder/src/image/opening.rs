//! From a name to a disk: what the file is packed in, which format it has, on what it lies.
//!
//! ```text
//! path or standard input ─▶ gzip, xz, zstd ─▶ OVA ─▶ gzip, xz, zstd ─▶ disk ─▶ backing files
//! ```
//!
//! Each step is optional and happens once. Only two kinds of images lead to other files of the
//! host: a VMDK's descriptor to a plain name in its own directory, and a QCOW2 to its backing files
//! if the user allows it.

use std::fs;
use std::io::{Read, stdin};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use super::disk_map::{DiskMap, Plain};
use super::error::ImageError;
use super::fault::{Fault, Reason, Refusal};
use super::format::{self, Backing, Qcow2};
use super::host_file::{HostFile, Links, Stamp};
use super::probe::{Format, Kind, PROBE_LEN};
use super::source::{Content, Input, Layer, STANDARD_INPUT, SourceImage};
use super::spool::Spool;
use super::tar::{self, Member};
use super::unpack::Compression;
use super::window::Window;
use crate::units::{SECTOR_SIZE, byte_len};

/// What an archive is called in reports.
const OVA: &str = "ova";
/// The longest chain of backing files.
const MAX_BACKING: usize = 16;

/// An image on its way to being open.
#[derive(Debug)]
pub(super) struct Opening<'a> {
    input: &'a Input,
    spool: Spool<'a>,
    files: Vec<HostFile>,
    standard_input: Option<(Stamp, String)>,
    containers: Vec<&'static str>,
    /// The bytes of the innermost file that was reached.
    window: Window,
    /// Whether that is a file of this process alone.
    private: bool,
}

impl<'a> Opening<'a> {
    /// Opens the file that the user names.
    pub(super) fn of(input: &'a Input, spool: Spool<'a>) -> Result<Self, ImageError> {
        let path = &input.path;
        if path == Path::new(STANDARD_INPUT) {
            let metadata = stdin()
                .as_fd()
                .try_clone_to_owned()
                .and_then(|file| fs::File::from(file).metadata())
                .map_err(|error| ImageError::of_io("reading the status of", path, error))?;
            let (window, compression, digest) = spool.standard_input(path)?;
            return Ok(Self {
                input,
                spool,
                files: Vec::new(),
                standard_input: Some((Stamp::of(&metadata), digest)),
                containers: compression.map(Compression::name).into_iter().collect(),
                window,
                private: true,
            });
        }
        let file = HostFile::open(path, Links::Follow)?;
        Ok(Self {
            input,
            spool,
            window: file.window(),
            files: vec![file],
            standard_input: None,
            containers: Vec::new(),
            private: false,
        })
    }

    /// Unpacks it as far as there is need, and reads its tables.
    pub(super) fn finish(mut self) -> Result<SourceImage, ImageError> {
        let path = &self.input.path;
        let mut unpacked = self.standard_input.is_some() && !self.containers.is_empty();
        loop {
            match Kind::of_window(&self.window).map_err(|fault| self.told(Format::Raw, fault))? {
                Kind::Compressed(compression) if !unpacked => {
                    self.window = self.spool.unpack(compression, &self.window, path)?;
                    self.containers.push(compression.name());
                    (self.private, unpacked) = (true, true);
                }
                Kind::Tar if !self.containers.contains(&OVA) => {
                    self.window = self.member()?;
                    self.containers.push(OVA);
                    unpacked = false;
                }
                Kind::Disk(format) => return self.disk(format),
                Kind::VmdkDescriptor => return self.flat_vmdk(),
                Kind::Foreign(name, hint) => {
                    return Err(self.unsupported(format!("is {name}"), hint));
                }
                Kind::Compressed(_) | Kind::Tar => {
                    let what = "is packed more than once".to_owned();
                    return Err(self.unsupported(what, "unpack it first"));
                }
            }
        }
    }

    fn told(&self, format: Format, fault: Fault) -> ImageError {
        ImageError::of_fault("reading", &self.input.path, format, fault)
    }

    fn unsupported(&self, what: String, hint: &'static str) -> ImageError {
        ImageError::Unsupported {
            path: self.input.path.clone(),
            what,
            hint,
        }
    }

    /// The disk in an archive, or the one of them that was asked for.
    fn member(&self) -> Result<Window, ImageError> {
        let told = |fault| match self.told(Format::Raw, fault) {
            ImageError::Damaged { path, what, .. } => ImageError::Damaged {
                path,
                format: "tar",
                what,
            },
            other => other,
        };
        let mut disks = Vec::new();
        for member in tar::members(&self.window).map_err(told)? {
            if holds_disk(&member.window).map_err(told)? {
                disks.push(member);
            }
        }
        match (disks.as_slice(), self.input.disk) {
            ([], _) => Err(self.unsupported(
                "is a tar archive without a disk in it".to_owned(),
                "give the disk image itself",
            )),
            ([disk], None) => Ok(disk.window.clone()),
            (disks, None) => Err(ImageError::SeveralDisks {
                path: self.input.path.clone(),
                disks: disks.iter().map(Member::printable_name).collect(),
            }),
            (disks, Some(number)) => match disks.get(number.get() - 1) {
                Some(disk) => Ok(disk.window.clone()),
                None => Err(self.no_such_disk(disks.len(), number.get())),
            },
        }
    }

    fn no_such_disk(&self, count: usize, number: usize) -> ImageError {
        ImageError::NoSuchDisk {
            path: self.input.path.clone(),
            count,
            number,
        }
    }

    fn disk(mut self, format: Format) -> Result<SourceImage, ImageError> {
        if format == Format::Qcow2 {
            return self.qcow2();
        }
        let map = format::open(format, &self.window).map_err(|fault| self.told(format, fault))?;
        let window = self.window.clone();
        let at_front = window.place().1 == 0;
        let size = map.size();
        let content = if map.is_plain() && at_front {
            Content::Plain {
                window,
                private: self.private,
            }
        } else {
            Content::Mapped(vec![Layer { window, map }])
        };
        self.image(format, size, content)
    }

    fn qcow2(mut self) -> Result<SourceImage, ImageError> {
        let format = Format::Qcow2;
        let top = Qcow2::open(&self.window).map_err(|fault| self.told(format, fault))?;
        let (size, snapshots) = (top.size(), top.snapshots());
        let mut backing = Vec::new();
        let mut path = self.input.path.clone();
        let mut layers = vec![];
        let mut below = top.backing().cloned();
        layers.push(Layer {
            window: self.window.clone(),
            map: Box::new(top),
        });
        while let Some(named) = below.take() {
            self.check_backing(&named, size, backing.len())?;
            let (file, layer, next) = self.open_backing(&path, &named)?;
            below = next;
            path = file;
            layers.push(layer);
            backing.push(path.clone());
        }
        layers.reverse();
        let mut image = self.image(format, size, Content::Mapped(layers))?;
        image.snapshots = snapshots;
        image.backing = backing;
        Ok(image)
    }

    /// Whether a backing file may be opened at all.
    fn check_backing(&self, named: &Backing, size: u64, depth: usize) -> Result<(), ImageError> {
        let refused = |fault| Err(self.told(Format::Qcow2, fault));
        if !self.input.allow_backing {
            return refused(Fault::Refused(Refusal {
                reason: Reason::OtherFile,
                what: format!("lies on the backing file {:?}", named.name),
                hint: "give --allow-backing if you trust the image, or make it whole with qemu-img \
                       convert -O qcow2",
                virtual_size: size,
            }));
        }
        if !self.containers.is_empty() || self.standard_input.is_some() {
            return refused(Fault::unsupported(
                "has a backing file, which is nowhere from here",
                "unpack it beside its backing file and name it",
            ));
        }
        if depth >= MAX_BACKING {
            return refused(Fault::damaged("its backing files lead on and on"));
        }
        let scheme = named.name.split_once(':').map(|(scheme, _)| scheme);
        if scheme.is_some_and(|scheme| !scheme.contains('/')) {
            return refused(Fault::unsupported(
                format!("has the backing file {:?}, which is no path", named.name),
                "make it whole with qemu-img convert -O qcow2",
            ));
        }
        Ok(())
    }

    /// Opens the file that the image at `path` lies on, in the format that the image states: of a
    /// raw file, the guest decides what it looks like.
    fn open_backing(
        &mut self,
        path: &Path,
        named: &Backing,
    ) -> Result<(PathBuf, Layer, Option<Backing>), ImageError> {
        let beside = directory_of(path)?;
        let below = beside.join(&named.name);
        let file = HostFile::open(&below, Links::Follow)?;
        let mut known = self.files.iter().map(HostFile::stamp);
        if known.any(|stamp| stamp.same_object(file.stamp())) {
            let fault = Fault::damaged("its backing files lead back to it");
            return Err(self.told(Format::Qcow2, fault));
        }
        let window = file.window();
        self.files.push(file);
        let (map, next): (Box<dyn DiskMap>, _) = match named.format.as_deref() {
            Some("raw") => (Box::new(Plain { size: window.len() }), None),
            Some("qcow2") => {
                let image = Qcow2::open(&window).map_err(|fault| {
                    ImageError::of_fault("reading", &below, Format::Qcow2, fault)
                })?;
                let next = image.backing().cloned();
                (Box::new(image), next)
            }
            _ => {
                let fault = Fault::unsupported(
                    "has a backing file that it states no known format for",
                    "state it with qemu-img rebase -u -b FILE -F qcow2",
                );
                return Err(self.told(Format::Qcow2, fault));
            }
        };
        Ok((below, Layer { window, map }, next))
    }

    /// A disk whose descriptor was given: its data is in a file beside it.
    fn flat_vmdk(mut self) -> Result<SourceImage, ImageError> {
        let format = Format::Vmdk;
        let extent = format::flat_extent(&self.window).map_err(|fault| self.told(format, fault))?;
        if !self.containers.is_empty() || self.standard_input.is_some() {
            let what = "is the descriptor of a VMDK, whose data is nowhere from here".to_owned();
            return Err(self.unsupported(what, "unpack both files into one directory"));
        }
        let path = directory_of(&self.input.path)?.join(&extent.name);
        let file = HostFile::open(&path, Links::Refuse)?;
        let window = file.window();
        if window.len() < extent.size {
            return Err(ImageError::of_fault(
                "reading",
                &path,
                format,
                Fault::cut_off("the disk's last sector"),
            ));
        }
        self.files.push(file);
        let private = self.private;
        self.image(format, extent.size, Content::Plain { window, private })
    }

    fn image(
        &mut self,
        format: Format,
        size: u64,
        content: Content,
    ) -> Result<SourceImage, ImageError> {
        if let Some(number) = self.input.disk
            && number.get() > 1
            && !self.containers.contains(&OVA)
        {
            return Err(self.no_such_disk(1, number.get()));
        }
        Ok(SourceImage {
            path: self.input.path.clone(),
            files: std::mem::take(&mut self.files),
            standard_input: self.standard_input.take(),
            format,
            containers: std::mem::take(&mut self.containers),
            size,
            content,
            snapshots: 0,
            backing: Vec::new(),
        })
    }
}

/// Whether a member of an archive is a disk, or the compressed file of one: a descriptor, a
/// certificate and a CD are none.
fn holds_disk(window: &Window) -> Result<bool, Fault> {
    Ok(match Kind::of_window(window)? {
        Kind::Disk(Format::Raw) => {
            window.len().is_multiple_of(SECTOR_SIZE)
                && is_boot_sector(&window.up_to(0, PROBE_LEN)?)
                && !(window.len() > 0x8006 && window.array(0x8001, "a CD")? == *b"CD001")
        }
        Kind::Compressed(compression) => {
            let mut head = Vec::new();
            let mut stream = compression
                .reader(window.stream())
                .take(byte_len(PROBE_LEN));
            stream.read_to_end(&mut head).is_ok()
                && match Kind::of(&head, &[], 0) {
                    Kind::Disk(Format::Raw) => is_boot_sector(&head),
                    other => matches!(other, Kind::Disk(_)),
                }
        }
        Kind::Disk(_) => true,
        Kind::VmdkDescriptor | Kind::Tar | Kind::Foreign(..) => false,
    })
}

/// Whether the first sector is signed as one of a disk.
fn is_boot_sector(head: &[u8]) -> bool {
    head.get(510..) == Some(&[0x55, 0xaa])
}

/// The directory that a file is in, wherever a link to it may be.
fn directory_of(path: &Path) -> Result<PathBuf, ImageError> {
    let path = fs::canonicalize(path).map_err(|source| ImageError::Io {
        action: "finding the directory of",
        path: path.to_owned(),
        source,
    })?;
    Ok(path.parent().unwrap_or(Path::new("/")).to_owned())
}
