//! Places between two operations where a test lets the program fail.
//!
//! `BYOI_FAIL=NAME:EFFECT` names a place and what happens there: a signal that the process sends to
//! itself (`SIGINT`, `SIGTERM`, `SIGKILL`), or an error of the next system call (`ENOSPC`, `EIO`).
//! `NAME@N` is the place when it is reached for the N-th time. No clock decides where a run ends.
//! Builds without debug assertions have no such places.

use std::collections::HashMap;
use std::env;
use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};

use nix::errno::Errno;
use nix::sys::signal::{Signal, raise};

/// What shall happen, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Order {
    place: String,
    /// When the place is reached for this time, from 1.
    time: u32,
    effect: Effect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Signal(Signal),
    Error(Errno),
}

impl Order {
    fn parse(text: &str) -> Option<Self> {
        let (place, effect) = text.split_once(':')?;
        let (place, time) = match place.split_once('@') {
            Some((place, time)) => (place, time.parse().ok()?),
            None => (place, 1),
        };
        let effect = match effect {
            "ENOSPC" => Effect::Error(Errno::ENOSPC),
            "EIO" => Effect::Error(Errno::EIO),
            signal => Effect::Signal(signal.parse().ok()?),
        };
        Some(Self {
            place: place.to_owned(),
            time,
            effect,
        })
    }

    fn of_environment() -> Option<&'static Self> {
        static ORDER: OnceLock<Option<Order>> = OnceLock::new();
        ORDER
            .get_or_init(|| Self::parse(&env::var("BYOI_FAIL").ok()?))
            .as_ref()
    }
}

/// Reaches a place before a system call that may fail.
///
/// # Errors
///
/// The error that was ordered for this place.
pub fn reach(place: &'static str) -> io::Result<()> {
    if !cfg!(debug_assertions) {
        return Ok(());
    }
    let Some(order) = Order::of_environment() else {
        return Ok(());
    };
    if order.place != place || count(place) != order.time {
        return Ok(());
    }
    match order.effect {
        Effect::Signal(signal) => Ok(raise(signal)?),
        Effect::Error(errno) => Err(errno.into()),
    }
}

/// How often a place has been reached, this time included.
fn count(place: &'static str) -> u32 {
    static COUNTS: OnceLock<Mutex<HashMap<&'static str, u32>>> = OnceLock::new();
    let mut counts = COUNTS
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let count = counts.entry(place).or_default();
    *count += 1;
    *count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read() {
        let order = |place: &str, time, effect| {
            Some(Order {
                place: place.to_owned(),
                time,
                effect,
            })
        };
        for (text, expected) in [
            (
                "copy:SIGKILL",
                order("copy", 1, Effect::Signal(Signal::SIGKILL)),
            ),
            ("apply@3:EIO", order("apply", 3, Effect::Error(Errno::EIO))),
            ("apply@x:EIO", None),
            ("copy", None),
            ("copy:", None),
        ] {
            assert_eq!(Order::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn places_without_an_order_do_nothing() {
        reach("nowhere").unwrap();
    }
}
