//! How the application ends is how the supervisor ends.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tests::namespace::Init;
use tests::supervised::Stage;

#[test]
fn the_code_of_the_application_is_the_code_of_process_1() {
    for init in Init::available() {
        for code in [0, 1, 7, 41, 43, 255] {
            let stage = Stage::with_current(&format!("exit {code}"));
            assert_eq!(init.run(&stage).ended(), code, "{init:?}");
        }
    }
}

#[test]
fn death_by_signal_n_is_128_and_n() {
    for init in Init::available() {
        for number in [9, 15, 11, 34, 64] {
            let stage = Stage::with_current(&format!("ulimit -c 0; kill -{number} $$; exit 99"));
            assert_eq!(init.run(&stage).ended(), 128 + number, "{init:?} {number}");
        }
    }
}

/// Ours does not pass 42 on: it starts the application again.
#[test]
fn exit_42_is_a_code_like_any_other_only_elsewhere() {
    for init in Init::available() {
        let stage = Stage::with_current("if [ -e @notes/again ]; then exit 5; fi; : > @notes/again; exit 42");
        let expected = if init == Init::Dockerloader { 5 } else { 42 };
        assert_eq!(init.run(&stage).ended(), expected, "{init:?}");
    }
}

#[test]
fn a_program_that_can_not_be_executed() {
    // The last one has a header like that of any program, of a machine that does not exist.
    let foreign: Vec<u8> =
        [b"\x7fELF\x02\x01\x01".as_slice(), &[0; 9], &[2, 0, 0xee, 0xee, 1, 0, 0, 0], &[0; 40]].concat();
    let programs: [(&str, &[u8], u32, i32); 3] = [
        ("its interpreter is missing", b"#!/nonexistent/interpreter\n", 0o755, 127),
        ("it has no executable bit", b"#!/bin/sh\nexit 0\n", 0o644, 126),
        ("it is for another machine", &foreign, 0o755, 126),
    ];
    for init in Init::available() {
        for (what, content, mode, ours) in programs {
            let stage = Stage::with_current("exit 99");
            let program = stage.ground.root().join("entrypoint").canonicalize().unwrap();
            fs::write(&program, content).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();
            let mut running = init.run(&stage);
            let code = running.ended();
            let expected = match init {
                Init::Dockerloader => ours,
                // The C library hands what the kernel refuses to the shell, which makes no sense of it either.
                Init::Tini if ours == 126 && mode == 0o755 => code.max(1),
                Init::Tini => ours,
                Init::DumbInit => 2,
                Init::Catatonit => 1,
            };
            if init != Init::Dockerloader && what == "it is for another machine" {
                assert_ne!(code, 0, "{init:?}");
                continue;
            }
            assert_eq!(code, expected, "{init:?}: {what}: {}", running.stderr());
            if init == Init::Dockerloader {
                assert!(running.stderr().contains("can't execute"), "{}", running.stderr());
            }
        }
    }
}
