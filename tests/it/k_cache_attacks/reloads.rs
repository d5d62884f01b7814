use harness::origin::reply;
use harness::{Gate, Gateway, Origin, Request};

use super::cached;
use crate::all_to;

#[test]
fn a_change_that_began_before_a_cache_was_there_is_told_to_it() {
    let gate = Gate::new();
    let keep = |body: &str| reply(200).header("Cache-Control", "max-age=600").body(body);
    let origin = Origin::new()
        .on("/", reply(200).after(&gate))
        .then("/", keep("before"))
        .then("/", keep("after"));
    let gw = Gateway::start(&all_to(&origin));
    let change = gw.ask_apart(&Request::post("/", "changed"));
    origin.wait_seen("/", 1);
    gw.reload(&cached(&origin, "", "")).expect("it is good");
    gw.get("/").body("before");
    gate.open();
    change.response().expect(200);
    gw.get("/").body("after");
}

#[test]
fn a_purge_reaches_a_cache_that_is_not_in_use_and_comes_back() {
    let gate = Gate::new();
    let keep = |body: &str| reply(200).header("Cache-Control", "max-age=600").body(body);
    let origin = Origin::new()
        .on("/", keep("before"))
        .then("/", keep("after"))
        .on("/long", reply(200).after(&gate));
    let with = cached(&origin, "", "");
    let gw = Gateway::start(&with);
    gw.get("/").body("before");
    // Holds the configuration that it began with.
    let long = gw.ask_apart(&Request::get("/long"));
    origin.wait_seen("/long", 1);
    gw.reload(&all_to(&origin)).expect("it is good");
    gw.ask_admin(&Request::post("/purge", r#"{"all": true}"#))
        .expect(200);
    gw.reload(&with).expect("it is good");
    gw.get("/").body("after");
    gate.open();
    long.response().expect(200);
}
