//! The encoder beside others, on clusters made of the files in `/usr`, one after another as in a
//! tar: first a table by processor time, where zlib as QEMU sets it is 1, then criterion's figures.
//!
//! ```text
//! cargo bench -p byoi-builder --bench deflate
//! ```

use std::cell::RefCell;
use std::fs::{self, File};
use std::hint::black_box;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use byoi_builder::deflate::{Deflater, Level};
use criterion::{Criterion, Throughput};
use flate2::{Compress, Compression, FlushCompress};
use libdeflater::{CompressionLvl, Compressor};
use rustix::time::{ClockId, clock_gettime};

mod zlib;

const CLUSTER: usize = 1 << 16;

/// 32 MiB.
const CLUSTERS: u64 = 512;

/// How many clusters are compressed by each before the next one gets them.
const TURN: usize = 32;

/// The most bytes of a compressed cluster; more count as a cluster that is stored.
const WORTHWHILE: usize = CLUSTER - 512;

/// The bytes that a cluster takes.
type Encode = Box<dyn FnMut(&[u8]) -> usize>;

fn main() -> io::Result<()> {
    let clusters = clusters(Path::new("/usr"))?;
    let mut encoders = encoders();
    // Tests only ask whether this runs.
    if std::env::args().any(|arg| arg == "--bench") {
        print_table(&clusters, &mut encoders);
        measure(&clusters[..clusters.len().min(TURN)], &mut encoders);
    }
    Ok(())
}

fn encoders() -> Vec<(String, Encode)> {
    let mut all: Vec<(String, Encode)> = Vec::new();
    let mut zlib = zlib::Zlib::new(6);
    all.push((
        "zlib 6, as QEMU".into(),
        Box::new(move |cluster| zlib.deflate(cluster)),
    ));
    for (name, level) in [
        ("byoi fast", Level::Fast),
        ("byoi default", Level::Default),
        ("byoi best", Level::Best),
    ] {
        let mut deflater = Deflater::new(level);
        all.push((
            name.into(),
            Box::new(move |cluster| {
                deflater
                    .deflate(cluster, WORTHWHILE)
                    .map_or(CLUSTER, <[u8]>::len)
            }),
        ));
    }
    for level in [1, 3, 6, 9] {
        let mut zlib_rs = Compress::new_with_window_bits(Compression::new(level), false, 12);
        let mut out = vec![0; 2 * CLUSTER];
        all.push((
            format!("zlib-rs {level}, 4 KiB"),
            Box::new(move |cluster| {
                zlib_rs.reset();
                zlib_rs
                    .compress(cluster, &mut out, FlushCompress::Finish)
                    .expect("there is room");
                usize::try_from(zlib_rs.total_out()).expect("less than the room")
            }),
        ));
    }
    for level in [1, 6, 12] {
        let mut libdeflate =
            Compressor::new(CompressionLvl::new(level).expect("a level that there is"));
        let mut out = vec![0; 2 * CLUSTER];
        all.push((
            format!("libdeflate {level}, 32 KiB"),
            Box::new(move |cluster| {
                libdeflate
                    .deflate_compress(cluster, &mut out)
                    .expect("there is room")
            }),
        ));
    }
    // Those that `--compression zstd` stands for.
    for level in [1, 2, 15] {
        let mut zstd = zstd::bulk::Compressor::new(level).expect("there is memory");
        let mut out = vec![0; 2 * CLUSTER];
        all.push((
            format!("zstd {level}"),
            Box::new(move |cluster| {
                zstd.compress_to_buffer(cluster, &mut out)
                    .expect("there is room")
            }),
        ));
    }
    all
}

/// Each takes its turn, so that a busy machine slows all of them down.
fn print_table(clusters: &[Vec<u8>], encoders: &mut [(String, Encode)]) {
    let mut totals = vec![(0.0, 0); encoders.len()];
    for turn in clusters.chunks(TURN) {
        for ((_, encode), (seconds, bytes)) in encoders.iter_mut().zip(&mut totals) {
            let mut best = f64::INFINITY;
            let mut length = 0;
            for _ in 0..2 {
                let start = processor_time();
                length = turn
                    .iter()
                    .map(|cluster| match encode(cluster) {
                        bytes if bytes > WORTHWHILE => CLUSTER,
                        bytes => bytes,
                    })
                    .sum();
                best = best.min(processor_time() - start);
            }
            *seconds += best;
            *bytes += u32::try_from(length).expect("less than 4 GiB");
        }
    }
    let input = f64::from(u32::try_from(clusters.len() * CLUSTER).expect("less than 4 GiB"));
    let (zlib_seconds, zlib_bytes) = totals[0];
    println!("{:24} {:>7} {:>7} {:>7}", "", "MB/s", "factor", "bytes");
    for ((name, _), (seconds, bytes)) in encoders.iter().zip(&totals) {
        println!(
            "{name:24} {:7.1} {:7.2} {:7.4}",
            input / seconds / 1e6,
            zlib_seconds / seconds,
            f64::from(*bytes) / f64::from(zlib_bytes),
        );
    }
}

fn measure(clusters: &[Vec<u8>], encoders: &mut [(String, Encode)]) {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let mut group = criterion.benchmark_group("deflate");
    let bytes = u64::try_from(clusters.len() * CLUSTER).expect("little");
    group.throughput(Throughput::Bytes(bytes));
    for (name, encode) in encoders {
        let encode = RefCell::new(encode);
        group.bench_function(name.as_str(), |bencher| {
            bencher.iter(|| {
                for cluster in clusters {
                    black_box(encode.borrow_mut()(cluster));
                }
            });
        });
    }
    group.finish();
}

/// Seconds of processor time that this program has used.
fn processor_time() -> f64 {
    std::time::Duration::try_from(clock_gettime(ClockId::ProcessCPUTime))
        .expect("a time that has passed")
        .as_secs_f64()
}

/// Clusters at equal distances in all files below `root`, without those that are zero.
fn clusters(root: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut files = Vec::new();
    list(root, &mut files)?;
    let total: u64 = files.iter().map(|(_, length)| length).sum();
    let mut clusters = Vec::new();
    for number in 0..CLUSTERS {
        let mut cluster = Vec::with_capacity(CLUSTER);
        let mut skip = total / CLUSTERS * number;
        for (path, length) in &files {
            if skip >= *length {
                skip -= length;
                continue;
            }
            let wanted = usize::try_from(length - skip)
                .unwrap_or(CLUSTER)
                .min(CLUSTER - cluster.len());
            let mut bytes = vec![0; wanted];
            File::open(path)?.read_exact_at(&mut bytes, skip)?;
            cluster.extend(bytes);
            if cluster.len() == CLUSTER {
                break;
            }
            skip = 0;
        }
        if cluster.len() == CLUSTER && cluster.iter().any(|&byte| byte != 0) {
            clusters.push(cluster);
        }
    }
    Ok(clusters)
}

/// The files below a directory, in the order of their names, and how long they are.
fn list(directory: &Path, files: &mut Vec<(PathBuf, u64)>) -> io::Result<()> {
    let mut entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            list(&entry.path(), files)?;
        } else if metadata.is_file() {
            files.push((entry.path(), metadata.len()));
        }
    }
    Ok(())
}
