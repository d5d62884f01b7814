use harness::{Request, Sluice, wait_until};
use rustix::process::Signal;

use super::{SAYS_HI, counted, fifo, get, upgrade_of, wait_generation};

/// A new process has so long: more than a good one needs on a machine that is busy, and no good one is started in these
/// plays while it matters.
const IMPATIENT: &str = "[server]\nthreads = 2\ndrain_timeout = \"5s\"\nupgrade_timeout = \"200ms\"\n";
const PATIENT: &str = "[server]\nthreads = 2\ndrain_timeout = \"5s\"\n";

/// Orders an upgrade that comes to nothing, and looks at everything that is told of it.
#[track_caller]
fn fails(sluice: &mut Sluice, why: &str) {
    let before = counted(&sluice.admin().metrics(), "error");
    let response = sluice.admin().ask(&Request::new("POST", "/upgrade"));
    response.expect(422);
    assert!(response.text().contains(why), "{response}");
    let upgrade = upgrade_of(sluice.admin());
    assert_eq!(upgrade["last"]["ok"], false, "{upgrade:#}");
    assert!(
        upgrade["last"]["problem"]
            .as_str()
            .is_some_and(|problem| problem.contains(why)),
        "{upgrade:#}"
    );
    assert_eq!(
        (&upgrade["generation"], &upgrade["under_way"]),
        (&0.into(), &false.into())
    );
    assert_eq!(counted(&sluice.admin().metrics(), "error"), before + 1.0);
    let is_told = |line: &String| line.contains("not upgraded, this process goes on");
    wait_until("it is told on stderr", || {
        sluice.process.said().iter().any(is_told)
    });
    assert!(sluice.process.is_running());
    assert_eq!(get(sluice), "hi");
}

#[test]
fn a_binary_that_ends_or_is_none_leaves_everything_as_it_was() {
    let mut sluice = Sluice::start(&format!("{PATIENT}{SAYS_HI}"));
    sluice.replace_program("exit 3");
    fails(&mut sluice, "has ended (exit status: 3)");
    sluice.replace_program("exec 0</dev/null; exit 0");
    fails(&mut sluice, "has ended (exit status: 0)");
    std::fs::remove_file(sluice.folder().join("sluice")).unwrap();
    fails(&mut sluice, "cannot be started");
    // One that answers by something else.
    sluice.replace_program("printf '\\377\\377\\377\\377' >&0; exec sleep 600");
    fails(&mut sluice, "speaks another language");
    sluice.restore_program(false);
    sluice.upgrade();
    assert_eq!(
        counted(&sluice.admin().metrics(), "error"),
        4.0,
        "the count goes on"
    );
}

#[test]
fn a_binary_that_hangs_is_given_up_and_ended() {
    let mut sluice = Sluice::start(&format!("{IMPATIENT}{SAYS_HI}"));
    sluice.replace_program("echo hanging as $$; exec sleep 600");
    fails(&mut sluice, "server.upgrade_timeout");
    let pid = sluice.process.wait_said("hanging as ");
    sluice.wait_ended(pid.parse().unwrap());
}

#[test]
fn a_configuration_with_a_mistake_is_told_by_its_text() {
    let mut sluice = Sluice::start(&format!("{PATIENT}{SAYS_HI}"));
    let file = sluice.folder().join("sluice.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, good.replace("threads", "threats")).unwrap();
    fails(&mut sluice, "threats");
    // What is taken by somebody else.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let more = format!("[[listeners]]\naddress = \"{}\"\n", taken.local_addr().unwrap());
    std::fs::write(&file, format!("{good}\n{more}")).unwrap();
    fails(&mut sluice, "another program listens there");
    drop(taken);
    sluice.upgrade();
    assert_eq!(sluice.admin().status()["listeners"].as_array().unwrap().len(), 2);
    assert_eq!(get(&sluice), "hi");
}

#[test]
fn only_one_upgrade_at_a_time_and_a_reload_waits_for_it() {
    let sluice = Sluice::start(&format!("{PATIENT}{SAYS_HI}"));
    let (began, hold) = (sluice.folder().join("began"), fifo(&sluice, "hold"));
    let (began_at, hold_at) = (began.display(), hold.display());
    // Who reads there waits for somebody who writes.
    sluice.replace_program(&format!("touch {began_at}; read word < {hold_at}; exit 3"));
    let admin = sluice.admin();
    let first = std::thread::spawn(move || admin.ask(&Request::new("POST", "/upgrade")));
    wait_until("it has begun", || began.exists());
    let second = admin.ask(&Request::new("POST", "/upgrade"));
    assert!(second.expect(409).text().contains("under way"), "{second}");
    sluice.replace_config(&format!("{PATIENT}{}", SAYS_HI.replace("hi", "hello")));
    let deferred = admin.reload();
    assert!(deferred.expect(422).text().contains("under way"), "{deferred}");
    assert_eq!(get(&sluice), "hi");

    std::fs::write(&hold, "go on\n").unwrap();
    let failed = first.join().unwrap();
    assert!(failed.expect(422).text().contains("exit status: 3"), "{failed}");
    wait_until("the configuration that came meanwhile is in use", || {
        get(&sluice) == "hello"
    });
}

#[test]
fn a_stop_in_the_middle_of_an_upgrade_ends_both() {
    let mut sluice = Sluice::start(&format!("{PATIENT}{SAYS_HI}"));
    sluice.replace_program("echo waiting as $$; exec sleep 600");
    sluice.process.signal(Signal::USR2);
    let pid = sluice.process.wait_said("waiting as ").parse().unwrap();
    sluice.process.terminate();
    assert_eq!(sluice.process.wait_exit().code(), Some(0));
    sluice.wait_ended(pid);
}

#[test]
fn a_variable_that_was_passed_on_by_mistake_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(harness::process::binary("sluice"));
    let output = command
        .args(["reverse-proxy", "--from", "127.0.0.1:0", "--to", "127.0.0.1:1"])
        .current_dir(folder.path())
        .env("SLUICE_HANDOVER", "1")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("unset it"), "{said}");
}

#[test]
fn a_binary_of_another_format_declines() {
    let mut sluice = Sluice::start(&format!("{PATIENT}{SAYS_HI}"));
    let real = harness::process::binary("sluice");
    sluice.replace_program(&format!("SLUICE_HANDOVER=2 exec {} \"$@\"", real.display()));
    fails(&mut sluice, "in format 2");
    sluice.replace_program(&format!("exec {} \"$@\"", real.display()));
    sluice.upgrade();
    wait_generation(&sluice, 1);
}
