//! By Consul.

use harness::{Consul, Gateway, wait_until};

use super::{addresses, app, origins, wait_addresses, wait_source};

fn by_consul(consul: &Consul, more: &str) -> String {
    format!(
        r#"discover = {{ consul = {{ address = "{}", service = "app"{more} }} }}"#,
        consul.url()
    )
}

#[track_caller]
fn wait_held(consul: &Consul) {
    wait_until("a question is held back", || consul.held() == 1);
}

#[test]
fn a_question_is_held_back_until_the_service_changes() {
    let [a, b] = origins();
    let consul = Consul::start();
    consul.set(7, &[a.address()]);
    let gw = Gateway::start(&app(&by_consul(&consul, "")));
    wait_addresses(&gw, &[a.address()]);
    wait_held(&consul);
    assert_eq!(
        consul.heads().len(),
        2,
        "one that is answered at once, and one that waits"
    );

    consul.set(8, &[a.address(), b.address()]);
    wait_addresses(&gw, &[a.address(), b.address()]);
    gw.get("/").expect(200);
    let heads = consul.heads();
    assert!(
        heads[0].starts_with("GET /v1/health/service/app?passing=1 HTTP"),
        "{heads:?}"
    );
    assert!(heads[1].contains("passing=1&index=7&wait="), "{heads:?}");
    // Its registry is a new one: numbers begin again.
    wait_held(&consul);
    consul.set(2, &[b.address()]);
    wait_addresses(&gw, &[b.address()]);
    wait_held(&consul);
    consul.set(3, &[a.address()]);
    wait_addresses(&gw, &[a.address()]);
}

#[test]
fn an_agent_that_fails_or_has_lost_all_changes_nothing() {
    let [a, b] = origins();
    let consul = Consul::start();
    let gw = Gateway::start(&app(&by_consul(&consul, "")));
    wait_source(&gw, "waiting");
    gw.get("/").expect(503);
    consul.set(7, &[a.address()]);
    wait_addresses(&gw, &[a.address()]);

    wait_held(&consul);
    consul.set(8, &[]);
    wait_source(&gw, "failing");
    gw.get("/").expect(200);
    consul.set(9, &[a.address()]);
    wait_source(&gw, "ok");
    wait_held(&consul);
    consul.set_status(Some(500));
    wait_source(&gw, "failing");
    assert_eq!(addresses(&gw).len(), 1);
    gw.get("/").expect(200);
    consul.set(10, &[b.address()]);
    consul.set_status(None);
    wait_addresses(&gw, &[b.address()]);
}

#[test]
fn what_is_asked_for_and_who_asks_is_told() {
    let [a] = origins();
    let consul = Consul::start();
    consul.set(7, &[a.address()]);
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "first-secret\n").unwrap();
    let more = format!(
        ", tag = \"v2\", datacenter = \"dc1\", passing_only = false, token_file = {:?}",
        token.display().to_string()
    );
    let gw = Gateway::start(&app(&by_consul(&consul, &more)));
    wait_addresses(&gw, &[a.address()]);
    wait_held(&consul);
    let head = consul.heads()[0].to_ascii_lowercase();
    assert!(
        head.starts_with("get /v1/health/service/app?tag=v2&dc=dc1 http"),
        "{head}"
    );
    assert!(head.contains("\r\nx-consul-token: first-secret\r\n"), "{head}");

    std::fs::write(&token, "second-secret\n").unwrap();
    consul.set(8, &[a.address()]);
    wait_until("the new token is used", || {
        let heads = consul.heads();
        heads.last().is_some_and(|head| head.contains("second-secret"))
    });
    assert!(!gw.status().to_string().contains("secret"));
}
