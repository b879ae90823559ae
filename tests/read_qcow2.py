#!/usr/bin/env python3
"""Reads a QCOW2 image by the format's own specification, and compares it with the raw disk.

    read_qcow2.py IMAGE RAW

Each compressed cluster is inflated by zlib with a window of 4 KiB, 4 KiB at a time, as a reader
would that has no more memory. Prints how many clusters are compressed and how many are stored.
"""

import struct
import sys
import zlib

PIECE = 4096


def inflate(data, size):
    """The cluster that data begins with; what follows it in its last sector is not looked at."""
    reader = zlib.decompressobj(-12)
    pieces = []
    for at in range(0, len(data), PIECE):
        waiting = data[at : at + PIECE]
        while waiting and not reader.eof:
            pieces.append(reader.decompress(waiting, PIECE))
            waiting = reader.unconsumed_tail
    cluster = b"".join(pieces) + reader.flush()
    assert reader.eof and len(cluster) == size, (reader.eof, len(cluster))
    return cluster


def main():
    with open(sys.argv[1], "rb") as file:
        image = file.read()
    with open(sys.argv[2], "rb") as file:
        raw = file.read()
    magic, version, backing, _, bits, size = struct.unpack_from(">4sIQIIQ", image)
    encryption, l1_size, l1_offset = struct.unpack_from(">IIQ", image, 32)
    incompatible, = struct.unpack_from(">Q", image, 72)
    assert (magic, version, backing, encryption, incompatible) == (b"QFI\xfb", 3, 0, 0, 0)
    cluster_size = 1 << bits
    raw += bytes(size - len(raw))
    disk = bytearray(size)
    counts = {"compressed": 0, "stored": 0}
    offset_bits = 62 - (bits - 8)
    for number, entry in enumerate(struct.unpack_from(f">{l1_size}Q", image, l1_offset)):
        table = entry & 0x00FF_FFFF_FFFF_FE00
        if not table:
            continue
        entries = cluster_size // 8
        for slot, entry in enumerate(struct.unpack_from(f">{entries}Q", image, table)):
            if not entry:
                continue
            at = (number * entries + slot) << bits
            if entry >> 62 & 1:
                offset = entry & ((1 << offset_bits) - 1)
                sectors = (entry >> offset_bits & ((1 << 62 - offset_bits) - 1)) + 1
                content = inflate(image[offset : offset // 512 * 512 + sectors * 512], cluster_size)
                counts["compressed"] += 1
            else:
                offset = entry & 0x00FF_FFFF_FFFF_FE00
                content = image[offset : offset + cluster_size]
                counts["stored"] += 1
            disk[at : at + cluster_size] = content[: size - at]
    assert disk == raw, "the disk is another one"
    print(counts["compressed"], counts["stored"])


main()
