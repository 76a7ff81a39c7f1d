//! What the process environment decides. Each test runs again in a process of its own, with that environment.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use super::*;

/// Set in the second process.
const FOLDER: &str = "DOCKERLOADER_TEST_FOLDER";

/// In the second process: its folder. In the first one: runs the test again with these variables, `@` in a value standing
/// for a folder of its own, and checks that it passed.
async fn again(test: &str, variables: &[(&str, &str)]) -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return Some(folder.into());
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap().to_owned();
    let variables: BTreeMap<_, _> =
        variables.iter().map(|(name, value)| (name.to_string(), value.replace('@', &path))).collect();
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", &format!("registry::tests::environment::{test}")])
        .envs(variables)
        .env(FOLDER, path);
    #[expect(clippy::disallowed_methods, reason = "a test runs itself again")]
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    None
}

fn has_content(_: &Asked) -> Answer {
    Answer::new(200, "").with("docker-content-digest", sha256(b"content"))
}

#[tokio::test]
async fn the_systems_certificates_are_where_ssl_cert_file_says() {
    let variables = [("SSL_CERT_FILE", "@/roots.pem"), ("SSL_CERT_DIR", "@/none")];
    let Some(folder) = again("the_systems_certificates_are_where_ssl_cert_file_says", &variables).await
    else {
        return;
    };
    let (server, pem) = Server::start_tls(has_content).await;
    File::create(folder.join("roots.pem")).unwrap().write_all(pem.as_bytes()).unwrap();
    assert_eq!(plain_client().resolve(&reference(&server)).await.unwrap().digest, sha256(b"content"));
}

#[tokio::test]
async fn without_any_certificates_plain_http_and_a_ca_file_still_work() {
    let variables = [("SSL_CERT_FILE", "@/none.pem"), ("SSL_CERT_DIR", "@/none")];
    let Some(folder) =
        again("without_any_certificates_plain_http_and_a_ca_file_still_work", &variables).await
    else {
        return;
    };
    let plain = Server::start(has_content).await;
    plain_client().resolve(&reference(&plain)).await.unwrap();
    let (server, pem) = Server::start_tls(has_content).await;
    let error = plain_client().resolve(&reference(&server)).await.unwrap_err();
    assert!(error.to_string().contains("this system has no root certificates"), "{error}");
    let path = folder.join("ca.pem");
    File::create(&path).unwrap().write_all(pem.as_bytes()).unwrap();
    let settings = RegistrySettings { ca_file: Some(path), ..RegistrySettings::default() };
    client(&settings).resolve(&reference(&server)).await.unwrap();
}

#[tokio::test]
async fn a_proxy_is_used_for_other_machines_only() {
    let proxy = Server::start(|asked| match asked.method.as_str() {
        "CONNECT" => Answer::new(502, ""),
        _ => has_content(asked),
    })
    .await;
    let (address, near) = (format!("http://{}", proxy.host()), Server::start(has_content).await);
    let host = near.host();
    let variables = [
        ("HTTP_PROXY", address.as_str()),
        ("http_proxy", &address),
        ("HTTPS_PROXY", &address),
        ("https_proxy", &address),
        ("NO_PROXY", "direct.invalid"),
        ("no_proxy", "direct.invalid"),
        ("NEAR", &host),
    ];
    if again("a_proxy_is_used_for_other_machines_only", &variables).await.is_none() {
        // The first process: what its servers were asked by the second one.
        assert_eq!(
            proxy.lines(),
            ["CONNECT far.invalid:5000", "HEAD http://far.invalid:5000/v2/a/manifests/1"],
            "and nothing for loopback"
        );
        assert_eq!(near.lines(), ["HEAD /v2/a/manifests/1"]);
        return;
    }
    let insecure = vec!["far.invalid:5000".to_owned()];
    let client = client(&RegistrySettings { insecure, ..RegistrySettings::default() });
    let near = std::env::var("NEAR").unwrap();
    for host in ["far.invalid:5000", &near] {
        let reference = format!("{host}/a:1").parse().unwrap();
        assert_eq!(client.resolve(&reference).await.unwrap().digest, sha256(b"content"));
    }
}

/// A credential helper in `folder`, as a shell script.
fn helper(folder: &Path, name: &str, script: &str) {
    let path = folder.join(format!("docker-credential-{name}"));
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o755).open(path).unwrap();
    file.write_all(format!("#!/bin/sh\n{script}\n").as_bytes()).unwrap();
}

async fn look_up(folder: &Path, key: &str, deadline: Duration) -> (credentials::Credential, String) {
    let found = credentials::look_up(Some(folder.to_owned()), vec![key.to_owned()], deadline).await;
    (found.credential, found.origin)
}

#[tokio::test]
async fn credential_helpers_are_asked_and_not_trusted() {
    use credentials::Credential::{Anonymous, Basic, Identity};
    let variables = [("PATH", "@:/usr/bin:/bin")];
    let Some(folder) = again("credential_helpers_are_asked_and_not_trusted", &variables).await else {
        return;
    };
    helper(&folder, "store", r#"read host; echo "{\"Username\":\"u-$host\",\"Secret\":\"p\"}""#);
    helper(&folder, "token", r#"read host; echo '{"Username":"<token>","Secret":"t"}'"#);
    helper(&folder, "none", "read host; echo 'credentials not found in native keychain'; exit 1");
    helper(&folder, "fails", "read host; echo s3cret; echo s3cret >&2; exit 1");
    helper(&folder, "talks", "read host; echo s3cret");
    // Hangs until the other end of the pipe is opened, below.
    helper(&folder, "hangs", r#"read host; exec cat "${0%/*}/pipe""#);
    let pipe = folder.join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    write_config(
        &folder,
        r#"{"credsStore":"store","auths":{"a.example":{}},"credHelpers":{"t.example":"token","n.example":"none",
            "f.example":"fails","x.example":"talks","h.example":"hangs"}}"#,
    );
    let long = Duration::from_secs(30);
    assert!(look_up(&folder, "a.example", long).await.0 == Basic("u-a.example".into(), "p".into()));
    assert!(look_up(&folder, "t.example", long).await.0 == Identity("t".into()));
    for (key, deadline, hint) in [
        ("n.example", long, "has none for n.example"),
        ("f.example", long, "the credential helper docker-credential-fails failed"),
        ("x.example", long, "answer can't be read"),
        ("h.example", Duration::from_millis(100), "did not answer"),
    ] {
        let (credential, origin) = look_up(&folder, key, deadline).await;
        assert_eq!(credential, Anonymous);
        assert!(origin.contains(hint) && !origin.contains("s3cret"), "{origin}");
    }
    drop(File::options().write(true).open(&pipe).unwrap());
}
