use harness::origin::reply;
use harness::{Gateway, Origin, Request};

use crate::all_to;

#[test]
fn a_quote_in_a_forwarding_chain_does_not_hide_who_was_behind_it() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&format!(
        "[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\n{}",
        all_to(&origin)
    ));

    // The client has written the quote, the proxy we trust has appended the client's address.
    gw.ask(&Request::get("/").header("X-Forwarded-For", "\"6.6.6.6, 7.7.7.7"))
        .expect(200);
    assert_eq!(origin.only("/").value("x-real-ip"), Some("7.7.7.7"));
}

#[test]
fn what_only_a_gateway_may_say_is_not_said_by_another_spelling() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&format!(
        "[defaults]\nrequest_headers = {{ set = {{ X-User-Id = \"nobody\" }}, remove = [\"X-Debug\"] }}\n{}",
        all_to(&origin)
    ));

    let names = [
        "X-User_Id",
        "X_USER_ID",
        "X.User.Id",
        "X_Debug",
        "X_Forwarded-For",
        "X.Real.IP",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X_Forwarded_Ssl",
        "Transfer_Encoding",
        "Content_Length",
        "Proxy",
        "HTTP2_Settings",
    ];
    let request = names
        .iter()
        .fold(Request::get("/"), |r, name| r.header(name, "forged"))
        .header("X-User-Identity", "mine");
    gw.ask(&request).expect(200);

    let seen = origin.only("/");
    assert!(
        seen.head.fields.iter().all(|(_, value)| value != "forged"),
        "{}",
        seen.head
    );
    assert_eq!(seen.value("x-user-id"), Some("nobody"));
    assert_eq!(seen.value("x-user-identity"), Some("mine"));
}

#[test]
fn more_connection_options_than_anybody_needs_are_refused() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&all_to(&origin));

    let with = |n: usize| Request::get("/").header("Connection", &vec!["x"; n].join(","));
    let mut client = gw.connect();
    client.ask(&with(64)).expect(200);
    client.ask(&with(65)).expect(431);
    client.expect_closed();
    assert_eq!(origin.total(), 1);
}
