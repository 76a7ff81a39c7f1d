//! `service:ID` -> the engine's container.

use serde_json::Value;

use super::Spec;
use crate::engine::ContainerId;

const SERVICE: &str = "service:";

/// Replaces other containers of the document by the engine's: in namespaces `service:ID` by `container:...`, in `VolumesFrom` by the id alone.
///
/// # Errors
/// When one of them is not there: which, and what for.
pub fn resolve(spec: &Spec, id_of: impl Fn(&str) -> Option<ContainerId>) -> Result<Spec, String> {
    let mut spec = spec.clone();
    let Some(Value::Object(host)) = spec.0.get_mut("HostConfig") else { return Ok(spec) };
    let find = |id: &str, what: &str| {
        id_of(id).ok_or_else(|| format!("container `{id}`, whose {what} it shares, is not there"))
    };
    for (name, what) in
        [("NetworkMode", "network"), ("IpcMode", "IPC namespace"), ("PidMode", "process namespace")]
    {
        let Some(mode) = host.get_mut(name) else { continue };
        if let Some(id) = mode.as_str().and_then(|mode| mode.strip_prefix(SERVICE)) {
            *mode = format!("container:{}", find(id, what)?).into();
        }
    }
    if let Some(Value::Array(volumes)) = host.get_mut("VolumesFrom") {
        for from in volumes {
            let Some(text) = from.as_str().and_then(|from| from.strip_prefix(SERVICE)) else { continue };
            let (id, mode) = text.split_once(':').map_or((text, ""), |(id, mode)| (id, mode));
            let id = find(id, "volumes")?;
            *from = if mode.is_empty() { id.0 } else { format!("{id}:{mode}") }.into();
        }
    }
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn other_containers_become_the_engines() {
        let spec = |host: Value| serde_json::from_value::<Spec>(json!({"HostConfig": host})).unwrap();
        let id_of = |id: &str| (id == "vpn").then(|| ContainerId("4711".to_owned()));
        let before = spec(json!({
            "NetworkMode": "service:vpn", "IpcMode": "service:vpn", "PidMode": "service:vpn",
            "VolumesFrom": ["service:vpn:ro", "service:vpn"],
        }));
        let after = spec(json!({
            "NetworkMode": "container:4711", "IpcMode": "container:4711", "PidMode": "container:4711",
            "VolumesFrom": ["4711:ro", "4711"],
        }));
        assert_eq!(resolve(&before, id_of).unwrap(), after);
        let other = spec(json!({"NetworkMode": "host", "PidMode": "host"}));
        assert_eq!(resolve(&other, id_of).unwrap(), other);
        assert_eq!(resolve(&Spec::default(), id_of).unwrap(), Spec::default());

        let missing = resolve(&spec(json!({"NetworkMode": "service:tor"})), id_of).unwrap_err();
        assert_eq!(missing, "container `tor`, whose network it shares, is not there");
    }
}
