//! The loader that UEFI firmware starts on a machine that has never seen the disk: a copy of the
//! vendor's, on the EFI system partition (UEFI 2.10, section 3.5.1.1).
//!
//! Shim starts the GRUB beside it, so its companions come along. The fallback program does not: it
//! writes boot entries and resets the machine.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use byoi_agent::plan::Change;
use fatfs::{Dir, FileSystem, FsOptions};

use super::{RepairError, change};
use crate::layout::Layout;
use crate::loader::efi::{self, FALLBACK, Program};
use crate::units::{ByteRange, byte_len};

const WHAT: &str = "EFI system partition";
const SHIM: &str = "shimx64.efi";
/// What shim loads from its own directory.
const COMPANIONS: [&str; 2] = ["grubx64.efi", "mmx64.efi"];
/// The largest loader that is copied, in bytes: several times any that is known.
const MAX_LOADER: u64 = 64 << 20;
/// How many bytes may be read and written before a file system is taken for one that leads in
/// circles.
const BUDGET: u64 = 1 << 30;
/// The size of a directory entry, in bytes, where it has its attributes, and those of a long name.
const ENTRY: usize = 32;
const ATTRIBUTES: usize = 11;
const LONG_NAME: u8 = 0x0f;
/// The short name of a directory in itself.
const DOT: &[u8] = b".          ";

/// Copies the vendor's loader to where new machines look, where none is there. A partition that goes
/// on behind the end of the disk stays as it is: to write there would make the disk longer.
///
/// # Errors
///
/// [`RepairError::Disk`]: the file system is damaged or full, or the disk cannot be written.
pub fn copy_loader(disk: &File, layout: &Layout) -> Result<Option<Change>, RepairError> {
    let error = |source| RepairError::Disk { what: WHAT, source };
    let found = efi::read(&mut &*disk, layout).map_err(error)?;
    if found.iter().any(|esp| esp.fallback == Some(Program::Fit)) {
        return Ok(None);
    }
    let Some((esp, vendor)) = found
        .iter()
        .find_map(|esp| Some((esp, esp.vendors.first()?)))
    else {
        return Ok(None);
    };
    let whole = ByteRange::new(0, layout.disk_size);
    let partition = layout
        .partition(esp.partition)
        .filter(|partition| whole.is_some_and(|disk| disk.contains(partition.range)));
    let Some(partition) = partition else {
        return Ok(None);
    };
    let mut window = Window::new(disk, partition.range);
    let copied = copy(&mut window, vendor).map_err(error)?;
    Ok(copied.then(|| change(WHAT, format!("{vendor} copied to {FALLBACK}"))))
}

fn copy(window: &mut Window<'_>, vendor: &str) -> io::Result<bool> {
    let fat = FileSystem::new(&mut *window, FsOptions::new())?;
    let copied = copy_files(&fat.root_dir(), vendor)?;
    fat.unmount()?;
    window.shorten_dots()?;
    Ok(copied)
}

fn copy_files(root: &Dir<'_, &mut Window<'_>>, vendor: &str) -> io::Result<bool> {
    let loader = read(root, vendor)?;
    if efi::program(&loader) != Program::Fit {
        return Ok(false);
    }
    let boot = root.create_dir("EFI")?.create_dir("BOOT")?;
    let (dir, name) = vendor.rsplit_once('/').unwrap_or(("", vendor));
    if name.eq_ignore_ascii_case(SHIM) {
        for companion in COMPANIONS {
            match read(root, &format!("{dir}/{companion}")) {
                Ok(content) => write(&boot, companion, &content)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    let (_, fallback) = FALLBACK.rsplit_once('/').unwrap_or(("", FALLBACK));
    write(&boot, fallback, &loader)?;
    Ok(true)
}

fn read(root: &Dir<'_, &mut Window<'_>>, path: &str) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let file = root.open_file(path)?;
    file.take(MAX_LOADER + 1).read_to_end(&mut content)?;
    if byte_len(content.len()) > MAX_LOADER {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{path} is larger than any loader"),
        ));
    }
    Ok(content)
}

fn write(dir: &Dir<'_, &mut Window<'_>>, name: &str, content: &[u8]) -> io::Result<()> {
    let mut file = dir.create_file(name)?;
    file.truncate()?;
    file.write_all(content)?;
    file.flush()
}

/// The bytes of a partition as a file of their own.
#[derive(Debug)]
struct Window<'a> {
    disk: &'a File,
    range: ByteRange,
    at: u64,
    budget: u64,
    /// Where the entry "." of a directory was written.
    dots: Vec<u64>,
}

impl<'a> Window<'a> {
    fn new(disk: &'a File, range: ByteRange) -> Self {
        Self {
            disk,
            range,
            at: 0,
            budget: BUDGET,
            dots: Vec::new(),
        }
    }

    /// Takes the long names of "." and ".." out of the directories that were made: these two come
    /// first and have a short name only (Microsoft's FAT specification, "Directory Creation"), and
    /// fatfs 0.3 gives them both.
    fn shorten_dots(&self) -> io::Result<()> {
        for dot in &self.dots {
            let Some(start) = dot.checked_sub(ENTRY as u64) else {
                continue;
            };
            let mut entries = [[0; ENTRY]; 4];
            self.disk
                .read_exact_at(entries.as_flattened_mut(), self.range.start() + start)?;
            let [long, dot, long_too, dot_dot] = &mut entries;
            if long[ATTRIBUTES] == LONG_NAME
                && long_too[ATTRIBUTES] == LONG_NAME
                && dot_dot.starts_with(b".. ")
            {
                let deleted = [0xe5; ENTRY];
                let short = [*dot, *dot_dot, deleted, deleted];
                self.disk
                    .write_all_at(short.as_flattened(), self.range.start() + start)?;
            }
        }
        Ok(())
    }

    /// Where the next bytes are on the disk, and how many of `len` there may be.
    fn next(&mut self, len: usize) -> io::Result<(u64, usize)> {
        let len = byte_len(len).min(self.range.len().saturating_sub(self.at));
        self.budget = self.budget.checked_sub(len.max(1)).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "the file system has no end")
        })?;
        let at = self.range.start() + self.at;
        self.at += len;
        Ok((at, usize::try_from(len).unwrap_or(0)))
    }
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (at, len) = self.next(buffer.len())?;
        self.disk.read_exact_at(&mut buffer[..len], at)?;
        Ok(len)
    }
}

impl Write for Window<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes == DOT {
            self.dots.push(self.at);
        }
        let (at, len) = self.next(bytes.len())?;
        self.disk.write_all_at(&bytes[..len], at)?;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Window<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (base, offset) = match to {
            SeekFrom::Start(at) => (at, 0),
            SeekFrom::End(offset) => (self.range.len(), offset),
            SeekFrom::Current(offset) => (self.at, offset),
        };
        let at = base.checked_add_signed(offset);
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use byoi_agent::cmd::Cmd;

    use super::*;

    const MIB: u64 = 1 << 20;

    /// A disk with an EFI system partition of these files; `None` without mtools.
    fn disk(files: &[(&str, &[u8])]) -> Option<(tempfile::NamedTempFile, Layout)> {
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(64 * MIB).unwrap();
        let script = "printf 'label: gpt\\nstart=2048,size=40M,type=U\\n' \
                      | sfdisk -q --no-tell-kernel \"$1\" && mformat -i \"$1\"@@1M -T 81920 ::";
        let made = Cmd::new("sh").args(["-c", script, "sh"]).arg(image.path());
        if Cmd::new("mformat").arg("--version").run().is_err() {
            eprintln!("skipped: mtools are needed");
            return None;
        }
        made.run().unwrap();
        for dir in ["::EFI", "::EFI/debian"] {
            let place = format!("{}@@1M", image.path().display());
            Cmd::new("mmd").args(["-i", &place, dir]).run().unwrap();
        }
        let source = tempfile::NamedTempFile::new().unwrap();
        for (path, content) in files {
            std::fs::write(source.path(), content).unwrap();
            let place = format!("{}@@1M", image.path().display());
            let (from, to) = (source.path().display().to_string(), format!("::{path}"));
            Cmd::new("mcopy")
                .args(["-i", &place, &from, &to])
                .run()
                .unwrap();
        }
        let layout = Layout::read(&mut File::open(image.path()).unwrap()).unwrap();
        Some((image, layout))
    }

    fn type_out(image: &std::path::Path, path: &str) -> Option<Vec<u8>> {
        let place = format!("{}@@1M", image.display());
        let path = format!("::{path}");
        let output = Cmd::new("mtype").args(["-i", &place, &path]).run();
        output.ok().map(|output| output.stdout)
    }

    fn open(image: &tempfile::NamedTempFile) -> File {
        let mut options = File::options();
        options.read(true).write(true).open(image.path()).unwrap()
    }

    #[test]
    fn shim_is_copied_with_its_companions() {
        let loader = efi::tests::pe(0x8664, 0x20b, 10);
        let grub = vec![7; 300_000];
        let Some((image, layout)) = disk(&[
            ("EFI/debian/shimx64.efi", &loader),
            ("EFI/debian/grubx64.efi", &grub),
            ("EFI/debian/fbx64.efi", b"no"),
        ]) else {
            return;
        };
        let change = copy_loader(&open(&image), &layout).unwrap().unwrap();
        assert_eq!(
            change.diff.unwrap(),
            "EFI/DEBIAN/SHIMX64.EFI copied to EFI/BOOT/BOOTX64.EFI"
        );
        for (path, expected) in [
            ("EFI/BOOT/BOOTX64.EFI", Some(&loader)),
            ("EFI/BOOT/grubx64.efi", Some(&grub)),
            ("EFI/BOOT/fbx64.efi", None),
            ("EFI/debian/grubx64.efi", Some(&grub)),
        ] {
            assert_eq!(type_out(image.path(), path).as_ref(), expected, "{path}");
        }
        Cmd::new("sh")
            .args([
                "-c",
                "dd if=\"$1\" of=\"$1.fat\" bs=1M skip=1 count=40 status=none && \
                          fsck.fat -n \"$1.fat\"; rc=$?; rm -f \"$1.fat\"; exit $rc",
                "sh",
            ])
            .arg(image.path())
            .run()
            .unwrap();
        assert!(copy_loader(&open(&image), &layout).unwrap().is_none());
    }

    #[test]
    fn what_is_no_loader_is_not_copied() {
        for files in [vec![], vec![("EFI/debian/grubx64.efi", &b"MZ"[..])]] {
            let Some((image, layout)) = disk(&files) else {
                return;
            };
            let before = std::fs::read(image.path()).unwrap();
            assert!(copy_loader(&open(&image), &layout).unwrap().is_none());
            assert!(std::fs::read(image.path()).unwrap() == before);
        }
    }

    #[test]
    fn a_disk_that_is_cut_off_gets_no_longer() {
        let loader = efi::tests::pe(0x8664, 0x20b, 10);
        let Some((image, _)) = disk(&[("EFI/debian/shimx64.efi", &loader)]) else {
            return;
        };
        image.as_file().set_len(20 * MIB).unwrap();
        let layout = Layout::read(&mut open(&image)).unwrap();
        assert!(layout.partition(1).unwrap().is_efi_system());
        let before = std::fs::read(image.path()).unwrap();
        assert!(copy_loader(&open(&image), &layout).unwrap().is_none());
        assert!(std::fs::read(image.path()).unwrap() == before);
    }

    #[test]
    fn a_damaged_file_system_ends_the_search() {
        let loader = efi::tests::pe(0x8664, 0x20b, 10);
        let Some((image, layout)) = disk(&[("EFI/debian/grubx64.efi", &loader)]) else {
            return;
        };
        // Every cluster leads back to the second one.
        let file = open(&image);
        let mut head = [0; 512];
        file.read_exact_at(&mut head, MIB).unwrap();
        let reserved = u64::from(u16::from_le_bytes([head[14], head[15]]));
        let fat = [2, 0].repeat(32 << 10);
        file.write_all_at(&fat, MIB + reserved * 512).unwrap();
        let _ = copy_loader(&file, &layout);
    }
}
