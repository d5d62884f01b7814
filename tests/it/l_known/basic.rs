use harness::origin::reply;
use harness::{Connection, Gateway, Origin, Request, wait_until};

use super::tokens::mint::{base64, basic};
use super::{Secrets, guarded};

/// "open sesame", at a cost that is next to nothing.
const BCRYPT: &str = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.vTdnMkpWk2uFGdD13bbQkt9V3Bbgxl.";
/// "other", likewise.
const BCRYPT_OTHER: &str = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.4trLMihVaLGP9SX44qqS9WM4F0dLviS";
/// "open sesame", at a cost that takes a core for a while.
const BCRYPT_SLOW: &str = "$2b$09$CCCCCCCCCCCCCCCCCCCCC.LOcC1QT7/yVgiBIKRYvQTSat.OodtWe";
const CHALLENGE: &str = "Basic realm=\"Staff only\", charset=\"UTF-8\"";

fn by_users(file: &str) -> String {
    format!("basic = {{ users_file = {file:?}, realm = \"Staff only\", forward_user = \"X-User\" }}")
}

fn login(name: &str, password: &str) -> Request {
    Request::get("/").header("Authorization", &basic(name, password))
}

#[test]
fn users_of_each_kind_are_let_in_by_their_password_and_the_origin_is_told_who() {
    let secrets = Secrets::new();
    let origin = Origin::new().otherwise(reply(200));
    let file = secrets.put(
        "users",
        format!("ann:{BCRYPT}\nben:$apr1$lZL6Vabc$BE0b8t4khAXNSDJvIQ2Ic.\ncat:{{SHA}}KvPXpIScDQubdcQXyPXUdUCmoqA=\n"),
    );
    let gw = Gateway::start(&guarded(&origin, &by_users(&file), ""));
    let users = [("ann", "open sesame"), ("ben", "apr pass"), ("cat", "sha pass")];
    // Once by a hash, then from memory; and what is wrong stays wrong while the right one is remembered.
    for round in 1..=3 {
        for (name, password) in users {
            gw.ask(
                &login(name, password)
                    .header("X-User", "eve")
                    .header("X_User", "eve"),
            )
            .expect(200);
            for (name, password) in [
                (name, ""),
                (name, "wrong"),
                (name, &password[1..]),
                (name, &format!("{password} ")),
                (&name.to_uppercase(), password),
                ("dan", password),
            ] {
                gw.ask(&login(name, password))
                    .expect(401)
                    .header("WWW-Authenticate", CHALLENGE);
            }
        }
        assert_eq!(origin.total(), round * users.len());
    }
    let told = origin.requests("/");
    let told = told.iter().map(|seen| {
        let alike = |name: &str| name.to_ascii_lowercase().replace('_', "-") == "x-user";
        let lines = seen.head.fields.iter().filter(|(name, _)| alike(name));
        lines.map(|(_, value)| value.as_str()).collect::<Vec<_>>()
    });
    let expected = users.map(|(name, _)| vec![name]);
    assert!(told.eq(expected.iter().cycle().take(9).cloned()));
}

#[test]
fn what_is_no_name_and_password_is_answered_with_the_challenge() {
    let secrets = Secrets::new();
    let origin = Origin::new();
    let file = secrets.put("users", format!("ann:{BCRYPT}\n"));
    let gw = Gateway::start(&guarded(&origin, &by_users(&file), ""));
    let good = basic("ann", "open sesame");
    let encoded = good.strip_prefix("Basic ").unwrap();
    let raw = |bytes: &[u8]| format!("Basic {}", base64(bytes));
    for value in [
        "",
        "Basic",
        "Basic ",
        encoded,
        &format!("Basic {encoded} x"),
        &format!("Basic {encoded}, Basic {encoded}"),
        &format!("Basic\u{b}{encoded}"),
        &format!("Basic:{encoded}"),
        &format!("Bearer {encoded}"),
        &format!("Digest {encoded}"),
        &format!("{good}="),
        &good.to_lowercase(),
        &raw(b"ann"),
        &raw(b":open sesame"),
        &raw(b"ann:open sesame\n"),
        &raw(b"ann:open sesame\0"),
        &raw(b"ann\0:open sesame"),
        &raw(b"\xffnn:open sesame"),
        &raw(b"ann :open sesame"),
        &raw(&[b'a'; 3_000]),
        &raw(&[&b"ann:"[..], &[b'a'; 5_000]].concat()),
    ] {
        let answer = gw.ask(&Request::get("/").header("Authorization", value));
        assert!(matches!(answer.status, 400 | 401), "{value:?}: {answer}");
        if answer.status == 401 {
            answer.header("WWW-Authenticate", CHALLENGE);
        }
    }
    let twice = Request::get("/")
        .header("Authorization", &good)
        .header("authorization", &good);
    gw.ask(&twice).expect(401);
    assert_eq!(origin.total(), 0);
}

#[test]
fn a_password_that_was_changed_is_out_of_use_with_the_reload_though_it_was_remembered() {
    let secrets = Secrets::new();
    let origin = Origin::new().otherwise(reply(200));
    let file = secrets.put("users", format!("ann:{BCRYPT}\nben:{BCRYPT}\n"));
    let toml = guarded(&origin, &by_users(&file), "");
    let gw = Gateway::start(&toml);
    let mut client = gw.connect();
    for _ in 0..2 {
        client.ask(&login("ann", "open sesame")).expect(200);
        client.ask(&login("ben", "open sesame")).expect(200);
        client.ask(&login("ann", "other")).expect(401);
    }
    secrets.put("users", format!("ann:{BCRYPT_OTHER}\n"));
    gw.reload(&toml).unwrap();
    client.ask(&login("ann", "open sesame")).expect(401);
    client.ask(&login("ben", "open sesame")).expect(401);
    client.ask(&login("ann", "other")).expect(200);
    // Back again: what was remembered before is of that file, and holds.
    secrets.put("users", format!("ann:{BCRYPT}\nben:{BCRYPT}\n"));
    wait_until("the file is read again by itself", || {
        client.ask(&login("ben", "open sesame")).status == 200
    });
    client.ask(&login("ann", "other")).expect(401);
}

#[test]
fn a_page_full_of_requests_by_one_user_is_one_check() {
    let secrets = Secrets::new();
    let origin = Origin::new().otherwise(reply(200));
    let file = secrets.put("users", format!("ann:{BCRYPT_SLOW}\n"));
    let gw = Gateway::start(&guarded(&origin, &by_users(&file), ""));
    // More than may be hashed and wait for it: by themselves some would be sent away.
    let all: Vec<_> = (0..100)
        .map(|_| gw.ask_apart(&login("ann", "open sesame")))
        .collect();
    for client in all {
        client.response().expect(200);
    }
    assert_eq!(origin.total(), 100);
}

#[test]
fn a_flood_of_wrong_passwords_is_sent_away_and_stalls_nobody_else() {
    let secrets = Secrets::new();
    let origin = Origin::new().otherwise(reply(200));
    let users = format!("ann:{BCRYPT}\nslow:{BCRYPT_SLOW}\n").replace("$2b$09$", "$2b$11$");
    let file = secrets.put("users", users);
    let toml = guarded(&origin, &by_users(&file), "")
        + "[[routes]]\nmatch = { path_prefix = \"/open\" }\nupstream = \"origin\"\n";
    let gw = Gateway::start(&toml);
    gw.ask(&login("ann", "open sesame")).expect(200);
    let mut flood: Vec<Connection> = Vec::new();
    for n in 0..300 {
        let mut client = gw.connect();
        client.send(login("slow", &n.to_string()).bytes());
        flood.push(client);
    }
    let refused = |reason: &str| gw.metrics().sum("sluice_refusals_total", &[("reason", reason)]);
    wait_until("some are sent away", || refused("auth_unavailable") >= 100.0);
    // The workers go on meanwhile, and who is known need not wait in that line.
    for _ in 0..10 {
        gw.get("/open").expect(200);
        gw.ask(&login("ann", "open sesame")).expect(200);
    }
    assert!(
        gw.metrics().sum("sluice_requests_in_flight", &[]) > 1.0,
        "the flood is over"
    );
    // Those who leave give up their places in the line.
    flood.into_iter().for_each(Connection::reset);
    wait_until("there is room again", || {
        gw.ask(&login("ann", "wrong")).status == 401
    });
    assert_eq!((origin.seen("/"), origin.seen("/open")), (11, 10));
}
