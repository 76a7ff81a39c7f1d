//! Pullers that are killed.

use super::*;

/// What a test tells the process that it starts of itself.
const CHILD: &str = "PULL_TEST_CHILD";

/// Runs as a process of its own for the test below; else does nothing.
#[test]
fn child() {
    let Ok(order) = std::env::var(CHILD) else { return };
    let (reference, data) = order.split_once(' ').unwrap();
    let layout = Layout::new(Path::new(data));
    let request = Request {
        reference: reference.parse().unwrap(),
        stage: true,
        current: None,
        rejected: BTreeMap::new(),
        again: false,
        method: PLAIN,
        wait: Duration::ZERO,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let silent = Arc::new(dockerloader::progress::Silent);
    runtime.block_on(pull::pull(&request, &RegistrySettings::default(), &layout, silent)).unwrap();
}

fn start_child(scene: &Scene) -> std::process::Child {
    let order = format!("{} {}", scene.registry.reference("app", "v1"), scene.ground.data().display());
    std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kills::child"])
        .env(CHILD, order)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

/// `SIGKILL`, as the kernel's out-of-memory killer sends it.
fn kill(mut child: std::process::Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_puller_that_is_killed_is_gone_on_from() {
    let image = large();
    let layer = &image.layers[1].digest;
    for bytes in [0, 1_000_000, 2_999_000] {
        let scene = Scene::with(&image);
        let gate = scene.registry.gate(Rule::on(Kind::Blob).path(layer), bytes);
        let child = start_child(&scene);
        gate.wait_reached();
        kill(child);
        assert_eq!(scene.slot(Slot::Attempt), None);
        let partial = scene.layout.blobs().join(format!("partial-{layer}"));
        let left = fs::metadata(partial).map_or(0, |found| found.len());

        assert_eq!(scene.pull().unwrap(), staged(&image), "the lock went with the process");
        let resumed = (left > 0).then(|| format!("bytes={left}-"));
        assert_eq!(scene.ranges(layer)[1..], [resumed]);
        assert_eq!(scene.counts(), [1, 1, 1, 1, 3]);
    }
}

/// One chunk: the requests under way when the process was killed may have brought less than they were sent.
const CHUNK: u64 = 8 << 20;

#[test]
fn a_kill_in_the_middle_of_parts_costs_less_than_a_chunk() {
    let image = parts::huge();
    let (layer, size) = (&image.layers[1].digest, image.layers[1].bytes.len() as u64);
    // Where the request stands that is held: the other three are wherever they are by then.
    for (request, bytes) in [(0, 5_000_000), (1, 1_000_003), (3, 8_000_000), (5, 17)] {
        for from_mirror in [false, true] {
            let scene = Scene::with(&image);
            scene.registry.throttle(20_000_000);
            let held = Rule::on(Kind::Blob).path(layer).skip(request);
            let gate = scene.registry.gate(held, bytes);
            let child = start_child(&scene);
            gate.wait_reached();
            kill(child);

            let mirror = Registry::start();
            mirror.put("app", "v1", &image);
            let settings = RegistrySettings {
                mirrors: vec![Mirror {
                    registry: scene.registry.host(),
                    host: mirror.host(),
                    prefix: String::new(),
                }],
                ..RegistrySettings::default()
            };
            scene.registry.throttle(0);
            let settings = if from_mirror { settings } else { RegistrySettings::default() };
            assert_eq!(scene.pull_with(&scene.request(), &settings).unwrap(), staged(&image));
            // With the other layer and the config, which are small.
            let sent = scene.registry.sent() + mirror.sent();
            assert!(sent >= size, "{sent} of {size}");
            assert!(sent <= size + CHUNK, "request {request} at {bytes}: {sent} bytes were sent for {size}");
            assert_eq!(fs::read(scene.layout.blob(&digest(layer))).unwrap(), image.layers[1].bytes);
        }
    }
}
