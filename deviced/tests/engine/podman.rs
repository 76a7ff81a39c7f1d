//! The adapter on a real Podman: another engine that speaks Docker's API.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use deviced::engine::{Engine as _, Error, LogRequest, Pull, State};
use deviced::spec::{drift, in_place};
use fixtures::image::{Image, Layer};
use fixtures::registry::Registry;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::docker::{docker_may_be_missing, lines, until, until_exited};
use super::drift::{fields, whole_table_without_drift};
use super::ground::Ground;
