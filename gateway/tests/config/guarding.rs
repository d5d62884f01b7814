//! What of guards is inherited, inferred, watched, compared and never printed.

use std::fs;
use std::path::Path;

use gateway::config::plan::{AuthMethod, Guards, Origins, TokenAlgorithm, TokenKeys};
use gateway::config::{self, Changes, Plan};

use crate::{env, folder, load, plan};

const SECRETS: &str = "../tests/config/secrets";

/// A configuration of these sections with one route that these keys are added to.
fn with(sections: &str, route: &str) -> String {
    format!("{sections}\n[[listeners]]\naddress = \":0\"\n[[routes]]\nrespond = {{}}\n{route}")
}

fn warnings(text: String) -> Vec<String> {
    let loaded = config::load_text("a.toml", text, &env).unwrap_or_else(|p| panic!("{p}"));
    loaded.warnings.0.into_iter().map(|w| w.message).collect()
}

fn errors(text: String) -> Vec<String> {
    let problems = config::load_text("a.toml", text, &env).unwrap_err();
    problems.0.into_iter().map(|p| p.message).collect()
}

#[test]
fn a_guard_that_no_route_uses_is_told() {
    let sections = format!(
        "[rate_limits.fast]\nrate = \"1/s\"\n[concurrency_limits.few]\nmax = 1\n[auth.staff]\nbasic = {{ users_file = \"{SECRETS}/users\" }}"
    );
    let told = [
        "no route uses the rate limit \"fast\"",
        "no route uses the concurrency limit \"few\"",
        "no route uses the auth \"staff\"",
    ];
    assert_eq!(warnings(with(&sections, "")), told);
    let used = "rate_limits = [\"fast\"]\nconcurrency_limits = [\"few\"]\nauth = \"staff\"\n";
    assert!(warnings(with(&sections, used)).is_empty());
    let inherited = format!("{sections}\n[defaults]\n{used}");
    assert!(warnings(with(&inherited, "")).is_empty());
}

#[test]
fn each_key_of_a_route_replaces_that_key_of_the_defaults() {
    let plan = plan(&with(
        r#"
[rate_limits.a]
rate = "1/s"
[rate_limits.b]
rate = "1/s"
[concurrency_limits.c]
max = 1
[defaults]
allow = ["10.0.0.0/8"]
deny = ["10.1.0.0/16"]
rate_limits = ["b", "a"]
concurrency_limits = ["c"]
cors = { origins = ["*"], max_age = "1h" }
"#,
        r#"
name = "inherits"
match = { path = "/1" }
[[routes]]
name = "replaces"
match = { path = "/2" }
respond = {}
deny = ["192.0.2.1"]
rate_limits = ["a"]
cors = { origins = ["https://a.example"] }
[[routes]]
name = "refuses"
match = { path = "/3" }
respond = {}
allow = []
deny = []
rate_limits = []
concurrency_limits = []
cors = { origins = [] }
"#,
    ));
    let [inherits, replaces, refuses] = plan.routes.as_slice() else {
        panic!("three routes")
    };
    let ids = |route: usize| {
        let limits = plan.routes[route].guards.rate_limits.iter();
        limits.map(|id| id.0).collect::<Vec<_>>()
    };
    let inside = |text: &str| text.parse().unwrap();
    let (first, second, third) = (&inherits.guards, &replaces.guards, &refuses.guards);
    assert!(first.allow.as_ref().unwrap().contains(inside("10.9.9.9")));
    assert!(first.deny.contains(inside("10.1.0.1")));
    assert_eq!(ids(0), [1, 0], "in the order that is written");
    assert_eq!(first.cors.as_ref().unwrap().origins, Origins::Any);
    assert_eq!(first.cors.as_ref().unwrap().max_age.as_secs(), 3_600);

    assert_eq!(second.allow, first.allow);
    assert!(second.deny.contains(inside("192.0.2.1")) && !second.deny.contains(inside("10.1.0.1")));
    assert_eq!(ids(1), [0]);
    assert_eq!(second.concurrency_limits, first.concurrency_limits);
    let own = second.cors.as_ref().unwrap();
    assert_eq!(own.origins, Origins::Listed(vec!["https://a.example".to_owned()]));
    assert_eq!((own.max_age.as_secs(), own.methods.len()), (600, 3));

    assert_eq!(*third, Guards::default());
}

/// The plan of a jwt that says only this.
fn algorithms(keys: &str) -> Vec<&'static str> {
    let text = with(
        &format!("[auth.a]\njwt = {{ {keys} }}").replace("S/", &format!("{SECRETS}/")),
        "auth = \"a\"",
    );
    let plan = plan(&text);
    let AuthMethod::Jwt(jwt) = &plan.auths[0].method else {
        panic!("a jwt")
    };
    jwt.algorithms
        .iter()
        .map(|a: &TokenAlgorithm| a.jose_name())
        .collect()
}

#[test]
fn algorithms_that_are_not_written_are_those_that_fit_the_keys() {
    let published = ["EdDSA", "ES256", "RS256"];
    assert_eq!(algorithms("jwks_url = \"https://a/\""), published);
    for (keys, expected) in [
        ("secret_file = \"S/hmac.secret\"", &["HS256"][..]),
        ("public_key_file = \"S/rsa.pem\"", &["RS256"]),
        ("public_key_file = \"S/p256.pem\"", &["ES256"]),
        ("public_key_file = \"S/p384.pem\"", &["ES384"]),
        ("public_key_file = \"S/ed25519.pem\"", &["EdDSA"]),
        ("jwks_file = \"S/jwks.json\"", &["ES256", "RS256"]),
        // Its one key is for nothing else.
        ("jwks_file = \"S/pss.json\"", &["PS256"]),
        // There is a secret in it too, and whoever can check by that could sign.
        ("jwks_file = \"S/mixed.json\"", &["EdDSA"]),
    ] {
        assert_eq!(algorithms(keys), expected, "{keys}");
    }
}

#[test]
fn limits_have_the_defaults_that_are_documented() {
    let plan = plan(&with(
        "[rate_limits.a]\nrate = \"100/10s\"\n[concurrency_limits.a]\nmax = 7\n[redis]\nurl = \"redis://a\"",
        "rate_limits = [\"a\"]\nconcurrency_limits = [\"a\"]",
    ));
    let limit = &plan.rate_limits[0];
    assert_eq!(
        (limit.count.get(), limit.period.as_secs(), limit.burst.get()),
        (100, 10, 100)
    );
    assert_eq!(
        (limit.key.to_string(), limit.max_keys),
        ("client_ip".to_owned(), 1_000_000)
    );
    assert!(!limit.shared);
    let limit = &plan.concurrency_limits[0];
    assert_eq!(
        (limit.key.to_string(), limit.max_keys),
        ("global".to_owned(), 100_000)
    );
    assert_eq!((limit.queue, limit.queue_timeout.as_secs()), (0, 2));
    assert_eq!(plan.redis.unwrap().timeout.as_millis(), 10);
}

#[test]
fn the_password_of_redis_is_printed_nowhere() {
    let redis = "[redis]\nurl = \"redis://user:${PASSWORD}@10.0.0.1:6379/2\"";
    let plan = plan(&with(redis, ""));
    let text = config::effective(&plan);
    assert!(
        text.contains("url     = \"redis://user:***@10.0.0.1:6379/2\""),
        "{text}"
    );
    assert!(!text.contains("opensesame"), "{text}");
    assert!(plan.redis.unwrap().url.contains("opensesame"));
    for url in [
        "rediss://:${PASSWORD}@host",
        "redis://:${PASSWORD}@host:0",
        "redis://:${PASSWORD}/@host",
        "http://:${PASSWORD}@host",
        "${PASSWORD}",
    ] {
        let problems = config::load_text("a.toml", with(&format!("[redis]\nurl = \"{url}\""), ""), &env);
        let told = problems.unwrap_err().to_string();
        assert!(
            told.contains("not the address of a Redis") && !told.contains("opensesame"),
            "{told}"
        );
    }
}

#[test]
fn a_password_in_a_url_that_is_asked_is_refused_and_not_repeated() {
    for (key, url) in [
        ("jwt = { jwks_url", "https://a:${PASSWORD}@host/"),
        ("forward = { url", "http://${PASSWORD}@host/"),
        ("forward = { url", "a:${PASSWORD}@host"),
    ] {
        let text = with(&format!("[auth.a]\n{key} = \"{url}\" }}"), "");
        let told = config::load_text("a.toml", text, &env).unwrap_err().to_string();
        assert!(
            told.contains("holds no user and no password") && !told.contains("opensesame"),
            "{told}"
        );
    }
}

#[test]
fn files_of_secrets_are_watched_and_count_in_the_hash_and_what_they_say_is_an_alteration() {
    let (dir, main) = folder(&[("main.toml", b""), ("keys", b"shop:0123456789abcdef\n")]);
    let keys = dir.path().join("keys");
    let auth = |name: &str| format!("[auth.{name}]\nkeys = {{ file = \"{}\" }}\n", keys.display());
    let both = format!("{}{}[defaults]\nauth = \"b\"", auth("a"), auth("b"));
    fs::write(&main, with(&both, "auth = \"a\"")).unwrap();
    let before = load(&main).unwrap();
    assert_eq!(before.files, [main.clone(), keys.clone()]);
    assert_eq!(load(&main).unwrap().hash, before.hash);

    fs::write(&keys, "shop:fedcba9876543210\n").unwrap();
    let after = load(&main).unwrap();
    assert_ne!(after.hash, before.hash);
    let changes = Changes::between(&before.plan, &after.plan);
    assert_eq!(changes.to_string(), "altered auth a\naltered auth b\n");

    fs::remove_file(&keys).unwrap();
    let told = load(&main).unwrap_err();
    assert_eq!(told.0.len(), 2, "{told}");
    assert!(
        told.0[0]
            .message
            .ends_with("cannot be read: No such file or directory")
    );
}

#[test]
fn a_fault_in_a_file_of_secrets_is_told_with_its_own_line() {
    let (dir, _) = folder(&[("users", b"# staff\nanna:secret\n"), ("bytes", b"a\nb\xff\n")]);
    let told = |name: &str| {
        let file = dir.path().join(name);
        let section = format!("[auth.a]\nbasic = {{ users_file = \"{}\" }}", file.display());
        errors(with(&section, "auth = \"a\"")).join("\n")
    };
    assert!(
        told("users").contains("/users\" cannot be used: line 2: "),
        "{}",
        told("users")
    );
    assert!(told("bytes").ends_with("/bytes\" cannot be used: line 2: it is not UTF-8"));
    assert!(!told("users").contains("secret"));
}

#[test]
fn files_without_anybody_in_them_let_nobody_in_and_that_is_told() {
    let (dir, _) = folder(&[("empty", b"# nobody yet\n")]);
    let file = dir.path().join("empty");
    let file = file.display();
    let sections = format!(
        "[auth.a]\nbasic = {{ users_file = \"{file}\" }}\n[auth.b]\nkeys = {{ file = \"{file}\" }}\n[defaults]\nauth = \"b\""
    );
    let told = warnings(with(&sections, "auth = \"a\""));
    let expected = [
        format!("there is no user in \"{file}\": nobody is let in"),
        format!("there is no key in \"{file}\": nobody is let in"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_guard_is_one_thing_and_not_put_together_from_two_files() {
    let include = b"include = [\"more.toml\"]\n[rate_limits.a]\nrate = \"1/s\"\n[auth.a]\n[caches.a]\n";
    let (_dir, main) = folder(&[
        ("main.toml", include),
        (
            "more.toml",
            b"[rate_limits.a]\nburst = 5\n[rate_limits.b]\nrate = \"1/s\"\n[auth.a]\nbasic = {}\n[caches.a]\n",
        ),
    ]);
    let told = load(&main).unwrap_err();
    let twice: Vec<&str> = told
        .0
        .iter()
        .map(|p| p.message.as_str())
        .filter(|m| m.ends_with("is written twice"))
        .collect();
    let expected = ["rate_limits.a", "auth.a", "caches.a"].map(|at| format!("`{at}` is written twice"));
    assert_eq!(twice, expected);
}

/// New names come before the old ones, so ids shift: that alone alters no route.
#[test]
fn changes_of_guards_are_told_by_name() {
    let text = |first: &str, rate: &str, redis: &str, route: &str| {
        with(
            &format!(
                "{redis}[rate_limits.{first}]\nrate = \"1/s\"\n[rate_limits.limit]\nrate = \"{rate}\"\n\
                 [concurrency_limits.{first}]\nmax = 1\n[concurrency_limits.limit]\nmax = 1\n\
                 [auth.{first}]\njwt = {{ jwks_url = \"https://a/\" }}\n[auth.limit]\njwt = {{ jwks_url = \"https://a/\" }}\n"
            ),
            &format!(
                "name = \"same\"\nmatch = {{ path = \"/same\" }}\nauth = \"limit\"\nrate_limits = [\"limit\"]\n\
                 concurrency_limits = [\"limit\"]\n[[routes]]\nname = \"other\"\nrespond = {{}}\n{route}"
            ),
        )
    };
    let old = plan(&text("zero", "1/s", "", "deny = []"));
    let new = plan(&text(
        "alpha",
        "2/s",
        "[redis]\nurl = \"redis://a\"\n",
        "deny = [\"::1\"]",
    ));
    let expected = "\
altered [redis]
added rate limit alpha
removed rate limit zero
altered rate limit limit
added concurrency limit alpha
removed concurrency limit zero
added auth alpha
removed auth zero
altered route other
";
    assert_eq!(Changes::between(&old, &new).to_string(), expected);
}

/// The key that a file of keys is printed under.
fn printed(plan: &Plan) -> String {
    let text = config::effective(plan);
    let line = text.lines().find(|line| line.contains(SECRETS)).unwrap();
    line.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn a_file_of_keys_is_printed_under_the_key_it_was_written_with() {
    for (key, file) in [
        ("secret_file", "hmac.secret"),
        ("public_key_file", "rsa.pem"),
        ("jwks_file", "jwks.json"),
        ("jwks_file", "pss.json"),
    ] {
        let section = format!("[auth.a]\njwt = {{ {key} = \"{SECRETS}/{file}\" }}");
        let plan = plan(&with(&section, "auth = \"a\""));
        assert_eq!(printed(&plan), key);
        let AuthMethod::Jwt(jwt) = &plan.auths[0].method else {
            panic!("a jwt")
        };
        let TokenKeys::Given { file: named, .. } = &jwt.keys else {
            panic!("of a file")
        };
        assert_eq!(named, &Path::new(SECRETS).join(file));
    }
}
