//! Every prefix of a state file, and changed bytes, through the library: never a panic, and the current version stands.

use std::fs;

use dockerloader::disk::RealDisk;
use dockerloader::launch::Launch;
use dockerloader::layout::Layout;
use dockerloader::pull::resolved::Resolved;
use dockerloader::report::report;
use dockerloader::slots::{self, NextRun, next_run};
use dockerloader::volume;
use fixtures::ground::Ground;

use crate::damage::noise;

fn good(digest: &str) -> Vec<(&'static str, String)> {
    let state = format!(
        r#"{{"format":1,"verdicts":[{{"digest":"{digest}","kind":"environment","reason":"full","at":5,"times":1,"output":["x"]}}],
        "trial":{{"digest":"{digest}","attempts":2,"from":null}},"probation":{{"digest":"{digest}","count":1}},
        "crashes":{{"digest":"{digest}","count":1}},"last_check":null}}"#
    );
    let launch =
        r#"{"program":"entrypoint","arguments":["a"],"environment":[["A","b"]],"working_directory":"srv"}"#;
    let resolved =
        format!(r#"{{"reference":"r/a:1","platform":"linux/amd64","tag":"{digest}","manifest":"{digest}"}}"#);
    let stack = r#"{"format":1,"tree_bytes":5,"frozen":[{"name":"a-1","bytes":5}]}"#;
    vec![
        ("state.json", state),
        ("update-attempt", digest.to_owned()),
        ("storage/v1/launch/@", launch.to_owned()),
        ("storage/v1/resolved.json", resolved),
        ("storage/v1/volume.json", r#"{"circumstances":{},"trees":{}}"#.to_owned()),
        ("storage/v1/stacks/@", stack.to_owned()),
    ]
}

#[test]
fn every_prefix_and_every_changed_byte_leaves_the_current_version() {
    let ground = Ground::new();
    let digest = ground.plant("good", "#!/bin/sh\n");
    ground.link("entrypoint", &digest);
    let layout = Layout::new(ground.data());
    fs::create_dir_all(layout.stacks()).unwrap();
    let mut cases = 0;
    for (path, text) in good(&digest) {
        let file = ground.root().join(path.replace('@', &digest));
        let prefixes = (0..=text.len()).map(|length| text.as_bytes()[..length].to_vec());
        let changed = noise(11, text.len()).into_iter().enumerate().map(|(at, byte)| {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = byte;
            bytes
        });
        for bytes in prefixes.chain(changed) {
            fs::write(&file, &bytes).unwrap();
            let slots = slots::read(&RealDisk, &layout).unwrap();
            assert!(
                matches!(next_run(&slots), NextRun::Current(version) if version.digest.to_string() == digest),
                "{path} {bytes:?}"
            );
            let status = report(&RealDisk, &layout, &slots, None);
            assert!(status.current.is_some());
            let _ = Launch::read(&RealDisk, &layout, &digest.parse().unwrap());
            let _ = Resolved::read(&RealDisk, &layout);
            let _ = volume::recall(&RealDisk, &layout);
            cases += 1;
        }
        fs::remove_file(&file).unwrap();
    }
    assert!(cases > 1500, "{cases}");
}
