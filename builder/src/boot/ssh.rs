//! The greeting of the guest's SSH server (RFC 4253, section 4.2).

use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long one attempt waits for the greeting.
const ATTEMPT: Duration = Duration::from_secs(5);
/// The pause between attempts.
const PAUSE: Duration = Duration::from_millis(500);
/// How much a server may say before its greeting, in bytes.
const MAX_GREETING: usize = 4096;

/// Tries, in a thread of its own, until the server greets; ends when dropped.
#[derive(Debug)]
pub struct Probe {
    found: Receiver<(Instant, String)>,
    stop: Arc<AtomicBool>,
}

impl Probe {
    /// Starts trying `port` of this host.
    pub fn start(port: u16) -> Self {
        let (sender, found) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if let Ok(Some(greeting)) = greeting(port) {
                    // Nobody listens any more once the boot test has ended.
                    sender.send((Instant::now(), greeting)).ok();
                    break;
                }
                thread::sleep(PAUSE);
            }
        });
        Self { found, stop }
    }

    /// The greeting, once, when it has come.
    pub fn poll(&self) -> Option<(Instant, String)> {
        self.found.try_recv().ok()
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// A port of this host that nobody uses at the moment.
///
/// # Errors
///
/// The host has no IPv4 loopback or no free port.
pub fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

/// Connects and reads up to the greeting.
fn greeting(port: u16) -> io::Result<Option<String>> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let deadline = Instant::now() + ATTEMPT;
    let mut stream = TcpStream::connect_timeout(&address, ATTEMPT)?;
    let mut said = Vec::new();
    let mut buffer = [0; 512];
    while said.len() < MAX_GREETING {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        stream.set_read_timeout(Some(left))?;
        let length = stream.read(&mut buffer)?;
        said.extend_from_slice(&buffer[..length]);
        let whole_lines = said.split_inclusive(|&byte| byte == b'\n');
        for line in whole_lines.filter(|line| line.ends_with(b"\n")) {
            if line.starts_with(b"SSH-") {
                return Ok(Some(printable(line)));
            }
        }
        if length == 0 {
            break;
        }
    }
    Ok(None)
}

fn printable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.chars()
        .filter(|character| !character.is_control())
        .take(255)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Serves one connection with `chunks`, then hangs up.
    fn served(chunks: &'static [&'static [u8]]) -> Option<String> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for chunk in chunks {
                stream.write_all(chunk).unwrap();
                stream.flush().unwrap();
                thread::sleep(Duration::from_millis(20));
            }
        });
        let found = greeting(port).unwrap();
        server.join().unwrap();
        found
    }

    #[test]
    fn the_greeting_is_the_first_line_that_says_so() {
        let expected = Some("SSH-2.0-OpenSSH_9.2p1".to_owned());
        assert_eq!(
            served(&[b"be nice\r\nSSH-2.0-Op", b"enSSH_9.2p1\x1b\r\n"]),
            expected
        );
        assert_eq!(served(&[]), None);
        assert_eq!(served(&[b"HTTP/1.1 400\r\n", b"SSH-2.0-cut off"]), None);
    }

    #[test]
    fn the_probe_tries_again() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let probe = Probe::start(listener.local_addr().unwrap().port());
        drop(listener.accept().unwrap());
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"SSH-2.0-x\r\n").unwrap();
        let (_, greeting) = probe.found.recv_timeout(ATTEMPT).unwrap();
        assert_eq!(greeting, "SSH-2.0-x");
    }
}
