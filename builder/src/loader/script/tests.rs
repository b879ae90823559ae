use std::collections::BTreeMap;

use byoi_agent::error::Error;
use proptest::prelude::*;

use super::*;

/// A disk with one file system, `hd0,msdos1`, whose UUID is `c1a7`.
#[derive(Default)]
pub(crate) struct Disk(BTreeMap<String, Vec<u8>>);

impl Disk {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let files = files.iter();
        Self(
            files
                .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
                .collect(),
        )
    }

    fn is_here(file: &FileName) -> bool {
        ["hd0,msdos1", ",msdos1", "hd0,1"].contains(&file.device.as_str())
    }
}

impl World for Disk {
    fn read(&self, file: &FileName) -> Result<Option<Vec<u8>>, Error> {
        Ok(self
            .0
            .get(&file.path)
            .filter(|_| Self::is_here(file))
            .cloned())
    }

    fn is_there(&self, file: &FileName) -> Result<bool, Error> {
        Ok(Self::is_here(file) && self.0.contains_key(&file.path))
    }

    fn list(&self, dir: &FileName) -> Result<Vec<String>, Error> {
        let below = format!("{}/", dir.path);
        let paths = self.0.keys().filter(|_| Self::is_here(dir));
        Ok(paths
            .filter_map(|path| path.strip_prefix(&below).map(str::to_owned))
            .collect())
    }

    fn search(&self, by: By, what: &str) -> Result<Option<String>, Error> {
        let found = match by {
            By::Uuid => what == "c1a7",
            By::Label => what == "root",
            By::File => self.0.contains_key(what),
        };
        Ok(found.then(|| "hd0,msdos1".to_owned()))
    }
}

fn menu(files: &[(&str, &str)]) -> Menu {
    let prefix = FileName::parse("(hd0,msdos1)/boot/grub", "");
    run(&Disk::new(files), &prefix, None)
        .unwrap()
        .1
        .unwrap_or_default()
}

fn shown(menu: &Menu) -> Option<String> {
    let entry = &menu.entries[menu.default?];
    let images: Vec<String> = entry.initramfs.iter().map(ToString::to_string).collect();
    Some(format!(
        "{}:{} {} | {} | {}",
        entry.title,
        entry.line,
        entry
            .kernel
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        images.join(" "),
        entry.args.join(" ")
    ))
}

const CFG: &str = "/boot/grub/grub.cfg";
const ENV: &str = "/boot/grub/grubenv";

/// As `grub-mkconfig` writes it, shortened.
const DEBIAN: &str = r#"if [ -s $prefix/grubenv ]; then
  set have_grubenv=true
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
   save_env next_entry
   set boot_once=true
else
   set default="${saved_entry}"
fi
if [ x"${feature_menuentry_id}" = xy ]; then
  menuentry_id_option="--id"
else
  menuentry_id_option=""
fi
function gfxmode { set gfxpayload="${1}"; }
function load_video {
  if [ x$feature_all_video_module = xy ]; then
    insmod all_video
  else
    insmod efi_gop
  fi
}
menuentry 'Debian GNU/Linux' --class debian --class os $menuentry_id_option 'simple' {
	load_video
	gfxmode $linux_gfx_mode
	if [ x$grub_platform = xxen ]; then insmod xzio; insmod lzopio; fi
	set root='hd1,msdos9'
	if [ x$feature_platform_search_hint = xy ]; then
	  search --no-floppy --fs-uuid --set=root --hint-bios=hd0,msdos1 --hint='hd0,msdos1'  c1a7
	else
	  search --no-floppy --fs-uuid --set=root c1a7
	fi
	echo	'Loading Linux 6.1 ...'
	linux	/boot/vmlinuz-6.1 root=UUID=c1a7 ro  quiet $extra
	initrd	/boot/ucode.img /boot/initrd.img-6.1
}
submenu 'Advanced options for Debian GNU/Linux' $menuentry_id_option 'advanced' {
	menuentry 'Debian, with Linux 6.1' --class debian $menuentry_id_option 'six' {
		linux	/boot/vmlinuz-6.1 root=UUID=c1a7
	}
	menuentry 'Debian, with Linux 5.10 > old' $menuentry_id_option 'five' {
		search --label root --set
		linux	/boot/vmlinuz-5.10 root=UUID=c1a7
		initrd	/boot/initrd.img-5.10
	}
}
menuentry 'Windows' { chainloader +1; }
"#;

#[test]
fn the_entry_that_starts_is_the_one_that_grub_takes() {
    const SIMPLE: &str = "Debian GNU/Linux:37 (hd0,msdos1)/boot/vmlinuz-6.1 | \
                          (hd0,msdos1)/boot/ucode.img (hd0,msdos1)/boot/initrd.img-6.1 | \
                          root=UUID=c1a7 ro quiet";
    const FIVE: &str = "Debian, with Linux 5.10 > old:46 (hd0,msdos1)/boot/vmlinuz-5.10 | \
                        (hd0,msdos1)/boot/initrd.img-5.10 | root=UUID=c1a7";
    for (env, expected, missing) in [
        ("", SIMPLE, None),
        ("saved_entry=simple\n", SIMPLE, None),
        ("saved_entry=0\nextra=\n", SIMPLE, None),
        ("saved_entry=advanced>five\n", FIVE, None),
        ("saved_entry=1>1\n", FIVE, None),
        (
            "saved_entry=Advanced options for Debian GNU/Linux>Debian, with Linux 5.10 >> old\n",
            FIVE,
            None,
        ),
        ("saved_entry=simple\nnext_entry=advanced>five\n", FIVE, None),
        ("saved_entry=gone\n", SIMPLE, Some("gone")),
        ("saved_entry=7\n", SIMPLE, Some("7")),
    ] {
        let menu = menu(&[
            (CFG, DEBIAN),
            (ENV, &format!("# GRUB Environment Block\n{env}####")),
        ]);
        assert_eq!(shown(&menu).as_deref(), Some(expected), "{env}");
        assert_eq!(menu.missing_default.as_deref(), missing, "{env}");
        assert_eq!(menu.entries.len(), 4);
        assert!(menu.entries[3].chained && menu.fault.is_none() && !menu.endless);
    }
}

#[test]
fn entry_files_are_sorted_and_expanded() {
    const RHEL: &str = "load_env\nset default=\"${saved_entry}\"\n\
        search --no-floppy --fs-uuid --set=root c1a7\nset boot=${root}\n\
        if [ -z \"${kernelopts}\" ]; then set kernelopts=\"root=none\"; fi\n\
        insmod blscfg\nblscfg\n";
    let old = "title OL (4.18)\nlinux /vmlinuz-4.18\ninitrd /a.img $tuned_initrd\noptions $kernelopts $tuned_params\n";
    let new = "title OL (5.15)\nlinux /vmlinuz-5.15\ninitrd /b.img\n";
    for (env, expected) in [
        (
            "kernelopts=root=UUID=c1a7 ro quiet\n",
            "OL (5.15):2 (hd0,msdos1)/vmlinuz-5.15 | (hd0,msdos1)/b.img | root=UUID=c1a7 ro quiet",
        ),
        (
            "saved_entry=8d0a-4.18.0-9\nkernelopts=root=UUID=c1a7 ro\n",
            "OL (4.18):2 (hd0,msdos1)/vmlinuz-4.18 | (hd0,msdos1)/a.img | root=UUID=c1a7 ro",
        ),
        (
            "saved_entry=8d0a-4.18.0-9\n",
            "OL (4.18):2 (hd0,msdos1)/vmlinuz-4.18 | (hd0,msdos1)/a.img | root=none",
        ),
    ] {
        let menu = menu(&[
            (CFG, RHEL),
            (ENV, env),
            ("/loader/entries/8d0a-4.18.0-9.conf", old),
            ("/loader/entries/8d0a-5.15.0-10.conf", new),
            ("/loader/entries/\u{fffd}.conf", "no entry"),
            ("/loader/entries/.hidden.conf", new),
            ("/loader/entries/x.txt", new),
        ]);
        assert_eq!(shown(&menu).as_deref(), Some(expected), "{env}");
        assert_eq!(menu.entries.len(), 2);
    }
}

#[test]
fn the_embedded_configuration_sets_the_prefix() {
    let files = [("/grub2/grub.cfg", "menuentry a { linux /v; }\n")];
    let prefix = FileName::parse("/boot/grub2", "hd0");
    for (text, expected) in [
        (
            "search.fs_uuid c1a7 root hd0,msdos1\nset prefix=($root)'/grub2'\n",
            Some(1),
        ),
        (
            "search.file /grub2/grub.cfg root\nset prefix=($root)/grub2\n",
            Some(1),
        ),
        ("search.fs_uuid dead root\nset prefix=($root)/grub2\n", None),
        (
            "search.fs_uuid c1a7 root\nset prefix=($root)/grub2\nconfigfile $prefix/grub.cfg\n",
            Some(1),
        ),
    ] {
        let (made, menu) = run(&Disk::new(&files), &prefix, Some(text)).unwrap();
        assert_eq!(menu.map(|menu| menu.entries.len()), expected, "{text}");
        assert_eq!(made.path, "/grub2");
    }
}

#[test]
fn commands_decide_as_in_grub() {
    for (text, expected) in [
        (
            "set x=1\nmenuentry a$x { linux /v $x; }",
            "a1:2 (hd0,msdos1)/v |  | 1",
        ),
        (
            "menuentry a { linux /v 'a b' \"c $d e\"; }",
            "a:1 (hd0,msdos1)/v |  | a b c  e",
        ),
        (
            "for i in 1 2; do menuentry e$i { linux /v $chosen; }; done\ndefault=e2",
            "e2:1 (hd0,msdos1)/v |  | e2",
        ),
        (
            "function f { menuentry \"$1 $#\" { linux /v; }; }\nf 'x y' z",
            "x y 2:1 (hd0,msdos1)/v |  | ",
        ),
        (
            "if false; then menuentry a { linux /1; }; elif ! false; then menuentry b { linux /2; }; fi",
            "b:1 (hd0,msdos1)/2 |  | ",
        ),
        (
            "if test -f /none -o -n x -a 2 -gt 1; then menuentry a { linux /v; }; fi",
            "a:1 (hd0,msdos1)/v |  | ",
        ),
        (
            "i=\nwhile [ x$i != xaaa ]; do set i=a$i; done\nmenuentry $i { linux /v; }",
            "aaa:3 (hd0,msdos1)/v |  | ",
        ),
        (
            "source /more\nmenuentry b { true; }",
            "more:2 (hd0,msdos1)/v |  | ",
        ),
        (
            "menuentry b { true; }\nconfigfile /more\nmenuentry c { true; }",
            "more:2 (hd0,msdos1)/v |  | ",
        ),
        (
            "menuentry x { multiboot2 /xen.gz a\nmodule2 /v b\nmodule2 --nounzip /i; }",
            "x:2 (hd0,msdos1)/v | (hd0,msdos1)/i | b",
        ),
        (
            "menuentry \"a \\\"b\\\" \\$c\" { # no {\n linux /v\\\n x; }",
            "a \"b\" $c:2 (hd0,msdos1)/v |  | x",
        ),
        (
            "menuentry a { linux (hd0,msdos2)/v; }",
            "a:1 (hd0,msdos2)/v |  | ",
        ),
    ] {
        let menu = menu(&[(CFG, text), ("/more", "\nmenuentry more { linux /v; }\n")]);
        assert_eq!(shown(&menu).as_deref(), Some(expected), "{text}");
        assert_eq!(menu.fault, None, "{text}");
    }
}

#[test]
fn hostile_scripts_end() {
    let deep = "if true; then ".repeat(100_000);
    let braces = "menuentry a {".repeat(100_000);
    let line = format!("menuentry a {{ linux /v {} }}", "x".repeat(2 << 20));
    let words = format!("while true; do set {}; done", "y ".repeat(1 << 20));
    let doubling = "x=a\nwhile true; do set x=$x$x$x$x; done\n";
    let many = "i=\nwhile true; do i=a$i; menuentry $i { linux /v; }; set v$i=$i; done\n";
    let submenus = "function f { submenu a { f; f; }; }\nf\n";
    let wide = "function f { for i in 1 2 3 4 5 6 7 8 9; do submenu a { f; }; done; }\nf\n";
    let nested = "function f { f; f; }\nf\n";
    for text in [
        "source /boot/grub/grub.cfg\nsource /boot/grub/grub.cfg\n",
        "configfile /boot/grub/grub.cfg\n",
        "while true; do true; done\n",
        "menuentry a { while true; do true; done; }\n",
        deep.as_str(),
        &braces,
        &line,
        &words,
        doubling,
        many,
        submenus,
        wide,
        nested,
        "}}}}; fi done ${ $( ' \"",
    ] {
        let menu = menu(&[(CFG, text)]);
        assert!(menu.entries.len() <= 500);
    }
    let endless = menu(&[(CFG, "while true; do true; done\n")]);
    assert!(endless.endless);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_text_is_run(
        text in "(menuentry|submenu|if|then|fi|while|do|done|for|in|set|linux|search|x=|[a-z{}$;\n'\"\\\\ #!&|\\[\\]-]){0,80}",
    ) {
        let _ = menu(&[(CFG, &text), (ENV, &text)]);
    }
}
