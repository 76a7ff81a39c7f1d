//! A client of deviced's API that does as little as one can, and a crowd of them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::failure::{Context as _, Failure, Result};

/// A request takes no longer.
const LIMIT: Duration = Duration::from_secs(30);

/// A connection that is kept.
struct Client {
    stream: BufReader<UnixStream>,
}

/// How many passes there were, and how long they took together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Passes {
    pub(super) count: u64,
    pub(super) seconds: f64,
}

impl Client {
    fn new(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket).context("connect to deviced")?;
        stream.set_read_timeout(Some(LIMIT)).context("limit reads")?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// The body of a 200, which has to come with its length (RFC 9112, 6.3).
    fn get(&mut self, path: &str) -> Result<String> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: deviced\r\n\r\n");
        self.stream.get_mut().write_all(request.as_bytes()).context("ask deviced")?;
        let (mut length, mut line) = (None, String::new());
        self.stream.read_line(&mut line).context("hear deviced")?;
        if !line.starts_with("HTTP/1.1 200") {
            return Err(Failure::new(format!("{path}: {}", line.trim())));
        }
        loop {
            line.clear();
            self.stream.read_line(&mut line).context("hear deviced")?;
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().ok();
                }
                Some(_) => {}
                None => break,
            }
        }
        let length = length.ok_or_else(|| Failure::new(format!("{path}: the answer has no length")))?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).context("hear deviced")?;
        String::from_utf8(body).context("read what deviced says")
    }
}

/// Asked over a connection of its own: deviced closes those that are silent for long.
pub(super) fn passes(socket: &Path) -> Result<Passes> {
    let page = Client::new(socket)?.get("/metrics")?;
    passes_of(&page).ok_or_else(|| Failure::new("deviced's metrics say nothing of passes"))
}

fn passes_of(metrics: &str) -> Option<Passes> {
    let value = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse::<f64>().ok()
    };
    let count = value("deviced_reconcile_duration_seconds_count ")?;
    Some(Passes { count: count as u64, seconds: value("deviced_reconcile_duration_seconds_sum ")? })
}

/// Median and 99th percentile in seconds of what `clients` ask at once, each over a connection of its own, one request after the other.
pub(super) fn crowd(socket: &Path, clients: usize, requests: usize, path: &str) -> Result<(f64, f64)> {
    let ask = || -> Result<Vec<f64>> {
        let mut client = Client::new(socket)?;
        let mut took = Vec::with_capacity(requests);
        for _ in 0..requests {
            let began = Instant::now();
            client.get(path)?;
            took.push(began.elapsed().as_secs_f64());
        }
        Ok(took)
    };
    let mut all = std::thread::scope(|scope| -> Result<Vec<f64>> {
        let running: Vec<_> = (0..clients).map(|_| scope.spawn(ask)).collect();
        let mut all = Vec::with_capacity(clients * requests);
        for one in running {
            all.extend(one.join().map_err(|_| Failure::new("a client panicked"))??);
        }
        Ok(all)
    })?;
    all.sort_by(f64::total_cmp);
    let at = |share: usize| all.get(all.len() * share / 100).copied().unwrap_or_default();
    Ok((at(50), at(99)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_are_read_from_metrics() {
        let page = "# TYPE deviced_reconcile_duration_seconds histogram\n\
                    deviced_reconcile_duration_seconds_bucket{le=\"+Inf\"} 4\n\
                    deviced_reconcile_duration_seconds_sum 0.5\n\
                    deviced_reconcile_duration_seconds_count 4\n";
        assert_eq!(passes_of(page), Some(Passes { count: 4, seconds: 0.5 }));
        assert_eq!(passes_of(""), None);
    }
}
