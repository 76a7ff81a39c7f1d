//! Mounts in the engine's words.

use serde_json::{Value, json};

use super::build::Names;
use super::members::Members;
use crate::document::run::Run;
use crate::document::run::volume::{Kind, Volume};

/// `Mounts`; `Binds` for what only that form can say: a directory of the device that is made when it is missing (before API 1.44), and SELinux labels.
pub(super) fn mounts(run: &Run, names: &Names, host: &mut Members) -> Result<(), String> {
    let (mut binds, mut mounts) = (Vec::new(), Vec::new());
    for volume in &run.volumes {
        match volume.bind.as_ref() {
            Some(bind) if bind.create_host_path || bind.selinux.is_some() => binds.push(text(volume)?),
            _ => mounts.push(mount(volume, names)?),
        }
    }
    host.list("Binds", binds);
    host.list("Mounts", mounts);
    let tmpfs = run.tmpfs.0.iter().map(|text| text.split_once(':').unwrap_or((text, "")));
    host.object("Tmpfs", tmpfs.map(|(path, options)| (path.to_owned(), options)));
    host.list("VolumesFrom", run.volumes_from.iter().map(|from| format!("service:{from}")));
    Ok(())
}

/// `source:target[:options]`.
fn text(volume: &Volume) -> Result<String, String> {
    let source = volume.source.as_deref().unwrap_or_default();
    let target = &volume.target;
    if source.contains(':') || target.contains(':') {
        return Err(format!(
            "`volumes`: {target}: a path with a colon can't have `create_host_path` or `selinux`; make the directory on the device and leave them out"
        ));
    }
    let mut options = Vec::new();
    if volume.read_only {
        options.push("ro".to_owned());
    }
    if let Some(bind) = &volume.bind {
        options.extend(bind.propagation.and_then(word));
        options.extend(bind.selinux.and_then(word));
    }
    let mut text = format!("{source}:{target}");
    if !options.is_empty() {
        text.push(':');
        text.push_str(&options.join(","));
    }
    Ok(text)
}

fn mount(volume: &Volume, names: &Names) -> Result<Value, String> {
    let mut mount = Members::default();
    mount.set("Target", volume.target.as_str());
    mount.truth("ReadOnly", volume.read_only);
    match volume.kind {
        Kind::Bind => {
            mount.set("Type", "bind");
            mount.some("Source", volume.source.as_deref());
            let propagation = volume.bind.as_ref().and_then(|bind| bind.propagation);
            let options = propagation.and_then(word).map(|propagation| json!({"Propagation": propagation}));
            mount.some("BindOptions", options);
        }
        Kind::Volume => {
            mount.set("Type", "volume");
            if let Some(name) = &volume.source {
                let name = names.volumes.get(name);
                let name = name.ok_or_else(|| {
                    format!(
                        "`volumes`: there is no volume `{}`",
                        volume.source.as_deref().unwrap_or_default()
                    )
                })?;
                mount.set("Source", name.as_str());
            }
            let mut options = Members::default();
            if let Some(named) = &volume.volume {
                options.truth("NoCopy", named.nocopy);
                options.some("Subpath", named.subpath.as_deref());
            }
            mount.object("VolumeOptions", options.0);
        }
        Kind::Tmpfs => {
            mount.set("Type", "tmpfs");
            let mut options = Members::default();
            if let Some(memory) = &volume.tmpfs {
                options.some("SizeBytes", memory.size.map(|size| size.signed()));
                options.some("Mode", memory.mode);
            }
            mount.object("TmpfsOptions", options.0);
        }
    }
    Ok(mount.0.into())
}

/// The word that the document has for it, which is the engine's as well.
fn word(value: impl serde::Serialize) -> Option<String> {
    serde_json::to_value(value).ok()?.as_str().map(str::to_owned)
}
