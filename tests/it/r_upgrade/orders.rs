use std::os::unix::net::UnixDatagram;
use std::process::{Command, Output};

use harness::origin::reply;
use harness::{Connection, Gate, Origin, Request, Sluice, wait_until};
use rustix::process::Signal;

use super::{SAYS_HI, wait_generation};

fn sluice_says(words: &[&str]) -> Output {
    let mut command = Command::new(harness::process::binary("sluice"));
    command.args(words).output().expect("the binary is built")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_signal_upgrades_and_a_second_one_to_the_old_process_is_refused() {
    let gate = Gate::new();
    let origin = Origin::new()
        .on("/held", reply(200).after(&gate))
        .otherwise(reply(200));
    let mut sluice = Sluice::start(&format!(
        "[server]\nthreads = 2\ndrain_timeout = \"60s\"\n{}",
        crate::all_to(&origin)
    ));
    let held = Connection::open(sluice.address()).ask_apart(Request::get("/held"));
    origin.wait_seen("/held", 1);
    sluice.process.signal(Signal::USR2);
    wait_generation(&sluice, 1);
    sluice.process.wait_said("handed over to process ");
    sluice.process.signal(Signal::USR2);
    wait_until("it says that it will not", || {
        let said = sluice.process.said();
        said.iter().any(|line| line.contains("SIGUSR2: not upgraded"))
    });
    gate.open();
    held.response().expect(200);
    assert_eq!(sluice.process.wait_exit().code(), Some(0));
    wait_generation(&sluice, 1);
    // The new one can be upgraded as the old one could.
    sluice.upgrade();
    wait_generation(&sluice, 2);
}

#[test]
fn the_command_says_what_came_of_it() {
    let sluice = Sluice::start(SAYS_HI);
    let admin = sluice.admin().0.to_string();
    let output = sluice_says(&["upgrade", "--admin", &admin]);
    let said = text(&output.stdout);
    assert!(
        output.status.success() && said.starts_with("upgraded: process "),
        "{output:?}"
    );
    sluice.replace_program("exit 9");
    let output = sluice_says(&["upgrade", "--admin", &admin]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains("not upgraded") && said.contains("exit status: 9"),
        "{said}"
    );
    let said = text(&sluice_says(&["status", "--admin", &admin]).stdout);
    assert!(
        said.contains("came to nothing") && said.contains("exit status: 9"),
        "{said}"
    );
}

#[test]
fn with_if_changed_the_same_binary_is_reloaded_and_another_one_is_started() {
    let sluice = Sluice::start(SAYS_HI);
    let admin = sluice.admin().0.to_string();
    let order = || {
        let output = sluice_says(&["upgrade", "--if-changed", "--admin", &admin]);
        assert!(output.status.success(), "{output:?}");
        text(&output.stdout)
    };
    assert!(order().starts_with("reloaded"));
    sluice.restore_program(true);
    let said = text(&sluice_says(&["status", "--admin", &admin]).stdout);
    assert!(
        said.contains("another one than this process was started from"),
        "{said}"
    );
    assert!(order().starts_with("upgraded"));
    assert!(order().starts_with("reloaded"));
    wait_generation(&sluice, 1);
}

#[test]
fn the_admin_address_may_be_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("admin.sock");
    let place = format!("unix:{}", socket.display());
    let sluice = Sluice::start(&format!("[admin]\naddress = \"{place}\"\n{SAYS_HI}"));
    for generation in 1..=3 {
        let output = sluice_says(&["upgrade", "--admin", &place]);
        assert!(output.status.success(), "{output:?}");
        let status = sluice_says(&["status", "--json", "--admin", &place]);
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
        assert_eq!(status["upgrade"]["generation"], generation);
        assert_eq!(status["draining"], false);
    }
    Connection::open(sluice.address())
        .ask(&Request::get("/"))
        .expect(200);
}

#[test]
fn the_service_manager_hears_which_process_is_the_service_now() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager
        .set_read_timeout(Some(harness::patience::patience()))
        .unwrap();
    let hear = || {
        let mut space = [0; 256];
        let n = manager.recv(&mut space).expect("it is told something");
        text(&space[..n])
    };
    let mut sluice = Sluice::start_with(SAYS_HI, |command| _ = command.env("NOTIFY_SOCKET", &path));
    assert_eq!(hear(), "READY=1");
    let pid = sluice.upgrade();
    assert_eq!(hear(), format!("MAINPID={pid}"));
    assert_eq!(sluice.process.wait_exit().code(), Some(0));
    let next = sluice.upgrade();
    assert_eq!(hear(), format!("MAINPID={next}"), "and nothing of an end");
}
