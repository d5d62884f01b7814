use std::fs;
use std::io::Write;

use harness::origin::Reservation;
use harness::{Request, Sluice, wait_until};
use rustix::process::Signal;

use super::{fifo, get, hold_program};

/// Looks at a process in a row without any of its threads at work.
const LOOKS: usize = 20;

/// Waits until a process has all its threads, and all of them wait.
fn wait_resting(pid: u32) {
    let rests = || {
        let tasks = fs::read_dir(format!("/proc/{pid}/task"))
            .into_iter()
            .flatten()
            .flatten();
        let stats: Vec<_> = tasks
            .filter_map(|task| fs::read_to_string(task.path().join("stat")).ok())
            .collect();
        // Behind the name in parentheses stands the state.
        let sleeps = |stat: &String| {
            stat.rsplit_once(") ")
                .is_some_and(|(_, rest)| rest.starts_with('S'))
        };
        stats.iter().any(|stat| stat.contains("(control)")) && stats.iter().all(sleeps)
    };
    wait_until("the new process waits", || (0..LOOKS).all(|_| rests()));
}

#[test]
fn a_configuration_that_comes_before_the_doors_are_open_is_taken_up_after_it() {
    let place = Reservation::new();
    let address = place.address();
    drop(place);
    let config = |admin: &str, body: &str| {
        let listener = format!("[[listeners]]\naddress = \"{address}\"\n");
        let says = super::SAYS_HI.replace("hi", body);
        format!("[admin]\naddress = \"127.0.0.1:0\"\n{admin}\n{listener}{says}")
    };
    let mut sluice = Sluice::start(&config("", "hi"));
    let (hold, token) = (hold_program(&sluice), fifo(&sluice, "token"));
    let admin = sluice.admin();
    let upgrade = std::thread::spawn(move || admin.ask(&Request::new("POST", "/upgrade")));
    let pid = sluice.process.wait_said("new as ").parse().unwrap();

    // The token is what is read next after the configuration: the new process waits there for somebody who writes.
    sluice.replace_config(&config("token_file = \"token\"", "hi"));
    fs::write(&hold, "go on\n").unwrap();
    let mut token = fs::OpenOptions::new().write(true).open(&token).unwrap();
    sluice.replace_config(&config("token_file = \"token\"", "hello"));
    // The old one does not say go.
    sluice.process.signal(Signal::STOP);
    token.write_all(b"0123456789abcdef").unwrap();
    drop(token);
    wait_resting(pid);
    sluice.process.signal(Signal::CONT);

    upgrade.join().unwrap().expect(200);
    wait_until("the newest configuration is in use", || get(&sluice) == "hello");
    let said = sluice.process.said();
    assert!(
        !said.iter().any(|line| line.contains("not reloaded")),
        "{said:#?}"
    );
}
