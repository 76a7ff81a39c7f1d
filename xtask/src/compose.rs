//! The registries of `docker-compose.test.yml`.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::call::Call;
use crate::docker::Docker;
use crate::failure::{Context as _, Failure, Result};
use crate::interrupt;
use crate::workspace::{find_program, root};

/// The image of the CNCF distribution.
const PUBLISHED: &str = "registry:2";
/// A registry that can't be reached must not hold everybody up.
const PULL_LIMIT: Duration = Duration::from_secs(120);

/// The registries' addresses, all on 127.0.0.1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
    pub(crate) bearer: SocketAddr,
}

/// The project that was brought up.
#[derive(Debug)]
pub(crate) struct Compose {
    environment: Vec<(String, String)>,
    project: String,
    v2: bool,
    pub(crate) addresses: Addresses,
}

impl Compose {
    /// Brings the registries up and waits until they listen. `variables` are those of the file, without the ports.
    pub(crate) fn up(docker: &Docker, project: &str, variables: Vec<(String, String)>) -> Result<Self> {
        let addresses = free_addresses()?;
        let port = |name: &str, address: SocketAddr| (name.to_owned(), address.port().to_string());
        let mut environment = docker.environment();
        environment.extend(variables);
        environment.push(port("PLAIN_PORT", addresses.plain));
        environment.push(port("TLS_PORT", addresses.tls));
        environment.push(port("BEARER_PORT", addresses.bearer));
        let v2 = docker.call(["compose", "version"]).read().is_ok();
        let compose = Self { environment, project: project.to_owned(), v2, addresses };
        compose.call(&["up", "--detach"]).read()?;
        for address in [addresses.plain, addresses.tls, addresses.bearer] {
            compose.wait_for(address)?;
        }
        Ok(compose)
    }

    /// What the registries wrote.
    pub(crate) fn logs(&self) -> String {
        self.call(&["logs", "--no-color", "--tail", "40"]).read().unwrap_or_default()
    }

    fn call(&self, arguments: &[&str]) -> Call {
        let call = if self.v2 { Call::new("docker").args(["compose"]) } else { Call::new("docker-compose") };
        call.args(["--project-name", &self.project])
            .arg("--file", root().join("docker-compose.test.yml"))
            .args(arguments)
            .envs(&self.environment)
    }

    fn wait_for(&self, address: SocketAddr) -> Result {
        let deadline = Instant::now() + Duration::from_secs(30);
        while let Err(error) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) {
            if interrupt::interrupted() || Instant::now() > deadline {
                return Err(Failure::new(format!("no registry at {address}: {error}\n{}", self.logs())));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Compose {
    fn drop(&mut self) {
        let down = self.call(&["down", "--volumes", "--timeout", "2"]).even_when_interrupted();
        if let Err(failure) = down.read() {
            eprintln!("{failure}");
        }
    }
}

/// The distribution's image: the published one, or one made of Debian's `docker-registry` where that can't be pulled.
pub(crate) fn registry_image(docker: &Docker, label: &str, directory: &Path) -> Result<String> {
    let present = docker.call(["image", "inspect", PUBLISHED]).read();
    if present.is_ok() || docker.call(["pull", "--quiet", PUBLISHED]).within(PULL_LIMIT).read().is_ok() {
        eprintln!("registry: the published image {PUBLISHED}");
        return Ok(PUBLISHED.to_owned());
    }
    let program = find_program("docker-registry").ok_or_else(|| {
        Failure::new(format!(
            "{PUBLISHED} can't be pulled, and Debian's package docker-registry isn't installed"
        ))
    })?;
    eprintln!("registry: {PUBLISHED} can't be pulled, building an image of {}", program.display());
    let sources = root().join("fixtures/images/registry");
    let needed = libraries(&Call::new("ldd").args([&program]).read()?);
    let config = (sources.join("config.yml"), PathBuf::from("etc/docker/registry/config.yml"));
    let mut files = vec![(program, PathBuf::from("bin/registry")), config];
    files.extend(
        needed.into_iter().map(|path| (path.clone(), path.strip_prefix("/").unwrap_or(&path).to_owned())),
    );
    for (from, to) in files {
        let to = directory.join("root").join(to);
        std::fs::create_dir_all(to.parent().unwrap_or(directory)).context("make the registry's image")?;
        std::fs::copy(&from, &to).context(format_args!("copy {}", from.display()))?;
    }
    let tag = format!("{}:test", project_of(label));
    docker.build(&tag, Some(label), &sources.join("Dockerfile"), directory)?;
    Ok(tag)
}

/// The value of a label, which names the run.
fn project_of(label: &str) -> &str {
    label.split_once('=').map_or(label, |(_, value)| value)
}

/// The files in what `ldd` says: libraries and the loader.
fn libraries(ldd: &str) -> Vec<PathBuf> {
    ldd.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

/// Three loopback ports that were free just now, all at once so that they differ.
fn free_addresses() -> Result<Addresses> {
    let bind = || TcpListener::bind("127.0.0.1:0").context("find a free port");
    let listeners = [bind()?, bind()?, bind()?];
    let [plain, tls, bearer] = listeners.each_ref().map(TcpListener::local_addr);
    let (plain, tls) = (plain.context("find a free port")?, tls.context("find a free port")?);
    Ok(Addresses { plain, tls, bearer: bearer.context("find a free port")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_the_files_that_ldd_names() {
        let text = "\tlinux-vdso.so.1 (0x00007f5f05238000)\n\
                    \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f5f05045000)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f5f0523a000)\n";
        let expected = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from);
        assert_eq!(libraries(text), expected);
        assert!(libraries("\tstatically linked\n").is_empty());
    }

    #[test]
    fn the_three_addresses_differ() {
        let addresses = free_addresses().expect("there are free ports");
        assert!(addresses.plain != addresses.tls && addresses.tls != addresses.bearer);
        assert!(addresses.plain.ip().is_loopback());
    }
}
