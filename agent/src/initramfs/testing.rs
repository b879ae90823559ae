//! Archives written by hand, for what archivers would not write and for small guests.

/// One entry.
pub fn entry(name: &str, mode: u32, (ino, links): (u32, u32), size: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "070701{ino:08X}{mode:08X}{0:08X}{0:08X}{links:08X}{0:08X}{size:08X}{0:08X}{0:08X}{0:08X}{0:08X}{1:08X}{0:08X}{name}\0",
        0,
        name.len() + 1,
    )
    .into_bytes();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A regular file.
pub fn file(name: &str, data: &[u8]) -> Vec<u8> {
    let size = u32::try_from(data.len()).unwrap();
    entry(name, 0o100_644, (1, 1), size, data)
}

/// What ends an archive.
pub fn trailer() -> Vec<u8> {
    entry("TRAILER!!!", 0, (0, 1), 0, b"")
}

/// A whole image of these files, each a path and its content, as a text that a file can hold.
pub fn image(files: &[(&str, &str)]) -> String {
    let mut bytes = Vec::new();
    for (path, content) in files {
        bytes.extend(file(path, content.as_bytes()));
    }
    bytes.extend(trailer());
    String::from_utf8(bytes).unwrap()
}

/// A whole image with these modules of a kernel.
pub fn image_with(version: &str, modules: &[&str]) -> String {
    let paths: Vec<String> = modules
        .iter()
        .map(|module| format!("lib/modules/{version}/kernel/{module}.ko.xz"))
        .collect();
    let files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "x")).collect();
    image(&files)
}
