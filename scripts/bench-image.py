#!/usr/bin/env python3
"""Measures `byoi-builder convert` beside `qemu-img convert -c` on one disk.

    scripts/bench-image.py [MIB [ROUNDS]]

Makes a sparse 10 GiB disk with MIB (default 1024) of what this machine has under
/usr, an eighth as much that is compressed already, and pages like a database's.
All programs take their turn in each round (default 5); medians are printed, with
the factor to `qemu-img convert -c -m 16 -W`, as a table for README.md. Every
output is compared with the disk. Needs a release build and qemu-img.
"""

import multiprocessing
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time
import zlib

MIB = 1 << 20
BUILDER = "target/x86_64-unknown-linux-gnu/release/byoi-builder"


def make_disk(path, size):
    """Real files, an already compressed part, a database-like part, a sparse tail."""
    with open(path, "wb") as disk, subprocess.Popen(
        ["tar", "--create", "--file=-", "/usr"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as tar:
        # Where a first partition begins; a tar at 0 would be read as one.
        disk.seek(MIB)
        left = size
        while left > 0 and (block := tar.stdout.read(min(MIB, left))):
            disk.write(block)
            left -= len(block)
        tar.kill()
        noise = random.Random(1)
        disk.write(b"".join(zlib.compress(noise.randbytes(MIB)) for _ in range(size // MIB // 8)))
        disk.seek(-disk.tell() % 4096, os.SEEK_CUR)
        row = b"".join(b"%08d|customer|%06d|" % (n, noise.randrange(10**6)) for n in range(150))
        for _ in range(size // MIB // 8 * 128):
            disk.write(noise.randbytes(40) + row[:3000] + bytes(8192 - 40 - 3000))
        disk.truncate(10 << 30)


def run(command):
    """Wall seconds, processor seconds, peak MiB."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command}: status {status}")
    return time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    os.chdir(pathlib.Path(__file__).parent.parent)
    size = int(sys.argv[1] if len(sys.argv) > 1 else 1024) * MIB
    rounds = int(sys.argv[2] if len(sys.argv) > 2 else 5)
    with tempfile.TemporaryDirectory() as folder:
        disk, out = f"{folder}/disk.raw", f"{folder}/out.qcow2"
        # Elsewhere, as a program starts with the memory of what starts it.
        maker = multiprocessing.Process(target=make_disk, args=(disk, size))
        maker.start()
        maker.join()
        if maker.exitcode:
            sys.exit(1)
        ours = [BUILDER, "convert", disk, "-o", out, "--level"]
        qemu = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c"]
        programs = {
            "qemu-img convert -c -m 16 -W": [*qemu, "-m", "16", "-W", disk, out],
            "qemu-img convert -c": [*qemu, disk, out],
            "byoi-builder convert --level fast": [*ours, "fast"],
            "byoi-builder convert": [*ours, "default"],
        }
        runs = {name: [] for name in programs}
        sizes = {}
        for number in range(rounds):
            for name, command in programs.items():
                pathlib.Path(out).unlink(missing_ok=True)
                runs[name].append(run(command))
                sizes[name] = os.stat(out).st_size
                if number == 0:
                    compare = ["qemu-img", "compare", "-q", "-f", "raw", "-F", "qcow2", disk, out]
                    subprocess.run(compare, check=True)
        medians = {name: [statistics.median(c) for c in zip(*r)] for name, r in runs.items()}
        base = next(iter(programs))
        print("| | wall s | factor | processor s | peak MiB | MB | size |")
        print("|---|---|---|---|---|---|---|")
        for name, (wall, cpu, memory) in medians.items():
            print(
                f"| `{name}` | {wall:.1f} | {medians[base][0] / wall:.2f} | {cpu:.1f} | {memory:.0f} |"
                f" {sizes[name] / 1e6:.0f} | {sizes[name] / sizes[base]:.3f} |"
            )


main()
