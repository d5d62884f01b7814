//! Disks that are full, or may not be written to.
//!
//! The access log is written to /dev/full, which says of each write what a full disk says. The cache cannot lie there. It is put on a
//! file system of its own that takes few files, which another user of the machine would not see: mounting it takes a namespace,
//! and the play says so where there is none to be had. Besides it is kept from growing by a limit on the size of files
//! (RLIMIT_FSIZE, in `k_cache_attacks::disk`), and from writing by the folder's mode. What an ENOSPC then means for each step is
//! held by its own tests (`cache::disk::tests::faults`).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use harness::body::Pattern;
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

/// All to this origin, by way of a cache in the folder `cache`.
fn cached(origin: &Origin) -> String {
    format!(
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
    )
}

#[test]
fn a_cache_that_may_not_write_any_more_serves_what_it_has_and_writes_when_it_may() {
    let origin = Origin::new().otherwise(reply(200).header("Cache-Control", "max-age=3600").pattern(10_000));
    let mut sluice = Sluice::start_with(&cached(&origin), without_the_right_to_write_everywhere);
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
fn without_the_right_to_write_everywhere(command: &mut Command) {
    let rights = "-dac_override,-dac_read_search";
    start_by(command, |real| {
        format!(
            "if setpriv --bounding-set={rights} true 2>/dev/null\n\
             then exec setpriv --bounding-set={rights} {real:?} \"$@\"\nelse exec {real:?} \"$@\"\nfi"
        )
    });
}

/// Puts a shell script in the place of the program, which is to start the real one.
fn start_by(command: &Command, script: impl FnOnce(&Path) -> String) {
    let folder = command.get_current_dir().expect("the harness sets it").to_owned();
    let program = folder.join("sluice");
    let real = fs::read_link(&program).expect("the harness makes a link");
    fs::remove_file(&program).expect("the folder is ours");
    fs::write(&program, format!("#!/bin/sh\n{}\n", script(&real))).expect("the folder is ours");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("the file is ours");
}

/// What is told of the file system that is to be full soon. Its bytes alone would not do: the cache leaves some of them free for
/// others, and would never meet the end.
const SMALL: &str = "mount -t tmpfs -o size=2m,nr_inodes=64 tmpfs";

/// How a program is given a view of the file systems that is its own; None where that is forbidden.
fn apart() -> Option<&'static str> {
    let ways = ["unshare --mount", "unshare --user --map-root-user --mount"];
    let folder = tempfile::tempdir().expect("a temporary folder is to be had");
    ways.into_iter().find(|way| {
        let script = format!("exec {way} {SMALL} {:?}", folder.path());
        let tried = Command::new("sh")
            .args(["-c", &script])
            .stderr(Stdio::null())
            .status();
        tried.is_ok_and(|status| status.success())
    })
}

#[test]
fn a_cache_on_a_full_disk_answers_as_ever_counts_what_it_cannot_write_and_goes_on_when_there_is_room() {
    const TARGETS: u64 = 80;
    let Some(way) = apart() else {
        eprintln!("not played: this machine lets nobody mount a small file system in a namespace of its own");
        return;
    };
    let length = |n: u64| 2_000 + n % 2_000;
    let origin = Origin::new();
    for n in 0..TARGETS * 100 {
        let answer = reply(200).header("Cache-Control", "max-age=3600");
        origin.set(&format!("/{n}"), answer.pattern(length(n)));
    }
    // A small limit, or what is to be left free for others would be more than there is.
    let toml = cached(&origin).replace("64MiB", "1MiB");
    let mut sluice = Sluice::start_with(&toml, |command| {
        start_by(command, |real| {
            format!("mkdir cache\nexec {way} sh -c '{SMALL} cache && exec {real:?} \"$@\"' sh \"$@\"")
        });
    });
    let desk = sluice.admin();
    let edge = |what: &str| desk.status()["caches"]["edge"][what].clone();
    let ask = |n: u64| {
        let mut client = Connection::open(sluice.address());
        let response = client.ask(&Request::get(&format!("/{n}")));
        assert!(
            response.expect(200).message.body == Pattern::whole(length(n)),
            "{n}"
        );
    };
    wait_until("what is on disk is known", || edge("is_rebuilding") == false);
    for n in 0..TARGETS {
        ask(n);
    }
    desk.wait_metrics("it is counted that not all can be written", |m| {
        m.sum("sluice_cache_writes_skipped_total", &[("cache", "edge")]) > 0.0
    });
    wait_until("every fill has ended", || edge("fills") == 0);
    for n in 0..TARGETS {
        ask(n);
    }
    assert_eq!(origin.total(), usize::try_from(TARGETS).expect("it is small"));

    // When there is room: in a moment for the one that was evicted, here because all goes.
    desk.ask(&Request::post("/purge", r#"{"all":true}"#)).expect(200);
    wait_until("nothing is left there", || edge("objects_disk") == 0);
    let mut n = TARGETS;
    wait_until("it writes again", || {
        n += 1;
        ask(n);
        edge("objects_disk").as_u64() > Some(0)
    });
    assert!(sluice.process.is_running());
    let said = sluice.process.said();
    let mut told = said
        .iter()
        .filter_map(|line| match line.contains("No space left") {
            true => Some(line.contains("work again")),
            false => None,
        });
    assert_eq!(told.next(), Some(false), "{said:#?}");
    // Told once, and not again before it was over.
    let mut is_over = false;
    for ends in told {
        assert_ne!(ends, is_over, "{said:#?}");
        is_over = ends;
    }
}
