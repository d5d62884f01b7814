/// Targets that lead past a route, for those who read them otherwise.
mod paths;
/// Requests within requests.
mod smuggling;
/// Tokens that nobody has made who may make them, and good ones where they do not belong.
mod tokens;

use harness::origin::reply;
use harness::{Gateway, Origin};

use super::Secrets;
use super::tokens::mint;

/// What a token of a user who may come in says.
fn good() -> String {
    mint::says(r#""sub":"ann""#)
}

/// An origin for all; "/admin" is for those with a token by [`mint::SECRET`], "/rsa" for those with one by
/// [`mint::PEM`], and the rest is open. The configuration, and the origin.
fn fortress(secrets: &Secrets, more: &str) -> (String, Origin) {
    let origin = Origin::new().otherwise(reply(200).body("served"));
    let (secret, pem) = (secrets.put("secret", mint::SECRET), secrets.put("pem", mint::PEM));
    let toml = format!(
        r#"
        [auth.users]
        jwt = {{ secret_file = {secret:?}, forward_claims = {{ sub = "X-User-Id" }} }}

        [auth.rsa]
        jwt = {{ public_key_file = {pem:?} }}

        [upstreams.origin]
        servers = [{{ address = "{}" }}]

        [[routes]]
        name = "admin"
        match = {{ path_prefix = "/admin" }}
        upstream = "origin"
        auth = "users"

        [[routes]]
        name = "rsa"
        match = {{ path_prefix = "/rsa" }}
        upstream = "origin"
        auth = "rsa"

        [[routes]]
        name = "open"
        match = {{ path_prefix = "/" }}
        upstream = "origin"
        {more}
        "#,
        origin.address()
    );
    (toml, origin)
}

/// Fails if the origin has seen anything but requests for "/open": those are for everybody.
#[track_caller]
fn expect_only_open(origin: &Origin, attack: &str) {
    assert_eq!(origin.total(), origin.seen("/open"), "{attack} has passed");
}

/// Everything the gateway says to these bytes, on a connection that says nothing after them.
fn tell(gw: &Gateway, bytes: impl AsRef<[u8]>) -> String {
    let mut client = gw.connect();
    // It may have had enough before all is sent.
    let _refused = client.try_send(bytes);
    client.finish_quietly();
    let said = client.rest().expect("the gateway ends the connection");
    String::from_utf8_lossy(&said).into_owned()
}
