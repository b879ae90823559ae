#!/usr/bin/env python3
"""Measures programs that make images, and prints Markdown tables.

    bench-image.py BYOI-BUILDER FOLDER GUEST ROUNDS

FOLDER holds disk.raw; GUEST is the disk of a real guest. All programs take their
turn in each of ROUNDS rounds, in another order each time, as what ran before decides
how fast memory is at hand; those that run a virtual machine run once. Every output
is compared with the disk and checked. Called by bench.sh.
"""

import os
import pathlib
import random
import statistics
import subprocess
import sys
import time

BUILDER, FOLDER, GUEST, ROUNDS = *sys.argv[1:4], int(sys.argv[4])
DISK, COPY, OUT = (f"{FOLDER}/{name}" for name in ("disk.raw", "copy.raw", "out.qcow2"))
QEMU = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2"]
BEST_QEMU = [*QEMU, "-c", "-m", "16", "-W"]
OURS = [BUILDER, "convert", DISK, "-o", OUT]

# What is measured on the disk: the name in the table, and the command; of ours, its options.
PEERS = {
    "qemu-img convert -c -m 16 -W": [*BEST_QEMU, DISK, OUT],
    "qemu-img convert -c": [*QEMU, "-c", DISK, OUT],
    "qemu-img convert -c, zstd, -m 16 -W": [
        *BEST_QEMU, "-o", "compression_type=zstd", DISK, OUT,
    ],
    "qemu-img convert": [*QEMU, DISK, OUT],
}
OPTIONS = {
    "byoi-builder convert --level fast": ["--level", "fast"],
    "byoi-builder convert": [],
    "byoi-builder convert --compression zstd": ["--compression", "zstd"],
    "byoi-builder convert --compression none": ["--compression", "none"],
}
GUESTFS = {"LIBGUESTFS_BACKEND": "direct", **os.environ}


def run(*commands):
    """Runs commands one after the other: wall seconds, processor seconds, peak MiB."""
    os.sync()
    wall, cpu, memory = 0.0, 0.0, 0.0
    for command in commands:
        start = time.monotonic()
        process = subprocess.Popen(
            command, env=GUESTFS, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        wall += time.monotonic() - start
        cpu += usage.ru_utime + usage.ru_stime
        memory = max(memory, usage.ru_maxrss / 1024)
    return wall, cpu, memory


def virtual(rows, name, *commands):
    """Adds a row for programs that run a virtual machine, by translation where KVM fails."""
    try:
        try:
            measured = run(*commands)
        except subprocess.CalledProcessError:
            GUESTFS.setdefault("LIBGUESTFS_BACKEND_SETTINGS", "force_tcg")
            measured = run(*commands)
        rows[f"{name} (once)"] = (*measured, os.stat(OUT).st_size)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"left out: {error}", file=sys.stderr)


def sparse_copy(source, target):
    subprocess.run(["cp", "--sparse=always", source, target], check=True)


def rounds(programs):
    """The medians of each program, and the size of what it makes in bytes."""
    runs, sizes = {name: [] for name in programs}, {}
    for number in range(ROUNDS):
        print(f"round {number + 1} of {ROUNDS}", file=sys.stderr)
        order = random.Random(number).sample(list(programs.items()), len(programs))
        for name, command in order:
            pathlib.Path(OUT).unlink(missing_ok=True)
            runs[name].append(run(command))
            sizes[name] = os.stat(OUT).st_size
            if number == 0:
                subprocess.run(["qemu-img", "check", "-q", OUT], check=True)
                compare = ["qemu-img", "compare", "-q", "-f", "raw", "-F", "qcow2", DISK, OUT]
                subprocess.run(compare, check=True)
    return {n: (*map(statistics.median, zip(*r)), sizes[n]) for n, r in runs.items()}


def table(title, rows, base, bounds=None):
    """Rows with their factors to the row `base`, and to their bounds in seconds."""
    bounds = bounds or {}
    print(f"\n| {title} | wall s | factor | processor s | factor | peak MiB | MB | size | of the bound |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, (wall, cpu, memory, size) in rows.items():
        bound = f"{bounds[name] / wall:.2f}" if name in bounds else ""
        print(
            f"| {name} | {wall:.1f} | {rows[base][0] / wall:.2f} "
            f"| {cpu:.1f} | {rows[base][1] / cpu:.2f} | {memory:.0f} "
            f"| {size / 1e6:.0f} | {size / rows[base][3]:.3f} | {bound} |"
        )


def one_core(options):
    """Processor seconds of one thread that works on what is in memory."""
    before = os.times()
    run([*OURS, *options, "--threads", "1"])
    after = os.times()
    return after.children_user - before.children_user


def copy_speed():
    """Bytes that memory copies in a second."""
    code = (
        "import time; a = bytes(1 << 28); b = bytearray(1 << 28); best = 9\n"
        "for _ in range(5):\n"
        "    start = time.monotonic(); b[:] = a; best = min(best, time.monotonic() - start)\n"
        "print((1 << 28) / best)"
    )
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


def convert():
    rows = rounds(PEERS | {name: [*OURS, *options] for name, options in OPTIONS.items()})
    cores = len(os.sched_getaffinity(0))
    bounds = {name: one_core(options) / cores for name, options in OPTIONS.items()}
    base = next(iter(PEERS))
    sparse_copy(DISK, COPY)
    in_place = ["virt-sparsify", "--in-place", COPY]
    virtual(rows, "virt-sparsify --in-place, qemu-img", in_place, [*BEST_QEMU, COPY, OUT])
    compress = ["virt-sparsify", "--convert", "qcow2", "--compress", "--tmp", FOLDER, DISK, OUT]
    virtual(rows, "virt-sparsify --compress", compress)
    os.unlink(COPY)
    table(f"raw to QCOW2, rounds: {ROUNDS}", rows, base, bounds)
    data = os.stat(DISK).st_blocks * 512
    speed = copy_speed()
    print(f"\n{data / 1e6:.0f} MB of data, {cores} cores; a copy in memory, {speed / 1e9:.1f} GB/s,")
    print(f"would take {data / speed:.2f} s. The bound is what one core takes, over the cores:")
    for name, bound in bounds.items():
        print(f"{name}: {data / bound / cores / 1e6:.0f} MB/s a core")


def scaling():
    """The same data on a disk forty times as large."""
    sizes = {"10 GiB": 10 << 30, "400 GB": 400 * 10**9}
    walls = {name: [] for name in sizes}
    for _ in range(ROUNDS):
        for name, size in sizes.items():
            os.truncate(DISK, size)
            walls[name].append(run(OURS)[0])
    os.truncate(DISK, sizes["10 GiB"])
    small, large = map(statistics.median, walls.values())
    print(f"\nOn a disk of 400 GB: {large:.1f} s, of 10 GiB: {small:.1f} s, ratio {large / small:.2f}")


def whole_job():
    """A guest made ready, beside what others take for a part of that."""
    sparse_copy(GUEST, COPY)
    build = [BUILDER, "build", GUEST, "-o", OUT, "--no-boot-test", "--workdir", FOLDER]
    rows = {"byoi-builder build --no-boot-test (once)": (*run(build), os.stat(OUT).st_size)}
    virtual(
        rows,
        "virt-sysprep, virt-sparsify --in-place, qemu-img",
        ["virt-sysprep", "-a", COPY],
        ["virt-sparsify", "--in-place", COPY],
        [*BEST_QEMU, COPY, OUT],
    )
    table("a guest of 2 GiB", rows, list(rows)[-1])


convert()
scaling()
whole_job()
