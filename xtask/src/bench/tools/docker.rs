//! `docker pull`, with a daemon that has never pulled.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Target, Tool, command};
use crate::docker::Docker;
use crate::failure::Result;

#[derive(Debug)]
pub(in crate::bench) struct DockerPull {
    docker: Docker,
    home: PathBuf,
}

impl DockerPull {
    pub(in crate::bench) fn start(place: &Path) -> Result<Self> {
        Ok(Self { docker: Docker::start(place)?, home: place.to_owned() })
    }
}

impl Tool for DockerPull {
    fn name(&self) -> String {
        "docker pull".to_owned()
    }

    fn pull(&self, target: &Target<'_>) -> Vec<Command> {
        let mut pull = command("docker", &self.home);
        pull.args(["pull", "--quiet", &target.reference]).envs(self.docker.environment());
        vec![pull]
    }

    fn daemon(&self) -> Option<u32> {
        self.docker.process()
    }

    fn crash(&mut self) -> Result {
        self.docker.kill_and_restart()
    }
}
