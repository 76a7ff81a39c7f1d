//! What the tests need on the machine: named, and installed from Debian, crates.io or rustup.

use crate::call::Call;
use crate::failure::{Context as _, Failure, Result};
use crate::workspace::{cargo, find_program};

/// Something that must be on the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Need {
    /// A program's name, or a file's absolute path.
    name: &'static str,
    source: Source,
    purpose: &'static str,
    /// Only for the container tests.
    containers: bool,
}

/// Who has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The first of these Debian packages that the machine's package lists have.
    Debian(&'static [&'static str]),
    /// A crate with that binary.
    Crate(&'static str),
    /// A component of the toolchain.
    Component(&'static str),
}

const fn debian(name: &'static str, packages: &'static [&'static str], purpose: &'static str) -> Need {
    Need { name, source: Source::Debian(packages), purpose, containers: false }
}

const fn container(name: &'static str, packages: &'static [&'static str], purpose: &'static str) -> Need {
    Need { name, source: Source::Debian(packages), purpose, containers: true }
}

const NEEDS: &[Need] = &[
    Need {
        name: "cargo-fmt",
        source: Source::Component("rustfmt"),
        purpose: "formatting",
        containers: false,
    },
    Need { name: "cargo-clippy", source: Source::Component("clippy"), purpose: "lints", containers: false },
    Need {
        name: "cargo-nextest",
        source: Source::Crate("cargo-nextest"),
        purpose: "runs the tests",
        containers: false,
    },
    Need {
        name: "cargo-deny",
        source: Source::Crate("cargo-deny"),
        purpose: "licences and sources of the dependencies",
        containers: false,
    },
    debian("tini", &["tini"], "the behaviour of PID 1 is compared with it"),
    debian("dumb-init", &["dumb-init"], "the behaviour of PID 1 is compared with it"),
    debian("catatonit", &["catatonit"], "the behaviour of PID 1 is compared with it"),
    debian("busybox", &["busybox-static", "busybox"], "programs inside test images"),
    debian("skopeo", &["skopeo"], "copies images into layouts and other compressions"),
    debian("umoci", &["umoci"], "extraction is compared with it"),
    debian("mkfs.xfs", &["xfsprogs"], "updates on XFS"),
    debian("mkfs.btrfs", &["btrfs-progs"], "updates on btrfs"),
    debian("buildah", &["buildah"], "images made by another builder"),
    debian("debootstrap", &["debootstrap"], "a real root file system"),
    debian("python3", &["python3-minimal"], "an application in another language"),
    debian("mkfs.ext4", &["e2fsprogs"], "file systems of the tests' own"),
    debian("strace", &["strace"], "system calls are counted"),
    debian("valgrind", &["valgrind"], "instructions and allocations are counted"),
    debian(
        "/etc/ssl/certs/ca-certificates.crt",
        &["ca-certificates"],
        "certificate authorities of the image",
    ),
    container("dockerd", &["docker.io"], "runs the containers"),
    container("docker", &["docker-cli", "docker.io"], "its command line"),
    container("docker-compose", &["docker-compose"], "starts the registries; `docker compose` does too"),
    container("podman", &["podman"], "the device manager with another engine"),
    container("docker-registry", &["docker-registry"], "the registry, where its image can't be pulled"),
];

/// What is missing, and who has it.
fn missing(needs: &[Need], containers: bool, present: impl Fn(&str) -> bool) -> Vec<Need> {
    let wanted = needs.iter().filter(|need| containers || !need.containers);
    wanted.filter(|need| !present(need.name)).copied().collect()
}

/// The packages to install, each once. `known` tells whether the package lists have a package.
fn packages(missing: &[Need], known: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let mut packages = Vec::new();
    for need in missing {
        let Source::Debian(candidates) = need.source else { continue };
        let Some(first) = candidates.first() else { continue };
        let package = candidates.iter().find(|candidate| known(candidate)).unwrap_or(first);
        if !packages.contains(package) {
            packages.push(package);
        }
    }
    packages
}

/// A line for people.
fn describe(need: &Need) -> String {
    let source = match need.source {
        Source::Debian(packages) => format!("Debian package {}", packages.join(" or ")),
        Source::Crate(name) => format!("cargo install --locked {name}"),
        Source::Component(name) => format!("rustup component add {name}"),
    };
    format!("{} ({}): {source}", need.name, need.purpose)
}

/// Installs what is missing, or, with `refuse`, fails and names it.
pub(crate) fn ensure(containers: bool, refuse: bool) -> Result {
    let missing = missing(NEEDS, containers, is_present);
    if missing.is_empty() {
        println!("everything that the tests need is installed");
        return Ok(());
    }
    let list = missing.iter().map(|need| format!("  {}\n", describe(need))).collect::<String>();
    if refuse {
        return Err(Failure::new(format!("missing, and --no-install was given:\n{}", list.trim_end())));
    }
    print!("missing, will be installed:\n{list}");
    if missing.iter().any(|need| matches!(need.source, Source::Debian(_))) {
        install_packages(&missing)?;
    }
    for need in &missing {
        match need.source {
            Source::Debian(_) => {}
            Source::Crate(name) => cargo().args(["install", "--locked", name]).run()?,
            Source::Component(name) => Call::new("rustup").args(["component", "add", name]).run()?,
        }
    }
    match missing.iter().find(|need| !is_present(need.name)) {
        Some(need) => Err(Failure::new(format!("still missing after the installation: {}", describe(need)))),
        None => Ok(()),
    }
}

fn install_packages(missing: &[Need]) -> Result {
    if find_program("apt-get").is_none() {
        return Err(Failure::new("there is no apt-get here: install what is missing by hand"));
    }
    Call::as_root("apt-get").args(["update"]).run().context("bring the package lists up to date")?;
    let known = |package: &str| Call::new("apt-cache").args(["show", package]).read().is_ok();
    let packages = packages(missing, known);
    Call::as_root("env")
        .args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes", "--no-install-recommends"])
        .args(packages)
        .run()
}

fn is_present(name: &str) -> bool {
    if name.starts_with('/') {
        return std::path::Path::new(name).exists();
    }
    // Compose v2 is a plugin of the command line.
    let plugin =
        || name == "docker-compose" && Call::new("docker").args(["compose", "version"]).read().is_ok();
    find_program(name).is_some() || plugin()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[Need] = &[
        debian("tini", &["tini"], "oracle"),
        container("dockerd", &["docker.io"], "containers"),
        container("docker", &["docker-cli", "docker.io"], "command line"),
    ];

    #[test]
    fn nothing_is_missing_when_all_is_there() {
        assert!(missing(TWO, true, |_| true).is_empty());
    }

    #[test]
    fn container_tools_count_only_with_containers() {
        let names =
            |containers| missing(TWO, containers, |_| false).iter().map(|need| need.name).collect::<Vec<_>>();
        assert_eq!(names(false), ["tini"]);
        assert_eq!(names(true), ["tini", "dockerd", "docker"]);
    }

    #[test]
    fn a_package_is_installed_once_and_the_known_one_is_taken() {
        let missing = missing(TWO, true, |name| name == "tini");
        assert_eq!(packages(&missing, |package| package == "docker.io"), ["docker.io"]);
        assert_eq!(packages(&missing, |_| true), ["docker.io", "docker-cli"]);
        assert_eq!(
            packages(&missing, |_| false),
            ["docker.io", "docker-cli"],
            "apt then names what it lacks"
        );
    }

    #[test]
    fn the_refusal_names_program_purpose_and_source() {
        let need = TWO.last().expect("there are three");
        assert_eq!(describe(need), "docker (command line): Debian package docker-cli or docker.io");
    }

    #[test]
    fn every_need_is_named_once() {
        for (index, need) in NEEDS.iter().enumerate() {
            assert!(NEEDS[..index].iter().all(|other| other.name != need.name), "{} twice", need.name);
        }
    }
}
