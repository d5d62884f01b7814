use harness::origin::reply;
use harness::{Gateway, Origin, Request, wait_until};

use super::{Secrets, guarded};

const ANN: &str = "0123456789abcdef";
const BEN: &str = "fedcba9876543210";
/// SHA-256 of [`BEN`].
const BEN_DIGEST: &str = "3465f6e6975baa864ca957f0914ecda9bf7eb601ac31ac20a5dc3d329279a843";

fn by_keys(file: &str, more: &str) -> String {
    format!("keys = {{ file = {file:?}, forward_name = \"X-Customer\"{more} }}")
}

fn with(name: &str, key: &str) -> Request {
    Request::get("/").header(name, key)
}

#[test]
fn a_key_lets_its_owner_in_and_the_origin_is_told_who_it_is() {
    let secrets = Secrets::new();
    let origin = Origin::new().otherwise(reply(200));
    let file = secrets.put("keys", format!("ann:{ANN}\nben:sha256:{BEN_DIGEST}\n"));
    let gw = Gateway::start(&guarded(&origin, &by_keys(&file, ""), ""));
    let spoofed = |request: Request| request.header("X-Customer", "eve").header("x_customer", "eve");
    gw.ask(&spoofed(with("X-Api-Key", ANN))).expect(200);
    gw.ask(&spoofed(with("x-api-key", BEN))).expect(200);
    let told = origin.requests("/").into_iter().map(|seen| {
        let alike = |name: &str| name.to_ascii_lowercase().replace('_', "-") == "x-customer";
        let lines = seen.head.fields.into_iter().filter(|(name, _)| alike(name));
        lines.map(|(_, value)| value).collect::<Vec<_>>()
    });
    assert!(told.eq([vec!["ann".to_owned()], vec!["ben".to_owned()]]));
    let missing = gw.get("/");
    missing
        .expect(401)
        .header("WWW-Authenticate", "ApiKey realm=\"users\"");
    assert!(missing.text().contains("credentials_missing"));
    for refused in [
        with("X-Api-Key", ""),
        with("X-Api-Key", &ANN[1..]),
        with("X-Api-Key", &ANN.to_uppercase()),
        with("X-Api-Key", &format!("{ANN}0")),
        with("X-Api-Key", &format!("{ANN},{ANN}")),
        with("X-Api-Key", &format!("Bearer {ANN}")),
        with("X-Api-Key", "ann"),
        with("X-Api-Key", BEN_DIGEST),
        with("X-Api-Key", &format!("sha256:{BEN_DIGEST}")),
        with("X-Api-Key", ANN).header("X-Api-Key", ANN),
        with("X-Api-Key", ANN).header("x-api-key", BEN),
        with("X_Api_Key", ANN),
        with("Authorization", &format!("Bearer {ANN}")),
        with("Cookie", &format!("X-Api-Key={ANN}")),
        Request::get(&format!("/?x-api-key={ANN}")),
    ] {
        let answer = gw.ask(&refused);
        answer
            .expect(401)
            .header("WWW-Authenticate", "ApiKey realm=\"users\"");
    }
    assert_eq!(origin.total(), 2);
}

#[test]
fn a_key_that_is_taken_out_of_the_file_is_out_of_use() {
    let secrets = Secrets::new();
    let origin = Origin::new().otherwise(reply(200));
    let file = secrets.put("keys", format!("ann:{ANN}\n"));
    let toml = guarded(&origin, &by_keys(&file, ", header = \"Authorization\""), "");
    let gw = Gateway::start(&toml);
    let mut client = gw.connect();
    let mut ask = |key: &str| client.ask(&with("Authorization", key)).status;
    let bearer = format!("bearer {ANN}");
    assert_eq!([ask(ANN), ask(&bearer), ask(BEN)], [200, 200, 401]);
    secrets.put("keys", format!("ben:{BEN}\n"));
    gw.reload(&toml).unwrap();
    assert_eq!([ask(ANN), ask(&bearer), ask(BEN)], [401, 401, 200]);
    secrets.put("keys", format!("ann:{ANN}\n"));
    wait_until("the file is read again by itself", || ask(ANN) == 200);
    assert_eq!(ask(BEN), 401);
}
