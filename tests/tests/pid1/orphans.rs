//! Whoever loses its parent becomes a child of process 1, which waits for it.

use tests::namespace::Init;
use tests::process::{children, zombies};
use tests::supervised::Stage;
use tests::wait::eventually;

/// 500 children whose codes are all checked, each of which leaves an orphan.
const STORM: &str = "i=0
while [ $i -lt 500 ]; do
  ( /bin/true & exit $((i % 200)) )
  [ $? -eq $((i % 200)) ] || { echo wrong > @notes/done; exit 1; }
  i=$((i + 1))
done
echo right > @notes/done";

#[test]
fn a_storm_of_orphans_leaves_no_zombie_and_costs_no_exit_code() {
    for init in Init::available() {
        let stage = Stage::with_current(&format!(
            "trap 'exit 23' USR1\n{STORM}\nwhile :; do sleep 600 & wait $!; done"
        ));
        let mut running = init.run(&stage);
        assert_eq!(stage.note("done"), "right\n", "{init:?}");
        eventually("no zombie", || (zombies(running.pid) == 0).then_some(()));
        eventually("only the application is left", || (children(running.pid).len() == 1).then_some(()));
        running.signal(10);
        assert_eq!(running.ended(), 23, "{init:?}");
    }
}

/// While the supervisor stands still, 200 orphans end: all their signals become one.
#[test]
fn one_signal_may_stand_for_many_dead_children() {
    for init in Init::available() {
        let stage = Stage::with_current(
            "trap 'exit 24' USR1
            for i in $(seq 200); do ( sleep 600 & ); done
            echo $$ > @notes/ready
            while :; do sleep 600 & wait $!; done",
        );
        let mut running = init.run(&stage);
        stage.note("ready");
        let orphans = eventually("200 orphans", || {
            let children = children(running.pid);
            (children.len() == 201).then(|| children[1..].to_vec())
        });
        running.signal(19);
        orphans.iter().for_each(|pid| {
            let pid = nix::unistd::Pid::from_raw(*pid);
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        });
        eventually("200 zombies", || (zombies(running.pid) == 200).then_some(()));
        running.signal(18);
        eventually("no zombie", || (zombies(running.pid) == 0).then_some(()));
        running.signal(10);
        assert_eq!(running.ended(), 24, "{init:?}");
    }
}
