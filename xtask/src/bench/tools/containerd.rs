//! `ctr image pull`, with a containerd that has never pulled.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fixtures::mounts;

use super::{Target, Tool, command};
use crate::call::Call;
use crate::failure::{Context as _, Failure, Result};
use crate::interrupt;

#[derive(Debug)]
pub(in crate::bench) struct Containerd {
    process: Child,
    place: PathBuf,
    /// Socket, settings and log; short, as a socket's path may have 107 bytes.
    runtime: tempfile::TempDir,
}

impl Containerd {
    /// Starts one that keeps its images in `place`, and waits until it answers.
    pub(in crate::bench) fn start(place: &Path) -> Result<Self> {
        let runtime = tempfile::Builder::new().prefix("containerd-").tempdir().context("make a directory")?;
        let process = launch(place, runtime.path())?;
        let containerd = Self { process, place: place.to_owned(), runtime };
        containerd.wait_until_it_answers()?;
        Ok(containerd)
    }

    fn socket(&self) -> PathBuf {
        self.runtime.path().join("socket")
    }

    fn wait_until_it_answers(&self) -> Result {
        let deadline = Instant::now() + Duration::from_secs(30);
        let version = || Call::new("ctr").arg("--address", self.socket()).args(["version"]);
        while let Err(failure) = version().within(Duration::from_secs(10)).read() {
            if interrupt::interrupted() || Instant::now() > deadline {
                let log = std::fs::read_to_string(self.runtime.path().join("log")).unwrap_or_default();
                return Err(Failure::new(format!("containerd doesn't answer: {failure}\n{log}")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

fn launch(place: &Path, runtime: &Path) -> Result<Child> {
    let settings = runtime.join("config.toml");
    let text = format!(
        "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
         [grpc]\naddress = {:?}\n[ttrpc]\naddress = {:?}\n",
        place.join("containerd"),
        runtime.join("state"),
        runtime.join("socket"),
        runtime.join("ttrpc"),
    );
    std::fs::write(&settings, text).context("write the settings of containerd")?;
    let log = File::create(runtime.join("log")).context("make the log of containerd")?;
    let errors = log.try_clone().context("make the log of containerd")?;
    // When this process is killed, the kernel stops the daemon.
    let mut command = command("setpriv", place);
    command.args(["--pdeathsig", "TERM", "containerd", "--config"]).arg(settings);
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().context("start containerd")
}

impl Tool for Containerd {
    fn name(&self) -> String {
        "ctr image pull".to_owned()
    }

    fn pull(&self, target: &Target<'_>) -> Vec<Command> {
        let mut pull = command("ctr", &self.place);
        pull.arg("--address").arg(self.socket()).args(["images", "pull", "--plain-http", &target.reference]);
        vec![pull]
    }

    fn daemon(&self) -> Option<u32> {
        Some(self.process.id())
    }

    fn crash(&mut self) -> Result {
        self.process.kill().context("kill containerd")?;
        self.process.wait().context("wait for containerd")?;
        self.process = launch(&self.place, self.runtime.path())?;
        self.wait_until_it_answers()
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        // It runs no containers: there is nothing to be stopped in order. It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        for mounted in mounts::below(&mounts, &[self.runtime.path(), &self.place.join("containerd")]) {
            if let Err(failure) = Call::new("umount").args([mounted]).even_when_interrupted().read() {
                eprintln!("{failure}");
            }
        }
    }
}
