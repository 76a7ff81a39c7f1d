//! `cargo xtask test`: the stages.

use std::process::ExitCode;

use clap::Args;

use crate::call::Call;
use crate::contained;
use crate::count::{self, Count};
use crate::failure::Result;
use crate::fuzz;
use crate::install;
use crate::interrupt;
use crate::services::Services;
use crate::stage::{Stages, Verdict};
use crate::workspace::{cargo, cargo_home};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Install nothing: name what is missing, and fail
    #[arg(long)]
    no_install: bool,
    /// Leave out the tests in containers
    #[arg(long)]
    no_docker: bool,
    /// Fuzz as well, each target for 20 seconds: takes minutes to build
    #[arg(long)]
    fuzz: bool,
    /// Only the tests whose names contain one of these words, without lints, documentation and package
    filter: Vec<String>,
}

/// The seed's own command.
const CONTAINER_TESTS: &[&str] = &["test", "--package", "dockerloader", "--test", "dockerloader_test"];
/// The same for each stage: with other features, dependencies would be built once more.
const WHOLE: &[&str] = &["--workspace", "--all-features"];

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut stages = Stages::default();
    let installed = stages.run("install", |_| {
        install::ensure(!arguments.no_docker, arguments.no_install).map(|()| Verdict::Passed)
    });
    if let Verdict::Failed(_) = installed {
        return Ok(ExitCode::FAILURE);
    }
    let everything = arguments.filter.is_empty();
    if everything {
        stages.run("format", |_| judge(cargo().args(["fmt", "--all", "--check"])));
        stages.run("lints", |_| {
            judge(cargo().args(["clippy", "--all-targets"]).args(WHOLE).args(["--", "--deny", "warnings"]))
        });
        stages.run("documentation", |_| {
            judge(cargo().args(["doc", "--no-deps"]).args(WHOLE).env("RUSTDOCFLAGS", "--deny warnings"))
        });
    }
    // Tests of the whole start the binaries, which their own builds don't bring.
    stages.run("build", |_| judge(cargo().args(["build", "--bins"]).args(WHOLE)));
    stages.run("tests", |tests| {
        let call = cargo().args(["nextest", "run", "--profile", "ci", "--no-tests", "pass"]).args(WHOLE);
        counted(call.args(&arguments.filter), tests)
    });
    if everything {
        stages.run("doc tests", |tests| counted(cargo().args(["test", "--doc"]).args(WHOLE), tests));
    }
    containers(&mut stages, arguments);
    if everything {
        stages.run("process 1", |_| as_root(&["pid1", "--quick"]));
        stages.run("soak", |_| as_root(&["soak", "--quick"]));
        stages.run("hostile images", |_| hostile());
        stages.run("fuzz", |_| fuzz(arguments));
        stages.run("crash states", |_| judge(cargo().args(["xtask", "crash", "--quick"])));
        stages.run("benchmark", |_| benchmark(arguments));
        stages.run("registry faults", |_| judge(cargo().args(["xtask", "faults", "--quick"])));
        stages.run("kill", |_| kill());
        stages.run("package", |_| {
            judge(cargo().args([
                "package",
                "--quiet",
                "--package",
                "dockerloader",
                "--allow-dirty",
                "--no-verify",
            ]))
        });
        stages.run("dependencies", |_| judge(cargo().args(["deny", "check", "bans", "licenses", "sources"])));
        stages.run("advisories", |_| advisories());
    }
    println!("\n{}", stages.report());
    Ok(if stages.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn containers(stages: &mut Stages, arguments: &Arguments) {
    if arguments.no_docker {
        stages.run("containers", |_| Ok(Verdict::Skipped("--no-docker was given".into())));
        return;
    }
    let mut services = None;
    stages.run("services", |_| {
        services = Some(Services::start()?);
        Ok(Verdict::Passed)
    });
    let Some(services) = services else { return };
    stages.run("containers", |tests| {
        let call = cargo().args(CONTAINER_TESTS).args(["--", "--no-capture"]).args(&arguments.filter);
        let verdict = counted(call.envs(&services.environment()), tests)?;
        if verdict != Verdict::Passed {
            println!("the registries' last words:\n{}", services.logs());
        }
        Ok(verdict)
    });
    if arguments.filter.is_empty() {
        stages.run("docker export", |tests| {
            let call =
                cargo().args(["nextest", "run", "--profile", "ci", "--ignore-default-filter"]).args(WHOLE);
            let call = call.args(["-E", "binary(extract_real) and test(debian_by_docker)"]);
            counted(call.envs(&services.environment()), tests)
        });
    }
    stages.run("device manager", |tests| {
        let call = cargo().args(["nextest", "run", "--profile", "engine", "--no-tests", "pass"]).args(WHOLE);
        counted(call.args(&arguments.filter).envs(&services.environment()), tests)
    });
    stages.run("clean up", |_| {
        drop(services);
        Ok(Verdict::Passed)
    });
}

/// A test-bed in its short mode, where it can be had.
fn as_root(bed: &[&str]) -> Result<Verdict> {
    if let Some(why) = contained::obstacle() {
        return Ok(Verdict::Skipped(why.into()));
    }
    judge(cargo().args(["xtask"]).args(bed))
}

/// Extraction and pulls of what attacks, in the short mode.
fn hostile() -> Result<Verdict> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(Verdict::Skipped("hostile layers are extracted as root too".into()));
    }
    judge(cargo().args(["xtask", "hostile", "--quick"]))
}

/// Each fuzz target for 20 seconds.
fn fuzz(arguments: &Arguments) -> Result<Verdict> {
    if !arguments.fuzz {
        return Ok(Verdict::Skipped("--fuzz was not given; the corpus is among the tests".into()));
    }
    if let Some(missing) = fuzz::missing() {
        return Ok(Verdict::Skipped(missing));
    }
    Ok(if fuzz::smoke()? { Verdict::Passed } else { Verdict::Failed("see above".into()) })
}

/// Whether every case of the benchmark still works; figures come from `cargo xtask bench`, on a quiet machine.
fn benchmark(arguments: &Arguments) -> Result<Verdict> {
    if arguments.no_docker {
        return Ok(Verdict::Skipped("--no-docker was given, and there are no others to compare with".into()));
    }
    if !nix::unistd::geteuid().is_root() {
        return Ok(Verdict::Skipped("only root can mount file systems".into()));
    }
    judge(cargo().args(["xtask", "bench", "--quick"]))
}

/// A few kills, errors and power cuts of each kind.
fn kill() -> Result<Verdict> {
    if !cfg!(all(target_arch = "x86_64", target_env = "gnu")) {
        return Ok(Verdict::Skipped("it names the system calls of x86-64".into()));
    }
    if !nix::unistd::geteuid().is_root() {
        return Ok(Verdict::Skipped("only root can mount file systems".into()));
    }
    judge(cargo().args(["xtask", "kill", "--quick"]))
}

/// The database of known vulnerabilities comes from GitHub, which not every machine reaches.
fn advisories() -> Result<Verdict> {
    let databases = cargo_home().join("advisory-dbs");
    let fetched =
        Call::new("git").args(["ls-remote", "--quiet", "https://github.com/RustSec/advisory-db", "HEAD"]);
    if fetched.env("GIT_TERMINAL_PROMPT", "0").within(std::time::Duration::from_secs(20)).read().is_ok() {
        return judge(cargo().args(["deny", "check", "advisories"]));
    }
    let kept = std::fs::read_dir(databases)
        .is_ok_and(|entries| entries.flatten().any(|entry| entry.path().is_dir()));
    if kept {
        println!("github.com can't be reached: checking with the advisories of the last visit");
        return judge(cargo().args(["deny", "check", "--disable-fetch", "advisories"]));
    }
    Ok(Verdict::Skipped("github.com can't be reached, and there is no advisory database here".into()))
}

fn judge(call: Call) -> Result<Verdict> {
    call.run().map(|()| Verdict::Passed)
}

/// Runs tests, shows what they print, and counts them.
fn counted(call: Call, tests: &mut Count) -> Result<Verdict> {
    let ended_well = call.watch(|line| {
        if let Some(count) = count::summary(line) {
            *tests += count;
        }
    })?;
    Ok(if ended_well {
        Verdict::Passed
    } else if interrupt::interrupted() {
        Verdict::Failed("interrupted".into())
    } else {
        Verdict::Failed("see above".into())
    })
}
