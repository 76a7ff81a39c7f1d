//! What can be mended without making a container anew. Pure.

use serde_json::Value;

use super::Spec;
use super::members::Members;
use crate::swap::Drift;

/// Fields that `POST /containers/{id}/update` changes (`docker update`), and what they are called there.
const UPDATABLE: &[(&str, &str)] = &[
    ("restart", "RestartPolicy"),
    ("cpus", "NanoCpus"),
    ("cpuset", "CpusetCpus"),
    ("cpu_shares", "CpuShares"),
    ("cpu_period", "CpuPeriod"),
    ("cpu_quota", "CpuQuota"),
    ("cpu_rt_period", "CpuRealtimePeriod"),
    ("cpu_rt_runtime", "CpuRealtimeRuntime"),
    ("mem_limit", "Memory"),
    ("mem_reservation", "MemoryReservation"),
    ("memswap_limit", "MemorySwap"),
    ("pids_limit", "PidsLimit"),
    ("blkio_config.weight", "BlkioWeight"),
];

/// Whether a field can be changed in place.
pub(super) fn is_updatable(field: &str) -> bool {
    UPDATABLE.iter().any(|(word, _)| *word == field)
}

/// The part of `HostConfig` that mends all of it, or nothing: when one field has to go that has no value for "none", or can't be changed in place.
pub fn in_place(drift: &[Drift], spec: &Spec) -> Option<Value> {
    let mut host = Members::default();
    for Drift { field, .. } in drift {
        let (word, name) = UPDATABLE.iter().find(|(word, _)| word == field)?;
        match (spec.get(&format!("/HostConfig/{name}")), *word) {
            (Some(value), _) => host.set(name, value.clone()),
            (None, "pids_limit") => host.set(name, -1),
            // The engine's own value, which follows from that of the memory.
            (None, "memswap_limit") => host.set(name, swap(spec)?),
            (None, _) => return None,
        }
        // More memory than memory and swap together is refused.
        if *word == "mem_limit" {
            host.set("MemorySwap", spec.get("/HostConfig/MemorySwap").cloned().or_else(|| swap(spec))?);
        }
    }
    (!host.0.is_empty()).then_some(Value::Object(host.0))
}

/// Memory and swap together when only the memory is limited: twice as much.
fn swap(spec: &Spec) -> Option<Value> {
    spec.get("/HostConfig/Memory")?.as_i64()?.checked_mul(2).map(Value::from)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_of_it_or_nothing() {
        let of = |fields: &[&str], host: Value| {
            let spec = serde_json::from_value::<Spec>(json!({"HostConfig": host})).unwrap();
            let drift = |field: &&str| Drift { field: (*field).to_owned(), wanted: None, found: None };
            in_place(&fields.iter().map(drift).collect::<Vec<_>>(), &spec)
        };
        let policy = json!({"Name": "always"});
        for (fields, host, expected) in [
            (
                &["restart"][..],
                json!({"RestartPolicy": policy, "Init": true}),
                Some(json!({"RestartPolicy": policy})),
            ),
            (
                &["cpus", "cpu_shares"],
                json!({"NanoCpus": 5, "CpuShares": 7}),
                Some(json!({"NanoCpus": 5, "CpuShares": 7})),
            ),
            (&["blkio_config.weight"], json!({"BlkioWeight": 500}), Some(json!({"BlkioWeight": 500}))),
            (&["mem_limit"], json!({"Memory": 100}), Some(json!({"Memory": 100, "MemorySwap": 200}))),
            (
                &["mem_limit"],
                json!({"Memory": 100, "MemorySwap": -1}),
                Some(json!({"Memory": 100, "MemorySwap": -1})),
            ),
            (&["memswap_limit"], json!({"Memory": 100}), Some(json!({"MemorySwap": 200}))),
            (&["pids_limit"], json!({}), Some(json!({"PidsLimit": -1}))),
            // There is no way back to no limit.
            (&["mem_limit"], json!({}), None),
            (&["memswap_limit"], json!({}), None),
            (&["cpus"], json!({}), None),
            (&["restart", "environment.A"], json!({"RestartPolicy": policy}), None),
            (&["blkio_config.weight_device"], json!({}), None),
            (&["networks.front"], json!({}), None),
            (&[], json!({}), None),
        ] {
            assert_eq!(of(fields, host.clone()), expected, "{fields:?} {host}");
        }
    }
}
