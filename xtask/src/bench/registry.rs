//! A registry of the CNCF distribution on a free port, which counts what it is asked and what it sends.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::traffic::{self, Traffic};
use crate::failure::{Context as _, Failure, Result};
use crate::interrupt;
use crate::workspace::{find_program, root};

/// Debian's `docker-registry`, without a container around it.
#[derive(Debug)]
pub(crate) struct Registry {
    process: Child,
    address: SocketAddr,
    log: PathBuf,
    marks: u32,
}

impl Registry {
    /// Starts one that serves `storage` and logs into `directory`, and waits until it listens.
    pub(crate) fn start(storage: &Path, directory: &Path) -> Result<Self> {
        let program = find_program("docker-registry")
            .ok_or_else(|| Failure::new("there is no docker-registry: apt-get install docker-registry"))?;
        let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = address.context("find a free port")?;
        let log = directory.join("registry.log");
        let output = File::create(&log).context("make the log of the registry")?;
        // When this process is killed, the kernel stops the registry.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(program).arg("serve");
        command.arg(root().join("fixtures/images/registry/config.yml"));
        command.env("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", storage);
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

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
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

    /// What happened between two marks.
    pub(super) fn traffic(&self, from: &str, to: &str) -> Traffic {
        traffic::read(&self.read(), from, to)
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
