//! What is generated, syntax by syntax, and what becomes of it.

/// Some lines of a file.
#[derive(Debug, Clone, Copy)]
pub struct Piece {
    /// As they are.
    pub before: &'static str,
    /// As they are once the guest is prepared.
    pub after: &'static str,
}

const fn stays(text: &'static str) -> Piece {
    changes(text, text)
}

const fn goes(text: &'static str) -> Piece {
    changes(text, "")
}

const fn changes(before: &'static str, after: &'static str) -> Piece {
    Piece { before, after }
}

/// A file whose syntax is edited in place.
#[derive(Debug)]
pub struct Syntax {
    /// The file.
    pub path: &'static str,
    /// What else is in the guest.
    pub around: &'static [(&'static str, &'static str)],
    /// What comes before the pieces, and stays.
    pub head: &'static str,
    /// What may be in it, in any order.
    pub pieces: &'static [Piece],
    /// What comes after the pieces, and stays.
    pub tail: &'static str,
}

const DEBIAN: (&str, &str) = ("/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n");
const RHEL: (&str, &str) = ("/etc/os-release", "ID=\"ol\"\nVERSION_ID=\"8.9\"\n");

/// Every syntax.
pub const TABLES: &[Syntax] = &[
    Syntax {
        path: "/etc/network/interfaces",
        around: &[
            DEBIAN,
            (
                "/etc/network/interfaces.d/dhcp",
                "auto /e*=any\niface any inet dhcp\n",
            ),
        ],
        head: "# interfaces(5)\nsource /etc/network/interfaces.d/*\nauto lo\niface lo inet loopback\n",
        pieces: &[
            stays("\n# a comment with 52:54:00:12:34:56\n\n"),
            stays(
                "auto dummy0\niface dummy0 inet manual\n  pre-up ip link add dummy0 type dummy\n",
            ),
            stays("auto tun0\niface tun0 inet manual\n\tmtu 1400\n"),
            stays("iface vmbr9 inet static\n    address 10.9.0.1/24\n    bridge_ports none\n"),
            goes(
                "auto ens192\niface ens192 inet static\n  address 192.168.7.4/24\n  gateway 192.168.7.1\n",
            ),
            goes("allow-hotplug eth5\niface eth5 inet dhcp\n"),
            goes(
                "auto bond0\niface bond0 inet static\n  address 10.1.0.4\n  netmask 255.255.0.0\n  bond-slaves eth6 eth7\n",
            ),
            goes("auto eth8.42\niface eth8.42 inet6 static\n  address 2001:db8::4/64\n"),
            goes("auto br1\niface br1 inet dhcp\n  bridge_ports eth9 \\\n    eth10\n"),
            changes(
                "iface virbr7 inet manual\n  bridge_ports none\n  hwaddress ether 52:54:00:12:34:56\n  mtu 1500\n",
                "iface virbr7 inet manual\n  bridge_ports none\n  mtu 1500\n",
            ),
        ],
        tail: "# the end\n",
    },
    Syntax {
        path: "/etc/sysconfig/network",
        around: &[
            RHEL,
            (
                "/etc/sysconfig/network-scripts/ifcfg-lo",
                "DEVICE=lo\nIPADDR=127.0.0.1\n",
            ),
        ],
        head: "# made by the installer\n",
        pieces: &[
            stays("NETWORKING=yes\n"),
            stays("# GATEWAY=10.0.0.1\n"),
            stays("HOSTNAME=web01.example.com\n"),
            stays("NOZEROCONF=\"yes\"\n"),
            goes("GATEWAY=10.0.0.1\n"),
            goes("GATEWAYDEV='ens192'\n"),
            goes("IPV6_DEFAULTGW=2001:db8::1\n"),
        ],
        tail: "",
    },
    Syntax {
        path: "/etc/default/grub",
        around: &[DEBIAN],
        head: "# grub's defaults\n",
        pieces: &[
            stays("GRUB_TIMEOUT=5\n"),
            stays("# GRUB_CMDLINE_LINUX=\"ip=192.0.2.9::192.0.2.1:255.255.255.0:h:ens192:none\"\n"),
            stays("GRUB_DISTRIBUTOR=`lsb_release -i -s 2> /dev/null || echo Debian`\n"),
            changes(
                "GRUB_CMDLINE_LINUX=\"console=tty0 ifname=eth0:52:54:00:12:34:56 quiet\"\n",
                "GRUB_CMDLINE_LINUX=\"console=tty0 quiet\"\n",
            ),
            changes(
                "GRUB_CMDLINE_LINUX_DEFAULT='nameserver=192.168.7.2 splash' # keep\n",
                "GRUB_CMDLINE_LINUX_DEFAULT='splash' # keep\n",
            ),
        ],
        tail: "GRUB_TERMINAL=console\n",
    },
    Syntax {
        path: "/boot/grub/grub.cfg",
        around: &[DEBIAN],
        head: "# DO NOT EDIT\nset timeout=5\n",
        pieces: &[
            stays(
                "if [ x$feature = xy ]; then\n  search --no-floppy --fs-uuid --set=root abc\nfi\n",
            ),
            stays("menuentry 'A' {\n\tlinux\t/vmlinuz root=UUID=a ro quiet\n\tinitrd /initrd\n}\n"),
            changes(
                "menuentry 'B' --class os {\n\tlinux\t/vmlinuz-b root=UUID=a ip=192.0.2.9::192.0.2.1:255.255.255.0:h:ens192:none ro\n}\n",
                "menuentry 'B' --class os {\n\tlinux\t/vmlinuz-b root=UUID=a ro\n}\n",
            ),
            changes(
                "submenu 'S' {\n  menuentry 'C' {\n    linux16 /vmlinuz-c rd.route=10.0.0.0/8:10.1.1.1:ens192\n  }\n}\n",
                "submenu 'S' {\n  menuentry 'C' {\n    linux16 /vmlinuz-c\n  }\n}\n",
            ),
        ],
        tail: "",
    },
    Syntax {
        path: "/boot/grub/menu.lst",
        around: &[RHEL],
        head: "default=0\ntimeout=5\n",
        pieces: &[
            stays("# title old\n#\tkernel /vmlinuz bootdev=eth0\n"),
            stays("title A\n\troot (hd0,0)\n\tkernel /vmlinuz-a ro root=UUID=a\n\tinitrd /a.img\n"),
            changes(
                "title B\n\troot (hd0,0)\n\tkernel /vmlinuz-b ro bootdev=eth0 root=UUID=a\n\tinitrd /b.img\n",
                "title B\n\troot (hd0,0)\n\tkernel /vmlinuz-b ro root=UUID=a\n\tinitrd /b.img\n",
            ),
        ],
        tail: "",
    },
    Syntax {
        path: "/boot/loader/entries/a.conf",
        around: &[RHEL],
        head: "title Oracle Linux\nlinux /vmlinuz\n",
        pieces: &[
            stays("# options vlan=a.5:eth0\n"),
            stays("grub_users $grub_users\n"),
            stays("initrd /initramfs.img $tuned_initrd\n"),
            changes(
                "options root=UUID=a ro vlan=ens192.5:ens192 $tuned_params\n",
                "options root=UUID=a ro $tuned_params\n",
            ),
        ],
        tail: "",
    },
    Syntax {
        path: "/etc/udev/rules.d/70-persistent-net.rules",
        around: &[DEBIAN],
        head: "KERNEL==\"sda\", SYMLINK+=\"boss\"\n",
        pieces: &[
            stays("# about nothing in particular\nKERNEL==\"sdb\", MODE=\"0660\"\n"),
            stays("SUBSYSTEM==\"block\", ATTR{address}==\"52:54:00:12:34:56\", \\\n  NAME=\"x\"\n"),
            stays("SUBSYSTEM==\"net\", KERNEL==\"tap*\", NAME=\"x\"\n"),
            goes(
                "SUBSYSTEM==\"net\", ACTION==\"add\", ATTR{address}==\"52:54:00:12:34:56\", NAME=\"eth0\"\n",
            ),
            goes("SUBSYSTEM==\"net\", KERNELS==\"0000:03:00.0\", \\\n    NAME=\"eth0\"\n"),
            goes("SUBSYSTEM==\"net\", ENV{ID_NET_NAME}=\"lan0\"\n"),
        ],
        tail: "",
    },
    Syntax {
        path: "/etc/fstab",
        around: &[DEBIAN],
        head: "# <file system> <mount point>\nUUID=root / ext4 errors=remount-ro 0 1\n",
        pieces: &[
            stays("\n# a note\n"),
            stays("tmpfs   /tmp\ttmpfs  rw,nosuid  0 0\n"),
            stays("UUID=own /srv/own ext4 defaults 0 2\n"),
            goes(
                "/dev/disk/by-path/ip-192.0.2.5:3260-iscsi-iqn.x:y-lun-1 /srv/a ext4 _netdev 0 2\n",
            ),
            goes(
                "/dev/disk/by-path/ip-192.0.2.5:3260-iscsi-iqn.x:y-lun-2 none swap sw,_netdev 0 0\n",
            ),
        ],
        tail: "",
    },
    Syntax {
        path: "/etc/dhcp/dhclient.conf",
        around: &[DEBIAN],
        head: "option rfc3442 code 121 = array of unsigned integer 8;\n",
        pieces: &[
            stays("# send dhcp-client-identifier 1:2;\n"),
            stays("send host-name = gethostname();\n"),
            stays("request subnet-mask, broadcast-address,\n\tdomain-name;\n"),
            goes("send dhcp-client-identifier 1:52:54:0:12:34:56;\n"),
            goes("lease {\n  fixed-address 10.0.0.5;\n}\n"),
        ],
        tail: "timeout 60;\n",
    },
    Syntax {
        path: "/etc/hosts",
        around: &[DEBIAN, ("/etc/hostname", "web01\n")],
        head: "127.0.0.1\tlocalhost\n127.0.1.1 web01.example.com web01\n",
        pieces: &[
            stays("192.0.2.11 db01 # the database\n"),
            stays("#192.0.2.10 web01\n"),
            stays("::1 localhost ip6-localhost\n"),
            goes("192.0.2.10\tweb01.example.com web01 # this machine\n"),
            goes("2001:db8::10 web01\n"),
        ],
        tail: "",
    },
    Syntax {
        path: "/etc/NetworkManager/NetworkManager.conf",
        around: &[
            RHEL,
            (
                "/etc/systemd/system/multi-user.target.wants/NetworkManager.service",
                "-> /usr/lib/systemd/system/NetworkManager.service",
            ),
        ],
        head: "[main]\nplugins=keyfile\n",
        pieces: &[
            stays("\n# unmanaged-devices=mac:52:54:00:12:34:56\n"),
            stays("[logging]\nlevel=WARN\n"),
            changes(
                "[keyfile]\nunmanaged-devices=mac:52:54:00:12:34:56;interface-name:veth*\n",
                "[keyfile]\nunmanaged-devices=interface-name:veth*\n",
            ),
        ],
        tail: "",
    },
    Syntax {
        path: "/etc/systemd/network/20-d.netdev",
        around: &[
            DEBIAN,
            (
                "/etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
                "-> /lib/systemd/system/systemd-networkd.service",
            ),
        ],
        head: "[NetDev]\nName=d0\nKind=dummy\n",
        pieces: &[
            stays("# MACAddress=52:54:00:12:34:56\n"),
            stays("Description=a \\\n  dummy\n"),
            stays("MTUBytes=1400\n"),
            goes("MACAddress = 52:54:00:12:34:56\n"),
        ],
        tail: "",
    },
    Syntax {
        path: "/etc/sysconfig/network-scripts/ifcfg-dummy0",
        around: &[RHEL],
        head: "DEVICE=dummy0\nTYPE=dummy\n",
        pieces: &[
            stays("# HWADDR=52:54:00:12:34:56\n"),
            stays("IPADDR=\"10.9.0.1\"\n"),
            stays("ONBOOT=yes\n"),
            goes("MACADDR='52:54:00:12:34:56'\n"),
            goes("HWADDR=52:54:00:12:34:56\n"),
        ],
        tail: "",
    },
    Syntax {
        path: "/etc/dhcpcd.conf",
        around: &[DEBIAN],
        head: "# dhcpcd.conf(5)\nhostname\n",
        pieces: &[
            stays("option rapid_commit\n"),
            stays("#interface eth0\n"),
            stays("duid\n"),
            goes("clientid 01:52:54:00:12:34:56\n"),
            goes("static domain_name_servers=10.0.0.2\n"),
        ],
        tail: "",
    },
    Syntax {
        path: "/etc/netplan/50-own.yaml",
        around: &[DEBIAN],
        head: "# netplan\nnetwork:\n  version: 2\n  dummy-devices:\n    d0: {addresses: [10.9.0.1/24]}   # stays\n",
        pieces: &[
            stays(
                "  # nothing\n  tunnels:\n    t0: {mode: gre, local: 10.9.0.1, remote: 10.9.0.2}\n",
            ),
            goes(
                "  ethernets:\n    ens192:\n      match: {macaddress: \"52:54:00:12:34:56\"}\n      addresses:\n      - 192.0.2.4/24\n",
            ),
            goes("  bonds:\n    bond0:\n      interfaces: [ens192]\n      dhcp4: true\n"),
            changes(
                "  bridges:\n    br0:\n      macaddress: 52:54:00:12:34:57\n      addresses: [10.8.0.1/24]\n",
                "  bridges:\n    br0:\n      addresses: [10.8.0.1/24]\n",
            ),
        ],
        tail: "",
    },
];
