//! The module area at the end of GRUB's decompressed core image: ELF modules, the prefix, an
//! embedded configuration.
//!
//! The area begins with `mimg`, the offset of its first object and its size; each object has a type
//! and a size, its header included (`include/grub/kernel.h` of GRUB: `OBJ_TYPE_…`).

use crate::bytes::{has, le32};

const MAGIC: &[u8] = b"mimg";
const ELF: u32 = 0;
const MEMDISK: u32 = 1;
const CONFIG: u32 = 2;
const PREFIX: u32 = 3;
/// Objects, sections of one module, and bytes of a text that are read.
const MAX_OBJECTS: usize = 4096;
const MAX_SECTIONS: usize = 256;
const MAX_TEXT: usize = 64 << 10;

/// What is in the area.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Area {
    /// Where GRUB looks for its files, such as `(,msdos1)/boot/grub`.
    pub prefix: String,
    /// The configuration that it runs first.
    pub config: Option<String>,
    /// Whether it brings a file system of its own.
    pub memdisk: bool,
    /// The names of the modules, in order.
    pub modules: Vec<String>,
}

/// Why the area cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AreaFault(pub &'static str);

impl Area {
    /// Finds the area in a decompressed image and reads it.
    ///
    /// # Errors
    ///
    /// A fault of the area: there is none that ends with the image, or an object in it ends elsewhere.
    pub fn find(image: &[u8]) -> Result<Self, AreaFault> {
        let area = (0..image.len())
            .step_by(4)
            .filter(|&at| has(image, at, MAGIC))
            .find_map(|at| {
                let size = usize::try_from(le32(image, at + 8)).ok()?;
                // The area is the last thing there, but for padding.
                let area = image.get(at..at.checked_add(size)?)?;
                let rest = image.len() - at - size;
                (size >= 12 && rest < 4096 && le32(image, at + 4) >= 12).then_some(area)
            })
            .ok_or(AreaFault("there are no modules in it"))?;
        Self::read(area)
    }

    fn read(area: &[u8]) -> Result<Self, AreaFault> {
        let mut found = Self::default();
        let mut at = usize::try_from(le32(area, 4)).unwrap_or(usize::MAX);
        for _ in 0..MAX_OBJECTS {
            if at >= area.len() {
                return Ok(found);
            }
            let size = usize::try_from(le32(area, at + 4)).unwrap_or(usize::MAX);
            let object = at
                .checked_add(size)
                .filter(|_| size >= 8)
                .and_then(|end| area.get(at..end))
                .ok_or(AreaFault("a module in it has no end"))?;
            let content = &object[8..];
            match le32(object, 0) {
                ELF => found
                    .modules
                    .push(module_name(content).ok_or(AreaFault("a module in it has no name"))?),
                MEMDISK => found.memdisk = true,
                CONFIG => found.config = Some(text(content)),
                PREFIX => found.prefix = text(content),
                _ => {}
            }
            at += size;
        }
        Err(AreaFault("there are too many modules in it"))
    }

    /// Whether a module is embedded.
    pub fn has(&self, module: &str) -> bool {
        self.modules.iter().any(|name| name == module)
    }
}

/// A text up to its first NUL.
fn text(bytes: &[u8]) -> String {
    let bytes = &bytes[..bytes.len().min(MAX_TEXT)];
    let end = bytes.iter().position(|&byte| byte == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned()
}

/// The content of the section `.modname` of a 32-bit ELF object (System V ABI, chapter 4).
fn module_name(elf: &[u8]) -> Option<String> {
    const HEADER: usize = 40;
    if !has(elf, 0, b"\x7fELF\x01\x01") {
        return None;
    }
    let size = |at: usize| usize::try_from(le32(elf, at)).ok();
    let half = |at: usize| usize::from(crate::bytes::le16(elf, at));
    let table = size(0x20)?;
    let (entry, count, names) = (half(0x2e), half(0x30), half(0x32));
    if entry != HEADER || count > MAX_SECTIONS {
        return None;
    }
    let header = |index: usize| {
        let at = table.checked_add(index * HEADER)?;
        elf.get(at..at.checked_add(HEADER)?)
    };
    let section = |header: &[u8]| {
        let start = usize::try_from(le32(header, 16)).ok()?;
        let len = usize::try_from(le32(header, 20)).ok()?;
        elf.get(start..start.checked_add(len)?)
    };
    let names = section(header(names)?)?;
    (0..count).find_map(|index| {
        let header = header(index)?;
        let name = usize::try_from(le32(header, 0)).ok()?;
        has(names, name, b".modname\0").then(|| section(header).map(text))?
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn object(kind: u32, content: &[u8]) -> Vec<u8> {
        let size = u32::try_from(content.len() + 8).unwrap();
        [&kind.to_le_bytes(), &size.to_le_bytes(), content].concat()
    }

    fn area(objects: &[Vec<u8>]) -> Vec<u8> {
        let objects = objects.concat();
        let size = u32::try_from(objects.len() + 12).unwrap();
        [
            &[0x90; 64][..],
            MAGIC,
            &12_u32.to_le_bytes(),
            &size.to_le_bytes(),
            &objects,
        ]
        .concat()
    }

    #[test]
    fn texts_are_found_behind_code() {
        let image = area(&[
            object(PREFIX, b"(,gpt2)/grub\0\0\0\0"),
            object(CONFIG, b"search.fs_uuid x root\n\0"),
            object(MEMDISK, b"tar!"),
            object(9, b"unkn"),
        ]);
        let found = Area::find(&image).unwrap();
        assert_eq!(found.prefix, "(,gpt2)/grub");
        assert_eq!(found.config.as_deref(), Some("search.fs_uuid x root\n"));
        assert!(found.memdisk && found.modules.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (image, expected) in [
            (vec![0; 100], "there are no modules in it"),
            (
                area(&[object(PREFIX, b"x")])[..76].to_vec(),
                "there are no modules in it",
            ),
            (
                area(&[[&0_u32.to_le_bytes()[..], &4_u32.to_le_bytes()].concat()]),
                "a module in it has no end",
            ),
            (
                area(&[[&0_u32.to_le_bytes()[..], &u32::MAX.to_le_bytes()].concat()]),
                "a module in it has no end",
            ),
            (
                area(&[object(ELF, b"no ELF at all")]),
                "a module in it has no name",
            ),
        ] {
            assert_eq!(Area::find(&image), Err(AreaFault(expected)));
        }
    }

    #[test]
    fn headers_that_lead_out_of_a_module_name_nothing() {
        let mut elf = vec![0; 200];
        elf[..6].copy_from_slice(b"\x7fELF\x01\x01");
        elf[0x2e] = 40;
        elf[0x30] = 2;
        for table in [0_u32, 160, 199, u32::MAX] {
            elf[0x20..0x24].copy_from_slice(&table.to_le_bytes());
            assert_eq!(module_name(&elf), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            size in any::<u32>(),
        ) {
            let _ = module_name(&[b"\x7fELF\x01\x01", &bytes[..]].concat());
            let _ = Area::find(&[MAGIC, &12_u32.to_le_bytes(), &size.to_le_bytes(), &bytes[..]].concat());
        }
    }
}
