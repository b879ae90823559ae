//! The text formats of a guest's configuration: none panics, and an edit that changes nothing
//! leaves the text as it was.
#![no_main]

use std::collections::BTreeSet;
use std::str;

use byoi_agent::parse::interfaces::Interfaces;
use byoi_agent::parse::kargs::{ArgEdit, Format};
use byoi_agent::parse::keyfile::KeyFile;
use byoi_agent::parse::lines::LineEdits;
use byoi_agent::parse::yaml::Yaml;
use byoi_agent::parse::{
    dhclient_conf, edit, fstab, glob, grub_cfg, iptables, iscsi_record, kargs, keyfile, lines,
    lvm_conf, mac, nftables, os_release, shell_vars, udev_rules, unit_file, xml, xml_tags, yaml,
    yaml_keys,
};
use byoi_agent::text::Text;
use libfuzzer_sys::fuzz_target;

/// The files that hold kernel command lines.
const FORMATS: [Format; 7] = [
    Format::ShellVars("GRUB_CMDLINE_LINUX"),
    Format::GrubScript,
    Format::GrubLegacy,
    Format::GrubEnv,
    Format::LoaderEntry,
    Format::Syslinux,
    Format::Plain,
];

fuzz_target!(|config: &[u8]| {
    let read = Text::from_bytes(config);
    assert_eq!(read.encode(read.as_str()), config);
    let Ok(text) = str::from_utf8(config) else {
        return;
    };
    assert_eq!(dhclient_conf::without(text, &[]), text);
    assert_eq!(edit::apply(text, Vec::new()), text);
    assert_eq!(lines::physical(text).concat(), text);
    assert_eq!(LineEdits::default().apply(text), text);
    if let Ok(read) = Yaml::parse(text) {
        assert_eq!(yaml::removal::without(text, &read, &BTreeSet::new()), text);
    }
    dhclient_conf::parse(text);
    for entry in fstab::entries(text) {
        edit::apply(text, vec![entry.remove()]);
        edit::apply(text, vec![entry.add_option("nofail")]);
        edit::apply(text, vec![entry.set_source("UUID=1")]);
    }
    grub_cfg::commands(text);
    let interfaces = Interfaces::parse(text);
    for line in &interfaces.lines {
        line.rewrite(&lines::physical(text), |_, word| Some(word.to_owned()));
    }
    iptables::filter(text);
    iscsi_record::settings(text).for_each(drop);
    for format in FORMATS {
        let made = kargs::edit(format, text, &mut |_, _| ArgEdit::Keep);
        if format != Format::GrubEnv {
            assert_eq!(made.as_deref(), Some(text));
        }
        kargs::edit(format, text, &mut |_, _| ArgEdit::Remove);
        kargs::edit(format, text, &mut |_, _| {
            ArgEdit::Replace("root=UUID=1".into())
        });
        kargs::add(format, text, &mut |_| vec!["console=ttyS0".into()]);
    }
    let file = KeyFile::parse(text);
    assert_eq!(file.as_str(), text);
    for entry in file.entries() {
        keyfile::items(entry.value).for_each(drop);
    }
    lvm_conf::settings(text);
    mac::find(text);
    mac::find_bare(text);
    nftables::statements(text);
    os_release::OsRelease::parse(text);
    shell_vars::assignments(text);
    udev_rules::parse(text);
    unit_file::sections(text);
    xml::parse(text);
    xml_tags::tags(text);
    yaml_keys::entries(text);
    if let Some((pattern, name)) = text.split_once('\n') {
        glob::matches(pattern, name);
    }
});
