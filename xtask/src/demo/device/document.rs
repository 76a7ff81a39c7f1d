//! The shop's document: pure.

/// Ids, long enough to be nobody else's.
pub(super) const DATABASE: &str = "shop-database";
pub(super) const WEB: &str = "shop-web";
pub(super) const SENSOR: &str = "shop-sensor";
/// All of them.
pub(super) const ALL: [&str; 3] = [DATABASE, WEB, SENSOR];

/// Three containers: `web` starts after `database`, and `sensor` shares its network. Nothing of it needs a bridge or a port of the
/// machine. New versions are looked for when somebody says so, and prove themselves in a second.
pub(super) fn document(registry: &str) -> String {
    format!(
        "\
apiVersion: deviced/v1
device: {{name: shop-17}}
registries:
  - url: http://{registry}

x-update: &update
  interval: 1h
  health: {{running: 1s, timeout: 15s, interval: 200ms}}
  keep: 2

containers:
  - id: {DATABASE}
    image: {registry}/shop/database
    versions: [\"1.0.0\"]
    protected: true
    run: {{network_mode: none, stop_grace_period: 3s}}
    update: *update

  - id: {WEB}
    image: {registry}/shop/web
    versions: [\"^1\"]
    run: {{network_mode: none, depends_on: [{DATABASE}], stop_grace_period: 3s, environment: {{LEVEL: info}}}}
    update: *update

  - id: {SENSOR}
    image: {registry}/shop/sensor
    versions: [\"1.0.0\"]
    run: {{network_mode: \"service:{WEB}\", stop_grace_period: 3s}}
    update: *update
"
    )
}

/// One that names none of them.
pub(super) const EMPTY: &str = "apiVersion: deviced/v1\ncontainers: []\nremoveUnknown: remove\n";
