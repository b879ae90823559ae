//! Configurations of boot loaders: GRUB 2's script, GRUB 0.97's menu, Syslinux.
#![no_main]

use std::str;

use byoi_agent::error::Error;
use byoi_builder::loader::script::{By, FileName, World, run};
use byoi_builder::loader::{legacy, syslinux};
use libfuzzer_sys::fuzz_target;

/// A disk on which every file has the same content.
struct Echo<'a>(&'a [u8]);

impl World for Echo<'_> {
    fn read(&self, _: &FileName) -> Result<Option<Vec<u8>>, Error> {
        Ok(Some(self.0.to_vec()))
    }

    fn is_there(&self, _: &FileName) -> Result<bool, Error> {
        Ok(true)
    }

    fn list(&self, _: &FileName) -> Result<Vec<String>, Error> {
        Ok(vec!["a.conf".into(), "b-1.2.conf".into()])
    }

    fn search(&self, _: By, _: &str) -> Result<Option<String>, Error> {
        Ok(Some("hd0,msdos1".into()))
    }
}

fuzz_target!(|config: &[u8]| {
    let world = Echo(config);
    let prefix = FileName::parse("(hd0,msdos1)/boot/grub", "");
    run(&world, &prefix, None).expect("memory can be read");
    syslinux::read(&world, &prefix).expect("memory can be read");
    if let Ok(text) = str::from_utf8(config) {
        run(&world, &prefix, Some(text)).expect("memory can be read");
        legacy::parse(text, &prefix, Some("1"));
    }
});
