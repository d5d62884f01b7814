use harness::{Gateway, Request};

use super::super::Secrets;
use super::super::tokens::mint::{self, LATE, PEM, SECRET, base64url, bearer, by, unsigned};
use super::{fortress, good, tell};

const HS256: &str = r#"{"alg":"HS256"}"#;

/// The name and the text of a token that is not good for "/admin".
type Forged = (String, String);

fn payload() -> String {
    format!(r#"{{"sub":"ann","exp":{LATE}}}"#)
}

fn by_other_headers() -> Vec<Forged> {
    let payload = payload();
    let mut all = Vec::new();
    let mut add = |name: &str, token: String| all.push((name.to_owned(), token));
    for alg in [
        "none", "None", "NONE", "nOnE", "", "HS256 ", "hs256", "HS1", "null",
    ] {
        let header = format!(r#"{{"alg":"{alg}"}}"#);
        add(
            &format!("alg {alg:?}, no signature"),
            format!("{}.", unsigned(&header, &payload)),
        );
        add(&format!("alg {alg:?}, signature"), by(SECRET, &header, &payload));
        add(&format!("alg {alg:?}, two parts"), unsigned(&header, &payload));
    }
    for header in [
        r#"{"alg":"HS384"}"#,
        r#"{"alg":"RS256"}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":null}"#,
        r#"{"typ":"JWT"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#,
        r#"{"alg":"HS256","b64":false}"#,
        r#"{"alg":"HS256","kid":7}"#,
        r#"{"alg":"HS256""#,
        r#"["HS256"]"#,
        "",
    ] {
        add(header, by(SECRET, header, &payload));
    }
    // By keys that whoever asks has made up, and points to.
    for header in [
        r#"{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}"#,
        r#"{"alg":"HS256","jku":"http://127.0.0.1:1/keys"}"#,
        r#"{"alg":"HS256","kid":"../../../../dev/null"}"#,
        r#"{"alg":"HS256","kid":"x' UNION SELECT 'AAAA"}"#,
        r#"{"alg":"HS256","x5u":"http://127.0.0.1:1/x"}"#,
    ] {
        add(header, by("", header, &payload));
        add(header, by([0, 0, 0], header, &payload));
    }
    all
}

fn by_other_keys_and_claims() -> Vec<Forged> {
    let payload = payload();
    let mut all = Vec::new();
    let mut add = |name: &str, token: String| all.push((name.to_owned(), token));
    add(
        "another secret",
        by("another secret of thirty-two bytes", HS256, &payload),
    );
    add(
        "the secret with a line break",
        by(format!("{SECRET}\n"), HS256, &payload),
    );
    add("the public key as a secret", by(PEM, HS256, &payload));
    add("by a key of another route", mint::BY_PEM.to_owned());
    for claims in [
        r#"{"sub":"ann"}"#,
        r#"{"sub":"ann","exp":1}"#,
        r#"{"sub":"ann","exp":-1}"#,
        r#"{"sub":"ann","exp":0}"#,
        r#"{"sub":"ann","exp":null}"#,
        r#"{"sub":"ann","exp":"4102444800"}"#,
        r#"{"sub":"ann","exp":[4102444800]}"#,
        r#"{"sub":"ann","exp":4102444800,"exp":1}"#,
        r#"{"sub":"ann","exp":1,"exp":4102444800}"#,
        r#"{"sub":"ann","exp":4102444800,"nbf":4102444799}"#,
        r#"{"sub":"ann","exp":4102444800,"nbf":"0"}"#,
        r#"{"sub":"ann","exp":4102444800,"iat":4102444000}"#,
        r#"[{"sub":"ann","exp":4102444800}]"#,
        r#"{"sub":"ann","exp":4102444800}{}"#,
        r#"{"sub":"ann","exp":NaN}"#,
        "",
    ] {
        add(claims, by(SECRET, HS256, claims));
    }
    all
}

fn by_other_spellings() -> Vec<Forged> {
    let payload = payload();
    let good = good();
    let (signed, signature) = good.rsplit_once('.').expect("a token has three parts");
    let mut all = Vec::new();
    let mut add = |name: &str, token: String| all.push((name.to_owned(), token));
    add(
        "another payload",
        format!("{}.{signature}", unsigned(HS256, &payload.replace("ann", "root"))),
    );
    add("no signature", format!("{signed}."));
    add("half a signature", format!("{signed}.{}", &signature[..20]));
    add("a longer signature", format!("{good}AA"));
    add("padding", format!("{good}="));
    add("bits behind the last byte", other_last_letter(&good));
    add("one dot more", format!("{good}."));
    add("two dots more", format!("{good}.."));
    add("a dot before", format!(".{good}"));
    add(
        "the other alphabet",
        format!("{signed}.{}", signature.replace('_', "/").replace('-', "+") + "+"),
    );
    add("twice", format!("{good} {good}"));
    add("with a comma", format!("{good},{good}"));
    add("in quotes", format!("\"{good}\""));
    add(
        "as JSON",
        format!(
            r#"{{"payload":"{}","signature":"{signature}"}}"#,
            base64url(payload.as_bytes())
        ),
    );
    add("percent-encoded", good.replace('.', "%2E"));
    add("upper case", good.to_uppercase());
    add("too long", format!("{signed}.{}", "A".repeat(20_000)));
    all
}

/// The same signature, if bits that belong to no byte do not count.
fn other_last_letter(token: &str) -> String {
    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (start, last) = token.split_at(token.len() - 1);
    let at = LETTERS.find(last).expect("a token ends in base64url");
    format!("{start}{}", &LETTERS[at ^ 1..][..1])
}

#[test]
fn no_forged_token_passes() {
    let secrets = Secrets::new();
    let (toml, origin) = fortress(&secrets, "");
    let gw = Gateway::start(&toml);
    for (name, token) in [
        by_other_headers(),
        by_other_keys_and_claims(),
        by_other_spellings(),
    ]
    .concat()
    {
        let answer = gw.ask(&Request::get("/admin").header("Authorization", &bearer(&token)));
        assert!(matches!(answer.status, 400 | 401 | 431), "{name}: {answer}");
        assert_eq!(origin.total(), 0, "{name}: {token}");
    }
    // And it is not that nothing passes.
    gw.ask(&Request::get("/admin").header("Authorization", &bearer(&good())))
        .expect(200);
    gw.ask(&Request::get("/rsa").header("Authorization", &bearer(mint::BY_PEM)))
        .expect(200);
}

#[test]
fn a_public_key_is_no_secret() {
    let secrets = Secrets::new();
    let (toml, origin) = fortress(&secrets, "");
    let gw = Gateway::start(&toml);
    let payload = format!(r#"{{"sub":"rob","exp":{LATE}}}"#);
    let inner: String = PEM.lines().filter(|line| !line.starts_with('-')).collect();
    let spellings = [
        PEM.to_owned(),
        PEM.trim_end().to_owned(),
        PEM.replace('\n', "\r\n"),
        inner.clone(),
        inner + "\n",
    ];
    for key in &spellings {
        for header in [
            HS256,
            r#"{"alg":"HS384"}"#,
            r#"{"alg":"RS256"}"#,
            r#"{"alg":"PS256"}"#,
        ] {
            let token = by(key, header, &payload);
            gw.ask(&Request::get("/rsa").header("Authorization", &bearer(&token)))
                .expect(401);
        }
    }
    for token in [
        &good(),
        mint::BY_ANOTHER_RSA,
        &mint::BY_PEM[..mint::BY_PEM.len() - 4],
    ] {
        gw.ask(&Request::get("/rsa").header("Authorization", &bearer(token)))
            .expect(401);
    }
    assert_eq!(origin.total(), 0);
}

#[test]
fn a_good_token_in_a_wrong_place_is_none() {
    let secrets = Secrets::new();
    let (toml, origin) = fortress(&secrets, "");
    let gw = Gateway::start(&toml);
    let token = good();
    let head = |lines: &str| format!("GET /admin HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n\r\n");
    let attacks = [
        head(&format!(
            "Authorization: Bearer {token}\r\nAuthorization: Bearer {token}"
        )),
        head(&format!(
            "Authorization: Bearer {token}\r\nAUTHORIZATION: Bearer x"
        )),
        head(&format!(
            "Authorization: Bearer x\r\nauthorization: Bearer {token}"
        )),
        head(&format!(
            "Authorization: Basic eDp4\r\nAuthorization: Bearer {token}"
        )),
        head(&format!("Authorization:\r\nAuthorization: Bearer {token}")),
        head(&format!("Authorization : Bearer {token}")),
        head(&format!(" Authorization: Bearer {token}")),
        head(&format!("\tAuthorization: Bearer {token}")),
        head(&format!("Authorization: Bearer\r\n {token}")),
        head(&format!("X: y\r\n Authorization: Bearer {token}")),
        head(&format!("X: y\rAuthorization: Bearer {token}")),
        head(&format!("X: y\0\r\nAuthorization: Bearer {token}")),
        head(&format!("Authorization: Bearer\t{token}")),
        head(&format!("Authorization: Bearer{token}")),
        head(&format!("Authorization: {token}")),
        head(&format!("Authorization: Token {token}")),
        head(&format!("Authorization: Bearer {token}\u{b}")),
        head(&format!("Authorization: Bearer {token}\0")),
        head(&format!("Authorization: Bearer {token} x")),
        head(&format!("Authorization_: Bearer {token}")),
        head(&format!("X-Authorization: Bearer {token}")),
        head(&format!("Proxy-Authorization: Bearer {token}")),
        head(&format!("HTTP_AUTHORIZATION: Bearer {token}")),
        head(&format!(
            "Cookie: Authorization=Bearer {token}; token={token}; access_token={token}"
        )),
        head(&format!("Sec-WebSocket-Protocol: bearer, {token}")),
        format!(
            "GET /admin?access_token={token}&Authorization=Bearer%20{token} HTTP/1.1\r\nHost: a.test\r\n\r\n"
        ),
        format!("GET http://ann:{token}@a.test/admin HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        format!(
            "POST /admin HTTP/1.1\r\nHost: a.test\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\naccess_token={token}",
            token.len() + 13
        ),
        format!(
            "POST /admin HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n0\r\nAuthorization: Bearer {token}\r\n\r\n"
        ),
    ];
    for attack in attacks {
        let said = tell(&gw, &attack);
        let is_refused = said.starts_with("HTTP/1.1 400 ") || said.starts_with("HTTP/1.1 401 ");
        assert!(
            is_refused && !said.contains("\r\nHTTP/1.1 2"),
            "{attack}\n---\n{said}"
        );
        assert_eq!(origin.total(), 0, "{attack}");
    }
}
