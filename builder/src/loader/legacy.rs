//! The configuration of GRUB 0.97: `menu.lst`, on Red Hat `grub.conf`.
//!
//! Source: the GNU GRUB Manual 0.97, chapters "Configuration" and "Commands".

use super::script::{Entry, FileName, Menu};

/// The most entries that are looked at.
const MAX_ENTRIES: usize = 500;

/// Reads a configuration. `saved` is what the file `default` beside it holds, the entry that was
/// chosen last.
pub fn parse(text: &str, file: &FileName, saved: Option<&str>) -> Menu {
    let mut menu = Menu::default();
    let mut wanted = String::from("0");
    let mut root = file.device.clone();
    let mut current: Option<(Entry, String)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        let (command, rest) = line
            .split_once([' ', '\t', '='])
            .map_or((line, ""), |(command, rest)| {
                (command, rest.trim_start_matches([' ', '\t', '=']))
            });
        let Some((entry, entry_root)) = &mut current else {
            match command {
                "default" => {
                    wanted = match (rest.trim(), saved) {
                        ("saved", saved) => saved.and_then(first_word).unwrap_or("0").to_owned(),
                        (number, _) => number.to_owned(),
                    };
                }
                "root" | "rootnoverify" => root = device(rest),
                "title" => current = Some((begin(rest, file), root.clone())),
                _ => {}
            }
            continue;
        };
        match command {
            "title" => {
                menu.entries.push(std::mem::take(entry));
                if menu.entries.len() >= MAX_ENTRIES {
                    current = None;
                    break;
                }
                *entry = begin(rest, file);
                root.clone_into(entry_root);
            }
            "root" | "rootnoverify" => *entry_root = device(rest),
            "kernel" => {
                let mut words = rest.split_whitespace().skip_while(|w| w.starts_with("--"));
                entry.kernel = words.next().map(|name| file_name(name, entry_root));
                entry.args = words.map(str::to_owned).collect();
                entry.line = number;
            }
            // Xen takes the kernel and its ramdisk as modules.
            "module" if is_hypervisor(entry) => {
                let mut words = rest.split_whitespace();
                entry.kernel = words.next().map(|name| file_name(name, entry_root));
                entry.args = words.map(str::to_owned).collect();
                entry.line = number;
            }
            "initrd" | "module" => {
                let words = rest.split_whitespace().take(1);
                entry
                    .initramfs
                    .extend(words.map(|name| file_name(name, entry_root)));
            }
            "chainloader" | "configfile" => entry.chained = true,
            _ => {}
        }
    }
    menu.entries.extend(current.map(|(entry, _)| entry));
    match wanted.parse::<usize>() {
        Ok(number) if number < menu.entries.len() => menu.default = Some(number),
        _ => {
            menu.default = (!menu.entries.is_empty()).then_some(0);
            menu.missing_default = Some(wanted);
        }
    }
    menu
}

fn begin(title: &str, file: &FileName) -> Entry {
    Entry {
        title: title.trim().to_owned(),
        file: file.clone(),
        ..Entry::default()
    }
}

fn first_word(text: &str) -> Option<&str> {
    text.split_whitespace().next()
}

fn is_hypervisor(entry: &Entry) -> bool {
    entry
        .kernel
        .as_ref()
        .and_then(|kernel| kernel.path.rsplit('/').next())
        .is_some_and(|name| name.starts_with("xen"))
}

/// `(hd0,0)` counts partitions from 0; here they count from 1.
fn device(text: &str) -> String {
    let name = text.trim().trim_start_matches('(');
    let name = name.split(')').next().unwrap_or_default();
    match name.split_once(',') {
        Some((disk, part)) => {
            let part = part.split(',').next().unwrap_or(part);
            match part
                .trim()
                .parse::<u32>()
                .ok()
                .and_then(|p| p.checked_add(1))
            {
                Some(part) => format!("{disk},{part}"),
                None => name.to_owned(),
            }
        }
        None => name.to_owned(),
    }
}

fn file_name(name: &str, root: &str) -> FileName {
    match name.split_once(')') {
        Some((disk, path)) if name.starts_with('(') => FileName {
            device: device(disk),
            path: path.to_owned(),
        },
        _ => FileName {
            device: root.to_owned(),
            path: name.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> FileName {
        FileName::parse("(hd0,1)/grub/menu.lst", "")
    }

    const TEXT: &str = "default 1\ntimeout=5\n# kopt=root=/dev/hda1\n\
        title Rescue\n\troot (hd0,2)\n\tkernel /rescue\n\
        title CentOS\n\troot (hd0,0)\n\tkernel /vmlinuz-2.6.18 ro root=LABEL=/ \n\tinitrd /initrd.img\n\
        title Xen\n\tkernel (hd0,4)/xen.gz-2.6 dom0_mem=1\n\tmodule /vmlinuz-xen ro\n\tmodule /initrd-xen\n\
        title Windows\n\trootnoverify (hd1,0)\n\tchainloader +1\n";

    #[test]
    fn entries_are_read() {
        let menu = parse(TEXT, &file(), None);
        let shown: Vec<String> = menu
            .entries
            .iter()
            .map(|entry| {
                let kernel = entry.kernel.as_ref().map(ToString::to_string);
                let images: Vec<String> = entry.initramfs.iter().map(ToString::to_string).collect();
                format!(
                    "{} {} {} | {} {}",
                    entry.line,
                    entry.title,
                    kernel.unwrap_or_default(),
                    images.join(","),
                    entry.args.join(" ")
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                "6 Rescue (hd0,3)/rescue |  ",
                "9 CentOS (hd0,1)/vmlinuz-2.6.18 | (hd0,1)/initrd.img ro root=LABEL=/",
                "13 Xen (hd0,1)/vmlinuz-xen | (hd0,1)/initrd-xen ro",
                "0 Windows  |  ",
            ]
        );
        assert_eq!(menu.default, Some(1));
        assert!(menu.entries[3].chained);
    }

    #[test]
    fn the_default_is_what_the_file_says() {
        for (default, saved, expected, missing) in [
            ("", None, Some(0), None),
            ("default=2\n", None, Some(2), None),
            ("default saved\n", Some("1\n#\n"), Some(1), None),
            ("default saved\n", None, Some(0), None),
            ("default 9\n", None, Some(0), Some("9")),
            ("default x\n", None, Some(0), Some("x")),
        ] {
            let text = format!("{default}title a\ntitle b\ntitle c\n");
            let menu = parse(&text, &file(), saved);
            assert_eq!(menu.default, expected, "{default}");
            assert_eq!(menu.missing_default.as_deref(), missing, "{default}");
        }
        assert_eq!(parse("default 0\n", &file(), None).default, None);
    }
}
