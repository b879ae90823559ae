//! Swap space in use, and the memory that what is in it needs.

use super::kernel::Kernel;
use crate::error::Error;
use crate::parse::fstab::decode;

/// Swap space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swap {
    /// The device or file.
    pub path: String,
    /// How large it is, in KiB.
    pub size: u64,
    /// How much of it is used, in KiB.
    pub used: u64,
    /// Its priority; negative where the kernel chose it.
    pub priority: i32,
}

/// The swap space in use.
///
/// # Errors
///
/// The kernel's files could not be read.
pub fn swaps(kernel: Kernel<'_>) -> Result<Vec<Swap>, Error> {
    let text = kernel.value(&"/proc/swaps".into())?.unwrap_or_default();
    Ok(text.lines().skip(1).filter_map(swap).collect())
}

/// `Filename Type Size Used Priority`.
fn swap(line: &str) -> Option<Swap> {
    let mut columns = line.split_whitespace();
    let path = decode(columns.next()?);
    let mut numbers = columns.skip(1);
    Some(Swap {
        path,
        size: numbers.next()?.parse().ok()?,
        used: numbers.next()?.parse().ok()?,
        priority: numbers.next()?.parse().ok()?,
    })
}

/// How much memory the kernel can give without swapping, in KiB.
///
/// # Errors
///
/// The kernel's files could not be read.
pub fn available(kernel: Kernel<'_>) -> Result<u64, Error> {
    let text = kernel.value(&"/proc/meminfo".into())?.unwrap_or_default();
    let value = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
            .and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok())
    };
    // Kernels before 3.14 do not say it themselves.
    Ok(value("MemAvailable").unwrap_or_else(|| {
        let free = value("MemFree").unwrap_or_default();
        free.saturating_add(value("Cached").unwrap_or_default() / 2)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_space_is_read() {
        let line = "/dev/dm-1                               partition\t409596\t\t1024\t\t7";
        let expected = Swap {
            path: "/dev/dm-1".into(),
            size: 409_596,
            used: 1024,
            priority: 7,
        };
        assert_eq!(swap(line), Some(expected));
        let line = "/srv/a\\040b file 10 0 -2";
        assert_eq!(
            swap(line).map(|swap| swap.path).as_deref(),
            Some("/srv/a b")
        );
    }
}
