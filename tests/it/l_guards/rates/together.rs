//! Limits of several kinds on one route: counted here, counted in Redis, counted by who it is.

use harness::origin::reply;
use harness::{Gateway, NoRedis, Origin, RedisServer, Request, wait_until};

use super::super::{get_with, guarded, limited, refused};
use super::{admitted, served, times};

/// Signed with SECRET by HS256 for "ann" and "ben", good until 2100.
const TOKENS: [&str; 2] = [
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiAiYW5uIiwgImV4cCI6IDQxMDI0NDQ4MDB9.FbcO1pSIxzi6_SJ6jN8BlT75-X5e88vsNL8i-8yynZg",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiAiYmVuIiwgImV4cCI6IDQxMDI0NDQ4MDB9.ysYTv4lJa0xZW_f8MPqGZh80xV6r6aB4DTzXvKiKtDU",
];
const SECRET: &str = "a-secret-for-plays-of-limits-by-claim-32+";

/// `limit` is counted in that Redis, with these lines besides.
fn shared(origin: &Origin, url: &str, lines: &str) -> String {
    let sections = format!(
        "[redis]\nurl = \"{url}\"\ntimeout = \"1s\"\n[rate_limits.limit]\nrate = \"1/h\"\nburst = 4\nshared = true\n{lines}\n\
         [rate_limits.own]\nrate = \"1/h\"\nburst = 2\nkey = \"header:X-Api-Key\""
    );
    guarded(origin, &sections, "rate_limits = [\"limit\", \"own\"]")
}

/// Waits until Redis answers: a gateway does not wait for it when it starts.
#[track_caller]
fn wait_counted(gw: &Gateway, redis: &RedisServer) {
    wait_until("it counts in redis", || {
        gw.ask(&get_with("/", "X-Api-Key", "nobody"));
        redis.ask(&["DBSIZE"]).number() > 0
    });
    redis.flush();
}

#[test]
fn what_one_gateway_admits_is_spent_for_all_and_who_is_refused_by_either_limit_is_charged_by_none() {
    let (origin, redis) = (served(), RedisServer::start());
    // The clock stands still here and not in Redis, where an hour is long enough.
    let text = shared(&origin, &redis.url(), "");
    let [one, two] = [(); 2].map(|()| Gateway::start_with_manual_clock(&text));
    for gw in [&one, &two] {
        wait_counted(gw, &redis);
    }
    let before = origin.total();
    let ask = |gw: &Gateway, key: &str| gw.ask(&get_with("/", "X-Api-Key", key));
    ask(&one, "a").expect(200);
    ask(&one, "a").expect(200);
    for _ in 0..5 {
        // Refused by its own limit: that costs nobody a request of the shared one.
        limited(&ask(&one, "a"), "own");
    }
    ask(&two, "a").expect(200);
    ask(&two, "b").expect(200);
    for gw in [&one, &two] {
        for _ in 0..5 {
            // Refused by the shared one: that costs c nothing of its own.
            limited_by_shared(gw, "c");
        }
    }
    assert_eq!(origin.total() - before, 4);
    redis.flush();
    ask(&one, "c").expect(200);
    ask(&one, "c").expect(200);
    limited(&ask(&one, "c"), "own");
}

/// Fails unless the shared limit refuses it, whatever else it says of the other one.
#[track_caller]
fn limited_by_shared(gw: &Gateway, key: &str) {
    let response = gw.ask(&get_with("/", "X-Api-Key", key));
    let problem = refused(&response, 429, "rate_limited");
    assert_eq!(
        problem["violated-policies"],
        serde_json::json!(["limit"]),
        "{response}"
    );
    let standings: Vec<_> = response.head.all("ratelimit").collect();
    assert!(
        standings.iter().any(|s| s.starts_with("\"limit\";r=0;t=")),
        "{response}"
    );
}

#[test]
fn without_redis_each_counts_for_itself_or_nobody_comes_in_or_everybody() {
    let origin = served();
    let gone = NoRedis::unreachable();
    let gateway = |lines: &str| {
        let text = shared(&origin, &gone.url(), lines).replace("[\"limit\", \"own\"]", "[\"limit\"]");
        Gateway::start_with_manual_clock(&text)
    };
    let gets = || times(9, Request::get("/"));
    assert_eq!(admitted(&gateway(""), gets()), 4);
    assert_eq!(admitted(&gateway("on_redis_error = \"local\""), gets()), 4);
    assert_eq!(admitted(&gateway("on_redis_error = \"open\""), gets()), 9);
    let before = origin.total();
    let closed = gateway("on_redis_error = \"closed\"");
    for _ in 0..3 {
        let response = closed.get("/");
        refused(&response, 503, "limit_unavailable");
        response.header("retry-after", "1");
    }
    assert_eq!(origin.total(), before);
}

#[test]
fn a_limit_by_claim_counts_each_by_who_it_is_and_refused_it_gives_back_what_the_others_have_charged() {
    let origin = Origin::new().otherwise(reply(200));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, SECRET).unwrap();
    let sections = format!(
        "[auth.users]\njwt = {{ secret_file = {:?} }}\n[rate_limits.all]\nrate = \"1/h\"\nburst = 4\nkey = \"global\"\n\
         [rate_limits.each]\nrate = \"1/h\"\nburst = 2\nkey = \"jwt:sub\"",
        file.display().to_string()
    );
    let lines = "auth = \"users\"\nrate_limits = [\"each\", \"all\"]";
    let gw = Gateway::start_with_manual_clock(&guarded(&origin, &sections, lines));
    let ask = |who: usize| {
        gw.ask(&get_with(
            "/",
            "Authorization",
            &format!("Bearer {}", TOKENS[who]),
        ))
    };
    ask(0).expect(200);
    ask(0).expect(200);
    for _ in 0..9 {
        let response = ask(0);
        let problem = refused(&response, 429, "rate_limited");
        assert_eq!(
            problem["violated-policies"],
            serde_json::json!(["each"]),
            "{response}"
        );
    }
    ask(1).expect(200);
    ask(1).expect(200);
    // All four are spent, so the one who is not known is not even asked who he is.
    limited(&ask(1), "all");
    limited(&gw.get("/"), "all");
    assert_eq!(origin.total(), 4);
}
