//! A slow line between the tools and the registry: a proxy of TCP connections that all share one rate, delays every byte,
//! and counts them.
//!
//! It has no slow start and loses nothing: what it shows is the cost of bytes and of round trips.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::failure::{Context as _, Result};

/// How a line is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Speed {
    /// Bytes a second, each way.
    pub(super) rate: f64,
    /// There and back.
    pub(super) round_trip: Duration,
}

/// What is passed on at once, at most; on a slow line no more than it carries in `STEP`.
const CHUNK: usize = 64 << 10;
const STEP: Duration = Duration::from_millis(4);
/// How many chunks may be on their way in one connection: more than rate times delay, so that the line is never idle.
const ON_THEIR_WAY: usize = 256;
/// Sleeping takes a little longer than asked: so much of the time lost is made up for.
const LENIENCY: Duration = Duration::from_millis(5);

/// A line that is up until it is dropped.
#[derive(Debug)]
pub(super) struct Link {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    speed: Speed,
    up: Direction,
    down: Direction,
    /// Whether it is slow now.
    slow: AtomicBool,
    ended: AtomicBool,
}

#[derive(Debug, Default)]
struct Direction {
    bytes: AtomicU64,
    /// When the line has sent what it was given so far.
    free: Mutex<Option<Instant>>,
}

impl Shared {
    fn rate(&self) -> f64 {
        if self.slow.load(Ordering::SeqCst) { self.speed.rate } else { f64::INFINITY }
    }

    fn round_trip(&self) -> Duration {
        if self.slow.load(Ordering::SeqCst) { self.speed.round_trip } else { Duration::ZERO }
    }
}

impl Direction {
    /// Queues bytes behind those of all connections; gives when the last one has left.
    fn send(&self, bytes: usize, rate: f64) -> Instant {
        let now = Instant::now();
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let left =
            free.map_or(now, |free| free.max(now - LENIENCY)) + Duration::from_secs_f64(bytes as f64 / rate);
        *free = Some(left);
        left
    }
}

impl Link {
    /// Lays a line to `registry`.
    pub(super) fn lay(registry: SocketAddr, speed: Speed) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen for the slow line")?;
        let address = listener.local_addr().context("listen for the slow line")?;
        let shared = Arc::new(Shared {
            speed,
            up: Direction::default(),
            down: Direction::default(),
            slow: AtomicBool::new(true),
            ended: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if accepting.ended.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                std::thread::spawn(move || connect(&stream, registry, &shared));
            }
        });
        Ok(Self { address, shared })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What is only prepared needn't be slow.
    pub(super) fn set_slow(&self, slow: bool) {
        self.shared.slow.store(slow, Ordering::SeqCst);
    }

    /// Bytes that came from the registry so far, with the headers of HTTP.
    pub(super) fn fetched(&self) -> u64 {
        self.shared.down.bytes.load(Ordering::SeqCst)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts; it may have ended already.
        let _ = TcpStream::connect(self.address);
    }
}

fn connect(near: &TcpStream, registry: SocketAddr, shared: &Arc<Shared>) {
    // The handshake of a connection takes a round trip too.
    std::thread::sleep(shared.round_trip());
    let Ok(far) = TcpStream::connect(registry) else { return };
    for stream in [near, &far] {
        // Without it the bytes come later, that is all.
        let _ = stream.set_nodelay(true);
    }
    let (Ok(from_near), Ok(to_near)) = (near.try_clone(), near.try_clone()) else { return };
    let (Ok(from_far), Ok(to_far)) = (far.try_clone(), far.try_clone()) else { return };
    for (from, to, direction) in [
        (from_near, to_far, (|shared| &shared.up) as fn(&Shared) -> &Direction),
        (from_far, to_near, |shared| &shared.down),
    ] {
        let (sender, receiver) = sync_channel(ON_THEIR_WAY);
        let shared = Arc::clone(shared);
        std::thread::spawn(move || take(from, &sender, direction(&shared), &shared));
        std::thread::spawn(move || deliver(to, &receiver));
    }
}

/// Takes bytes as fast as the line sends them.
fn take(mut from: TcpStream, to: &SyncSender<(Instant, Vec<u8>)>, direction: &Direction, shared: &Shared) {
    let carried = (shared.speed.rate * STEP.as_secs_f64()) as usize;
    let mut buffer = vec![0; carried.clamp(1448, CHUNK)];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let left = direction.send(count, shared.rate());
        std::thread::sleep(left.saturating_duration_since(Instant::now()));
        direction.bytes.fetch_add(count as u64, Ordering::SeqCst);
        let bytes = buffer.get(..count).unwrap_or_default().to_vec();
        if to.send((left + shared.round_trip() / 2, bytes)).is_err() {
            // Nobody takes them any more.
            let _ = from.shutdown(Shutdown::Both);
            return;
        }
    }
}

/// Hands bytes over when they have arrived.
fn deliver(mut to: TcpStream, from: &Receiver<(Instant, Vec<u8>)>) {
    for (arrives, bytes) in from {
        std::thread::sleep(arrives.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            return;
        }
    }
    // The other side has no more to say.
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers every connection with `answer`, after one byte was asked.
    fn server(answer: Vec<u8>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut asked = [0];
                if stream.read_exact(&mut asked).is_ok() {
                    let _ = stream.write_all(&answer);
                }
            }
        });
        address
    }

    fn ask(address: SocketAddr) -> Vec<u8> {
        let mut stream = TcpStream::connect(address).expect("the line is up");
        stream.write_all(b"?").expect("it takes bytes");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("it gives bytes");
        answer
    }

    #[test]
    fn all_connections_share_the_rate_and_nothing_is_lost() {
        let answer = fixtures::image::noise(1, 100_000);
        let speed = Speed { rate: 1e6, round_trip: Duration::from_millis(40) };
        let link = Link::lay(server(answer.clone()), speed).expect("a line");
        let began = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| assert_eq!(ask(link.address()), answer));
            }
        });
        // 200 kB at 1 MB/s, one round trip for the handshake and one for the question, and what was lenient.
        assert!(began.elapsed() >= Duration::from_millis(200 + 80 - 5), "{:?}", began.elapsed());
        assert_eq!(link.fetched(), 200_000);
        link.set_slow(false);
        let began = Instant::now();
        assert_eq!(ask(link.address()), answer);
        assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
    }
}
