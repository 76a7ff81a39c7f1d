//! A registry of the CNCF distribution on a free port, which counts what it is asked.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::failure::{Context as _, Failure, Result};
use crate::interrupt;
use crate::workspace::{find_program, root};

/// Debian's `docker-registry`, without a container around it.
#[derive(Debug)]
pub(super) struct Registry {
    process: Child,
    address: SocketAddr,
    log: PathBuf,
    marks: u32,
}

impl Registry {
    /// Starts one that keeps everything in `directory`, and waits until it listens.
    pub(super) fn start(directory: &Path) -> Result<Self> {
        let program = find_program("docker-registry")
            .ok_or_else(|| Failure::new("there is no docker-registry: apt-get install docker-registry"))?;
        let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = address.context("find a free port")?;
        std::fs::create_dir_all(directory).context(format_args!("make {}", directory.display()))?;
        let log = directory.join("log");
        let output = File::create(&log).context("make the log of the registry")?;
        // When this process is killed, the kernel stops the registry.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(program).arg("serve");
        command.arg(root().join("fixtures/images/registry/config.yml"));
        command.env("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", directory.join("data"));
        command.env("REGISTRY_HTTP_ADDR", address.to_string()).env("OTEL_TRACES_EXPORTER", "none");
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.stdin(Stdio::null()).stderr(output.try_clone().context("make the log of the registry")?);
        let process = interrupt::spawn(command.stdout(output))?;
        let registry = Self { process, address, log, marks: 0 };
        let deadline = Instant::now() + Duration::from_secs(30);
        while let Err(error) = TcpStream::connect(address) {
            if interrupt::interrupted() || Instant::now() > deadline {
                return Err(Failure::new(format!(
                    "the registry doesn't listen: {error}\n{}",
                    registry.read()
                )));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(registry)
    }

    /// What a reference to a tag of the repository `bench` begins with.
    pub(super) fn repository(&self) -> String {
        format!("{}/bench", self.address)
    }

    /// Sets a mark in the log: asks for something that nobody else asks for, and waits until the registry has noted it.
    pub(super) fn mark(&mut self) -> Result<String> {
        self.marks += 1;
        let path = format!("/mark-{}/", self.marks);
        let ask = || -> std::io::Result<()> {
            let mut stream = TcpStream::connect(self.address)?;
            write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
            stream.read_to_end(&mut Vec::new()).map(|_| ())
        };
        ask().context("ask the registry")?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.read().contains(&format!("GET {path} ")) {
            if Instant::now() > deadline {
                return Err(Failure::new("the registry doesn't log what it is asked"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(path)
    }

    /// The requests between two marks, by method.
    pub(super) fn requests(&self, from: &str, to: &str) -> Vec<(String, usize)> {
        requests(&self.read(), from, to)
    }

    fn read(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        interrupt::forget(&self.process);
    }
}

/// How often each method was used between two marks in an access log (Apache's combined format; other lines are left out).
fn requests(log: &str, from: &str, to: &str) -> Vec<(String, usize)> {
    let request =
        |line: &str| line.contains(" HTTP/1.").then(|| line.split('"').nth(1).map(str::to_owned)).flatten();
    let asked = log.lines().filter_map(request).filter(|request| !request.starts_with("time="));
    let between = asked.skip_while(|request| !request.contains(from)).skip(1);
    let mut counted = std::collections::BTreeMap::new();
    for request in between.take_while(|request| !request.contains(to)) {
        let method = request.split(' ').next().unwrap_or_default();
        *counted.entry(method.to_owned()).or_insert(0) += 1;
    }
    counted.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_requests_between_the_marks_are_counted() {
        let log = r#"127.0.0.1 - - [22/Nov/2026:15:00:00 +0000] "GET /v2/ HTTP/1.1" 200 2 "" "x"
127.0.0.1 - - [22/Nov/2026:15:00:00 +0000] "GET /mark-1/ HTTP/1.0" 404 19 "" ""
time="2026-11-22T15:00:00Z" level=info msg="response completed" http.request.method=HEAD
127.0.0.1 - - [22/Nov/2026:15:00:00 +0000] "HEAD /v2/bench/manifests/bench HTTP/1.1" 200 2 "" "x"
127.0.0.1 - - [22/Nov/2026:15:00:00 +0000] "GET /v2/ HTTP/1.1" 200 2 "" "x"
127.0.0.1 - - [22/Nov/2026:15:00:00 +0000] "GET /v2/ HTTP/1.1" 200 2 "" "x"
127.0.0.1 - - [22/Nov/2026:15:00:00 +0000] "GET /mark-2/ HTTP/1.0" 404 19 "" ""
127.0.0.1 - - [22/Nov/2026:15:00:00 +0000] "PUT /v2/ HTTP/1.1" 200 2 "" "x""#;
        let counted = requests(log, "/mark-1/", "/mark-2/");
        assert_eq!(counted, [("GET".to_owned(), 2), ("HEAD".to_owned(), 1)]);
        assert!(requests(log, "/mark-3/", "/mark-4/").is_empty());
    }
}
