use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gateway::kit::clock::Clock;
use harness::origin::reply;
use harness::process::Sluice;
use harness::redis::{local_address, reserve};
use harness::{Gateway, Origin, wait_for, wait_until};
use rustls::ClientConfig;
use serde_json::Value;

use super::client::TlsClient;
use super::pebble::Pebble;

/// Longer than any play.
const YEAR_S: u64 = 365 * 24 * 3_600;

/// One in clear text that redirects, and one with TLS for what is ordered.
fn listeners() -> String {
    "[[listeners]]\naddress = \"127.0.0.1:0\"\nredirect_to_https = true\n\
     [[listeners]]\naddress = \"127.0.0.1:0\"\ncertificates = [\"site\"]\n"
        .to_owned()
}

fn site(domains: &str, acme: &str) -> String {
    format!("[certificates.site]\ndomains = [{domains}]\n{acme}\n")
}

fn before(origin: &Origin, domains: &str, acme: &str) -> String {
    format!("{}{}{}", site(domains, acme), listeners(), crate::all_to(origin))
}

fn answering() -> Origin {
    Origin::new().otherwise(reply(200).body("hello"))
}

fn order(status: &Value) -> Value {
    status["certificates"]["site"]["order"].clone()
}

#[track_caller]
fn wait_ordered(gw: &Gateway, n: u64) {
    wait_until(&format!("{n} orders have brought one"), || {
        order(&gw.status())["orders"].as_u64() >= Some(n)
    });
}

/// Unix time.
fn next_attempt(gw: &Gateway) -> f64 {
    let metrics = gw.metrics();
    metrics.sum(
        "sluice_acme_next_attempt_timestamp_seconds",
        &[("certificate", "site")],
    )
}

fn shown(gw: &Gateway, client: &Arc<ClientConfig>) -> Vec<u8> {
    TlsClient::open(gw.addresses()[1], client, "a.test")
        .shown()
        .to_vec()
}

fn is_refused(gw: &Gateway, client: &Arc<ClientConfig>) -> bool {
    TlsClient::try_open(gw.addresses()[1], client, "a.test", b"").is_err()
}

/// All files below a folder that end so.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let below = entries.flat_map(|entry| match entry.path() {
        path if path.is_dir() => files(&path, ending),
        path => vec![path],
    });
    below
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[test]
fn a_certificate_comes_by_itself_and_outlives_a_restart() {
    let ca = Pebble::start(YEAR_S);
    let storage = tempfile::tempdir().expect("a temporary folder is to be had");
    let origin = answering();
    let toml = before(&origin, "\"a.test\", \"b.test\"", &ca.acme(storage.path()));
    let gw = Gateway::start(&toml);
    let client = ca.client();

    // It serves before there is one, refuses TLS, and says so.
    gw.get("/before").expect(308);
    assert!(is_refused(&gw, &client));
    assert_eq!(gw.status()["certificates"]["site"]["not_after"], Value::Null);
    ca.way.leads_to(gw.address());
    wait_ordered(&gw, 1);

    for name in ["a.test", "b.test"] {
        TlsClient::open(gw.addresses()[1], &client, name)
            .get("/")
            .expect(200);
    }
    gw.get("/after").expect(308);
    gw.get("/.well-known/acme-challenge/unknown").expect(308);
    let status = gw.status();
    assert_eq!(status["certificates"]["site"]["source"], "acme");
    assert!(
        status["certificates"]["site"]["not_after"].is_string(),
        "{status}"
    );
    assert_eq!(order(&status)["fault"], Value::Null);
    let metrics = gw.metrics();
    let of_site = |result| [("certificate", "site"), ("result", result)];
    assert_eq!(metrics.sum("sluice_acme_orders_total", &of_site("ok")), 1.0);
    assert_eq!(metrics.sum("sluice_acme_orders_total", &of_site("error")), 0.0);
    let name = [("certificate", "site")];
    let next = next_attempt(&gw);
    let end = metrics.sum("sluice_certificate_expiry_timestamp_seconds", &name);
    assert!(next > 0.0 && next < end, "{next} {end}");

    // It is shown before it is stored.
    wait_until("the certificate is stored", || {
        files(storage.path(), ".pem").len() == 1
    });
    let kept = files(storage.path(), ".pem");
    let accounts = files(storage.path(), "account.json");
    assert_eq!(accounts.len(), 1, "{accounts:?}");
    for file in kept.iter().chain(&accounts) {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }

    let before = shown(&gw, &client);
    drop(gw);
    let gw = Gateway::start(&toml);
    assert!(
        shown(&gw, &client) == before,
        "it is there from the first handshake on"
    );
    wait_until("it knows when the next one is ordered", || {
        order(&gw.status())["next_attempt"].is_string()
    });
    assert_eq!((ca.orders(), ca.accounts()), (1, 1));
}

#[test]
fn a_certificate_is_renewed_in_time_and_no_connection_notices() {
    let ca = Pebble::start(6);
    let storage = tempfile::tempdir().expect("a temporary folder is to be had");
    let origin = answering();
    let gw = Gateway::start(&before(&origin, "\"a.test\"", &ca.acme(storage.path())));
    ca.way.leads_to(gw.address());
    let client = ca.client();
    wait_ordered(&gw, 1);

    let mut open = TlsClient::open(gw.addresses()[1], &client, "a.test");
    open.get("/").expect(200);
    let first = open.shown();
    wait_ordered(&gw, 2);
    let second = shown(&gw, &client);
    assert!(second != first.to_vec(), "another one is shown");
    open.get("/").expect(200);
    assert!(open.shown() == first, "on the same connection as before");
    assert_eq!(files(storage.path(), ".pem").len(), 1);
    assert_eq!(order(&gw.status())["failures"], 0);
    assert_eq!(ca.accounts(), 1);
}

#[test]
fn a_directory_that_does_not_answer_holds_nobody_up_and_is_asked_again() {
    let nobody = reserve();
    let storage = tempfile::tempdir().expect("a temporary folder is to be had");
    let origin = answering();
    let acme = format!(
        "acme = {{ directory = \"https://{}/dir\", storage = {:?}, terms_agreed = true }}",
        local_address(&nobody),
        storage.path().display().to_string()
    );
    let toml = format!(
        "{}[[listeners]]\naddress = \"127.0.0.1:0\"\n[[listeners]]\naddress = \"127.0.0.1:0\"\ncertificates = [\"site\"]\n{}",
        site("\"a.test\"", &acme),
        crate::all_to(&origin)
    );
    let gw = Gateway::start_with_manual_clock(&toml);
    assert_eq!(gw.get("/").expect(200).text(), "hello");
    let failures = |gw: &Gateway| order(&gw.status())["failures"].as_u64();
    wait_until("the first attempt has failed", || failures(&gw) == Some(1));
    let fault = order(&gw.status())["fault"].to_string();
    assert!(
        fault.contains("cannot be asked") && fault.contains("`directory`"),
        "{fault}"
    );
    assert!(is_refused(
        &gw,
        &Arc::new(super::Authority::new("nobody").client())
    ));

    let metrics = gw.metrics();
    let now = metrics.sum("sluice_config_loaded_timestamp_seconds", &[]);
    assert!(next_attempt(&gw) >= now + 60.0, "not before its pause is over");
    gw.advance(Duration::from_secs(91));
    wait_until("the second attempt has failed", || failures(&gw) == Some(2));
    gw.get("/").expect(200);
    let of_site = [("certificate", "site"), ("result", "error")];
    assert_eq!(gw.metrics().sum("sluice_acme_orders_total", &of_site), 2.0);
}

#[test]
fn a_name_that_cannot_be_proved_is_told_in_one_line_with_what_to_do() {
    let ca = Pebble::start(YEAR_S);
    let storage = tempfile::tempdir().expect("a temporary folder is to be had");
    let origin = answering();
    // Whoever stands at port 80 is somebody else.
    ca.way.leads_to(origin.address());
    let sluice = Sluice::start(&before(&origin, "\"a.test\"", &ca.acme(storage.path())));
    let told = || {
        let said = sluice.process.said();
        let lines = said.iter().filter(|line| line.contains("no new one"));
        lines.cloned().collect::<Vec<_>>()
    };
    wait_until("it is told", || !told().is_empty());
    let lines = told();
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in [
        "certificate site",
        "\"a.test\"",
        "port 80",
        "it is tried again in",
    ] {
        assert!(lines[0].contains(part), "{part}: {}", lines[0]);
    }
    assert!(files(storage.path(), ".pem").is_empty());
}

#[test]
fn an_order_under_way_survives_a_reload_and_ends_with_its_certificate() {
    let ca = Pebble::start(YEAR_S);
    let storage = tempfile::tempdir().expect("a temporary folder is to be had");
    let origin = answering();
    let toml = before(&origin, "\"a.test\"", &ca.acme(storage.path()));
    let gw = Gateway::start(&toml);
    let client = ca.client();
    wait_until("the order is there", || ca.orders() == 1);

    let more = format!(
        "{toml}\n[[routes]]\nname = \"more\"\nmatch = {{ path_prefix = \"/more\" }}\nrespond = {{ status = 204 }}\n"
    );
    gw.reload(&more).expect("it is fine");
    assert_eq!(order(&gw.status())["state"], "ordering");
    ca.way.leads_to(gw.address());
    wait_ordered(&gw, 1);
    assert_eq!(ca.orders(), 1, "it was not begun anew");
    let old = shown(&gw, &client);

    // With one name more it is another order; until that has come, what is there is shown.
    let wider = before(&origin, "\"a.test\", \"c.test\"", &ca.acme(storage.path()));
    gw.reload(&wider).expect("it is fine");
    assert!(!is_refused(&gw, &client));
    wait_until("the wider one is shown", || shown(&gw, &client) != old);
    TlsClient::open(gw.addresses()[1], &client, "c.test")
        .get("/")
        .expect(200);

    gw.reload(&crate::all_to(&origin)).expect("it is fine");
    assert_eq!(gw.status()["certificates"], serde_json::json!({}));
    assert!(
        !gw.metrics().has("sluice_acme_orders_total", &[]),
        "nothing is ordered any more"
    );
}

#[test]
fn of_two_gateways_that_share_a_folder_one_orders_and_both_show() {
    let ca = Pebble::start(YEAR_S);
    let storage = tempfile::tempdir().expect("a temporary folder is to be had");
    let origin = answering();
    let toml = before(&origin, "\"a.test\"", &ca.acme(storage.path()));
    let first = Gateway::start(&toml);
    wait_until("the order is there", || ca.orders() == 1);
    let second = Gateway::start(&toml);
    wait_until("the second waits", || {
        order(&second.status())["state"] == "ordered by another process"
    });
    ca.way.leads_to(first.address());
    wait_ordered(&first, 1);
    let client = ca.client();
    wait_until("the second shows it too", || !is_refused(&second, &client));
    assert!(shown(&first, &client) == shown(&second, &client));
    assert_eq!((ca.orders(), ca.accounts()), (1, 1));
}

#[test]
fn what_another_process_has_brought_ends_the_trouble_here() {
    let ca = Pebble::start(YEAR_S);
    let storage = tempfile::tempdir().expect("a temporary folder is to be had");
    let origin = answering();
    let nobody = super::Authority::new("nobody");
    let acme = ca.acme_believing(&nobody, storage.path());
    let troubled = Gateway::start_with_manual_clock(&before(&origin, "\"a.test\"", &acme));
    wait_until("an attempt has failed", || {
        order(&troubled.status())["fault"].is_string()
    });

    let other = Gateway::start(&before(&origin, "\"a.test\"", &ca.acme(storage.path())));
    ca.way.leads_to(other.address());
    wait_ordered(&other, 1);
    // It looks twice a minute, and its own next attempt is a minute away.
    troubled.advance(Duration::from_secs(31));
    wait_until("the trouble is over", || {
        order(&troubled.status())["fault"].is_null()
    });
    let client = ca.client();
    assert!(shown(&troubled, &client) == shown(&other, &client));
    let status = order(&troubled.status());
    assert_eq!(status["state"], "waiting");
    assert_eq!((&status["orders"], &status["failures"]), (&0.into(), &1.into()));
}

#[test]
fn a_clock_that_is_ahead_makes_no_order_follow_the_other_without_a_pause() {
    let ca = Pebble::start(YEAR_S);
    let storage = tempfile::tempdir().expect("a temporary folder is to be had");
    let origin = answering();
    // For whoever lives there, each certificate is due when it comes.
    let ahead = Clock::system().now().wall + Duration::from_secs(YEAR_S * 4 / 5);
    let toml = before(&origin, "\"a.test\"", &ca.acme(storage.path()));
    let gw = Gateway::try_start(&toml, Clock::manual(ahead)).expect("it starts");
    ca.way.leads_to(gw.address());
    let mut now = ahead.as_secs_f64();
    for (n, pause_s) in [(1, 3_600_u32), (2, 7_200), (3, 14_400)] {
        wait_ordered(&gw, n);
        wait_until("the next one has to wait", || {
            next_attempt(&gw) >= (now + f64::from(pause_s)).floor()
        });
        let later = Duration::from_secs(u64::from(pause_s) + 1);
        gw.advance(later);
        now += later.as_secs_f64();
    }
}

#[test]
fn only_what_an_authority_may_ask_right_now_is_answered_and_all_else_goes_its_way() {
    let ca = Pebble::start(YEAR_S);
    let storage = tempfile::tempdir().expect("a temporary folder is to be had");
    let origin = answering();
    let toml = format!(
        "{}[[listeners]]\naddress = \"127.0.0.1:0\"\n[[listeners]]\naddress = \"127.0.0.1:0\"\ncertificates = [\"site\"]\n{}",
        site("\"a.test\"", &ca.acme(storage.path())),
        crate::all_to(&origin)
    );
    let gw = Gateway::start(&toml);
    wait_until("the order is there", || ca.orders() == 1);
    for path in [
        "/.well-known/acme-challenge/x",
        "/.well-known/acme-challenge/",
        "/.well-known/acme-challenge",
    ] {
        assert_eq!(gw.get(path).expect(200).text(), "hello");
        origin.only(path);
    }
    let seen = origin.total();
    ca.way.leads_to(gw.address());
    wait_ordered(&gw, 1);
    assert_eq!(
        origin.total(),
        seen,
        "the authority's questions are not passed on"
    );
    // What it asked is in the access log, and is not answered any more.
    let path = wait_for("the question is in the access log", || {
        let log = fs::read_to_string(gw.log_file()).ok()?;
        let paths = log
            .split(['"', ' '])
            .filter(|word| word.starts_with("/.well-known/"));
        // A token says more than ours above.
        paths.map(str::to_owned).find(|path| path.len() > 50)
    });
    gw.get(&path).expect(200);
    origin.only(&path);
}

#[test]
fn a_start_does_not_wait_for_a_folder_that_cannot_be_written() {
    let folder = tempfile::tempdir().expect("a temporary folder is to be had");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("it can be written");
    let acme = format!(
        "acme = {{ storage = {:?}, directory = \"https://127.0.0.1:1/dir\", terms_agreed = true }}",
        file.display().to_string()
    );
    let origin = answering();
    let gw = Gateway::try_start(&before(&origin, "\"a.test\"", &acme), Clock::system()).expect("it starts");
    gw.get("/").expect(308);
    wait_until("it is told", || order(&gw.status())["fault"].is_string());
    let fault = order(&gw.status())["fault"].to_string();
    assert!(fault.contains("`storage`"), "{fault}");
}
