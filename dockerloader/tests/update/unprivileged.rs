//! The same for a user who can't give files away, make devices, or pass by a mode.
#![expect(clippy::disallowed_methods, reason = "the test starts itself as another user")]

use std::os::unix::process::CommandExt as _;
use std::process::Command;

#[test]
fn the_same_holds_for_a_user_without_rights() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not run: all tests are of such a user already");
        return;
    }
    let nobody = 65534;
    // The binary may lie where others may not look.
    let ground = tempfile::tempdir().unwrap();
    let copy = ground.path().join("update");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    std::fs::create_dir(ground.path().join("tmp")).unwrap();
    std::os::unix::fs::chown(ground.path().join("tmp"), Some(nobody), Some(nobody)).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(ground.path(), open).unwrap();
    let output = Command::new(&copy)
        .args(["--test-threads=2", "differential::", "single::"])
        .env("TMPDIR", ground.path().join("tmp"))
        .current_dir(ground.path())
        .uid(nobody)
        .gid(nobody)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("test result: ok"), "{text}");
}
