//! `cargo xtask bench swap`: how long nobody answers while a container is replaced by its next version, by deviced and by others.

mod managers;
mod service;

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use fixtures::registry::Registry;
use fixtures::scratch::Scratch;

use self::managers::{Compose, ContainerManager, DockerByHand, Ours, PodmanUnit, Target};
use self::service::Swap;
use super::{machine, section};
use crate::demo::{Images, Nature, deviced};
use crate::docker::Docker;
use crate::failure::{Context as _, Failure, Result};
use crate::interrupt;
use crate::workspace::target;

/// The old version has been there for that long before it is replaced.
const SETTLE: Duration = Duration::from_millis(1500);
/// Everything that a run makes in Docker carries this label.
const LABEL: &str = "dockerloader.bench";
/// The tag that moves.
const TAG: &str = "latest";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How often each of them replaces its container
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    let binary = deviced(false)?;
    machine::warn_if_busy();
    let root = target().canonicalize().context("find the target directory")?;
    let directory = Scratch::within(&root, "bench-swap-").context("make a directory")?;
    let registry = Registry::start();
    let docker = Docker::start(&target())?;
    let value = format!("swap-{}", std::process::id());
    let images = Images::new((LABEL.to_owned(), value.clone()))?;
    // Its containers hold the daemon's images, so it goes before the daemon.
    let _leftovers = Labelled { docker: &docker, label: format!("{LABEL}={value}") };
    let target_of = |name: &str| -> Result<Target> {
        let repository = format!("swap/{name}");
        Ok(Target { reference: registry.reference(&repository, TAG), repository, port: free_port()? })
    };
    let place = |name: &str| -> Result<PathBuf> {
        let path = directory.path().join(name);
        std::fs::create_dir(&path).context(format_args!("make {}", path.display()))?;
        Ok(path)
    };
    let ours = target_of("deviced")?;
    let compose = target_of("compose")?;
    let podman = target_of("podman")?;
    let mut contenders = [
        Contender {
            name: "deviced",
            manager: Box::new(Ours::new(binary, &docker, &place("deviced")?, &ours)?),
            target: ours,
        },
        Contender {
            name: "docker-compose pull, up -d",
            manager: Box::new(Compose::new(&docker, &place("compose")?, &compose)?),
            target: compose,
        },
        Contender {
            name: "docker pull, stop, rm, run",
            manager: Box::new(DockerByHand::new(&docker)),
            target: target_of("docker")?,
        },
        Contender {
            name: "podman pull, and what a restart of its unit does",
            manager: Box::new(PodmanUnit::new(&place("podman")?, &podman)?),
            target: podman,
        },
    ];
    let push = |target: &Target, version: u32| {
        let repository = &target.repository;
        registry.put(repository, TAG, &images.version(repository, &version.to_string(), Nature::Serves));
    };
    for contender in &mut contenders {
        push(&contender.target, 0);
        contender.replaced(0)?;
    }
    let mut swaps = vec![Vec::new(); contenders.len()];
    for round in 1..=arguments.rounds {
        for turn in 0..contenders.len() {
            let index = (turn + round as usize) % contenders.len();
            let (Some(contender), Some(swaps)) = (contenders.get_mut(index), swaps.get_mut(index)) else {
                continue;
            };
            interrupt::pause(SETTLE)?;
            push(&contender.target, round);
            let swap = contender.replaced(round)?;
            eprintln!("{}: {} ms without service", contender.name, swap.without_service.as_millis());
            swaps.push(swap);
        }
    }
    let rows = contenders.iter().zip(&swaps).map(|(contender, swaps)| row(contender.name, swaps));
    let text = format!(
        "{}, {}; a release build, {} replacements by each.\n\n\
         | by | without service: median ms | worst | from the command to the new version: median ms | worst |\n\
         |---|---|---|---|---|\n{}",
        machine::describe(),
        machine::versions(&[
            ("dockerd", "--version"),
            ("docker-compose", "--version"),
            ("podman", "--version")
        ]),
        arguments.rounds,
        rows.collect::<Result<Vec<_>>>()?.join("\n"),
    );
    section::write("swap", &text)
}

/// One who replaces a container.
struct Contender<'d> {
    name: &'static str,
    target: Target,
    manager: Box<dyn ContainerManager + 'd>,
}

impl Contender<'_> {
    /// Has this version run in the place of the one before it, of which 0 has none.
    fn replaced(&mut self, version: u32) -> Result<Swap> {
        let target = &self.target;
        let page = |version: u32| format!("{} {version}", target.repository);
        let old = version.checked_sub(1).map(page);
        service::replaced(target.port, old.as_deref(), &page(version), || self.manager.replace(target))
    }
}

fn row(name: &str, swaps: &[Swap]) -> Result<String> {
    let column = |of: fn(&Swap) -> Duration| {
        let mut all = swaps.iter().map(of).collect::<Vec<_>>();
        all.sort_unstable();
        let (median, worst) = all.get(all.len() / 2).zip(all.last())?;
        Some(format!("{} | {}", median.as_millis(), worst.as_millis()))
    };
    let columns = column(|swap| swap.without_service).zip(column(|swap| swap.from_command));
    let (gap, whole) = columns.ok_or_else(|| Failure::new(format!("{name} replaced nothing")))?;
    Ok(format!("| {name} | {gap} | {whole} |"))
}

/// A port of the loopback interface that nobody has.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    listener.local_addr().map(|address| address.port()).context("find a free port")
}

/// Removes what carries a label when it is dropped.
struct Labelled<'d> {
    docker: &'d Docker,
    label: String,
}

impl Drop for Labelled<'_> {
    fn drop(&mut self) {
        self.docker.remove_labelled(&self.label);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_middle_and_the_worst() {
        let swap = |gap, whole| Swap {
            without_service: Duration::from_millis(gap),
            from_command: Duration::from_millis(whole),
        };
        let swaps = [swap(30, 100), swap(10, 300), swap(20, 200)];
        assert_eq!(row("x", &swaps).expect("there are some"), "| x | 20 | 30 | 200 | 300 |");
        assert!(row("x", &[]).is_err());
    }
}
