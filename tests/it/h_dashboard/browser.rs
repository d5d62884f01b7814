use harness::origin::reply;
use harness::{Browser, Gateway, Origin, wait_until};

use super::with_token;

/// Two servers, a cache, and one route with it.
fn site(a: &Origin, b: &Origin) -> String {
    format!(
        r#"
        [caches.edge]
        memory = "16MiB"

        [upstreams.app]
        load_balancing = "round_robin"
        servers = [{{ address = "{}" }}, {{ address = "{}" }}]

        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        upstream = "app"
        cache = {{ store = "edge" }}
        "#,
        a.address(),
        b.address()
    )
}

/// The first element with this attribute in the row of a server.
fn in_row(address: &str, what: &str) -> String {
    format!("[aria-label$='{address}']{what}")
}

fn origin() -> Origin {
    let kept = reply(200).header("Cache-Control", "max-age=3600").body("kept");
    Origin::new()
        .on("/kept", kept)
        .otherwise(reply(200).header("Cache-Control", "no-store").body("hello"))
}

#[test]
fn an_operator_sees_the_traffic_drains_a_server_purges_and_turns_the_light_off() {
    let (a, b) = (origin(), origin());
    let gw = Gateway::start(&site(&a, &b));
    (0..4).for_each(|_| _ = gw.get("/").expect(200));
    (0..2).for_each(|_| _ = gw.get("/kept").expect(200));

    let browser = Browser::start();
    browser.open(&format!("http://{}/", gw.admin()));
    browser.wait_text("#link", "that it is live", |t| t.contains("Live"));
    browser.wait_text("#routes", "how many there were", |t| {
        t.contains("all") && t.contains('6')
    });
    browser.wait_text("#caches", "that half of them were hits", |t| t.contains("50.0 %"));
    browser.wait_text("#listeners", "the address", |t| {
        t.contains(&gw.address().to_string())
    });

    // Drained by a click, seen in the page, and true.
    let server = b.address().to_string();
    browser.click(&in_row(&server, "[data-order=drain]"));
    browser.wait_text("#upstreams", "that it drains", |t| t.contains("draining"));
    assert_eq!(gw.server("app", b.address())["state"], "drain");
    browser.click(&in_row(&server, "[data-order=up]"));
    browser.wait_text("#upstreams", "that it is back", |t| t.contains("2 of 2 up"));

    browser.type_into("#purge-target", "http://a.test/kept");
    browser.click("#purge button");
    let purged = browser.wait_text("#purged", "what was reached", |t| !t.is_empty());
    assert_eq!(purged, "1 stored answer purged (edge: 1).");
    wait_until("it is asked for again", || {
        gw.get("/kept").expect(200);
        a.seen("/kept") + b.seen("/kept") == 2
    });

    let ground = || browser.run("return getComputedStyle(document.body).backgroundColor", &[]);
    let before = ground();
    browser.click("#theme");
    assert_ne!(ground(), before, "the page has other colours");
    browser.open(&format!("http://{}/", gw.admin()));
    browser.wait_text("#link", "that it is live", |t| t.contains("Live"));
    assert_ne!(ground(), before, "the choice is kept");
    browser.expect_no_complaint();

    // What stands in a configuration is shown as text, whatever it says.
    let evil = "<img src=x onerror=document.title=1>";
    let text = site(&a, &b).replace("name = \"all\"", &format!("name = \"{evil}\""));
    assert!(gw.reload(&text).is_err());
    browser.wait_text("#problems", "what is wrong", |t| t.contains(evil));
    let images = browser.run("return document.querySelectorAll('main img').length", &[]);
    assert_eq!(images, 0);
    assert_eq!(browser.run("return document.title", &[]), "Sluice");
    browser.expect_no_complaint();
}

#[test]
fn the_page_asks_for_the_token_once_and_keeps_it_out_of_the_address() {
    let (gw, _folder) = with_token();
    let page = format!("http://{}/", gw.admin());
    let browser = Browser::start();
    browser.open(&page);
    browser.wait_text("#ask-token", "that it wants a token", |t| t.contains("token"));
    assert_eq!(browser.text("main"), None, "nothing is shown before");
    browser.expect_no_complaint();

    browser.type_into("#token", "another-random-word");
    browser.click("#ask-token button");
    browser.wait_text("#token-wrong", "that it is wrong", |t| !t.is_empty());
    let complaints = browser.complaints();
    assert!(complaints.iter().all(|c| c.contains("401")), "{complaints:?}");

    browser.type_into("#token", "a-long-random-word");
    browser.click("#ask-token button");
    browser.wait_text("#link", "that it is live", |t| t.contains("Live"));
    assert_eq!(browser.run("return location.href", &[]), page.as_str());
    browser.open(&page);
    browser.wait_text("#link", "that it is live again", |t| t.contains("Live"));
    browser.expect_no_complaint();
}
