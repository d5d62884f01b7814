//! Disks that are full, or may not be written to.
//!
//! A file system that is really full cannot be had everywhere tests run: mounting one takes a privilege, and so does a quota. So
//! the access log is written to /dev/full, which says of each write what a full disk says. The cache cannot lie there; it is
//! kept from growing by a limit on the size of files (RLIMIT_FSIZE, in `k_cache_attacks::disk`), and from writing by the folder's
//! mode, here. What an ENOSPC then means for it is held by its own tests (`cache::disk::tests::faults`).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use harness::gateway::lines_of;
use harness::origin::reply;
use harness::{Connection, Gateway, Origin, Request, Sluice, wait_until};

use crate::all_to;

fn logged(origin: &Origin, path: &str) -> String {
    format!("[access_log]\npath = {path:?}\n{}", all_to(origin))
}

#[test]
fn an_access_log_on_a_full_disk_costs_no_request_and_what_waited_is_written_elsewhere() {
    let origin = Origin::new().otherwise(reply(200).body("fine"));
    let gw = Gateway::start(&logged(&origin, "/dev/full"));
    for _ in 0..20 {
        gw.get("/before").expect(200).body("fine");
    }
    let metrics = gw.wait_metrics("it is counted that nothing can be written", |m| {
        m.sum("sluice_access_log_errors_total", &[]) > 0.0
    });
    assert_eq!(metrics.sum("sluice_access_log_dropped_total", &[]), 0.0);

    let other = gw.folder().join("other.log");
    gw.reload(&logged(&origin, &other.display().to_string()))
        .expect("it is a good configuration");
    gw.get("/after").expect(200);
    let lines = lines_of(&other, 21);
    assert_eq!(lines.iter().filter(|line| line.contains("/before")).count(), 20);
    assert_eq!(origin.total(), 21);
}

#[test]
fn a_stop_does_not_wait_for_a_disk_that_stays_full() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&logged(&origin, "/dev/full"));
    gw.get("/").expect(200);
    assert!(gw.stop());
}

#[test]
fn an_access_log_that_cannot_be_opened_refuses_the_reload_and_the_old_one_goes_on() {
    let origin = Origin::new().otherwise(reply(200));
    let toml = all_to(&origin);
    let gw = Gateway::start(&toml);
    gw.get("/before").expect(200);
    // Nobody makes a file in there, whoever asks.
    let refused = gw.reload(&logged(&origin, "/proc/self/none/access.log"));
    assert!(refused.is_err());
    gw.get("/after").expect(200);
    assert_eq!(gw.log_lines(2).len(), 2);
}

/// Every folder of the cache, from its root on.
fn folders(path: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(path).expect("it may be read").flatten();
    let below = entries.map(|entry| entry.path()).filter(|path| path.is_dir());
    let mut all: Vec<_> = below.flat_map(|path| folders(&path)).collect();
    all.push(path.to_owned());
    all
}

fn set_mode(path: &Path, mode: u32) {
    for folder in folders(path) {
        fs::set_permissions(folder, fs::Permissions::from_mode(mode)).expect("the folder is ours");
    }
}

#[test]
fn a_cache_that_may_not_write_any_more_serves_what_it_has_and_writes_when_it_may() {
    let origin = Origin::new().otherwise(reply(200).header("Cache-Control", "max-age=3600").pattern(10_000));
    let toml = format!(
        r#"
        [caches.edge]
        memory = "16MiB"
        disk = "64MiB"
        path = "cache"

        [upstreams.origin]
        servers = [{{ address = "{}" }}]

        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        upstream = "origin"
        [routes.cache]
        store = "edge"
        "#,
        origin.address()
    );
    let mut sluice = Sluice::start_with(&toml, without_the_right_to_write_everywhere);
    let desk = sluice.admin();
    let edge = |what: &str| desk.status()["caches"]["edge"][what].clone();
    let ask = |path: &str| {
        let mut client = Connection::open(sluice.address());
        assert_eq!(
            client.ask(&Request::get(path)).expect(200).message.body.length,
            10_000
        );
    };
    wait_until("what is on disk is known", || edge("is_rebuilding") == false);
    ask("/first");
    wait_until("it is on disk", || edge("objects_disk") == 1);

    let folder = sluice.folder().join("cache");
    set_mode(&folder, 0o500);
    for path in ["/a", "/b", "/first"] {
        ask(path);
        wait_until("it is kept", || edge("fills") == 0);
        ask(path);
    }
    wait_until("it is told", || {
        edge("disk_fault")
            .as_str()
            .is_some_and(|fault| fault.contains("denied"))
    });
    assert_eq!(edge("objects_disk"), 1);
    assert_eq!(
        (origin.seen("/a"), origin.seen("/b"), origin.seen("/first")),
        (1, 1, 1)
    );

    set_mode(&folder, 0o700);
    let mut n = 0;
    wait_until("it writes again", || {
        n += 1;
        ask(&format!("/again/{n}"));
        edge("objects_disk").as_u64() > Some(1)
    });
    wait_until("nothing is wrong any more", || edge("disk_fault").is_null());
    assert!(sluice.process.is_running());
}

/// The superuser may write into any folder, whatever its mode; so the program is started without that right, where it is there to
/// be given up. Nobody else has it.
fn without_the_right_to_write_everywhere(command: &mut std::process::Command) {
    let folder = command.get_current_dir().expect("the harness sets it").to_owned();
    let program = folder.join("sluice");
    let real = fs::read_link(&program).expect("the harness makes a link");
    fs::remove_file(&program).expect("the folder is ours");
    let rights = "-dac_override,-dac_read_search";
    let script = format!(
        "#!/bin/sh\nif setpriv --bounding-set={rights} true 2>/dev/null\n\
         then exec setpriv --bounding-set={rights} {real:?} \"$@\"\nelse exec {real:?} \"$@\"\nfi\n"
    );
    fs::write(&program, script).expect("the folder is ours");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("the file is ours");
}
