use std::time::Duration;

use harness::origin::reply;
use harness::{Gate, Gateway, Origin, Request, wait_for};

use super::{busy, cached};

#[test]
fn what_each_user_is_to_be_asked_about_is_not_shared_by_those_who_wait() {
    let gate = Gate::new();
    let own = |body: &'static str| {
        let answer = reply(200)
            .header("Cache-Control", "no-cache")
            .header("ETag", "\"a\"");
        answer.body(body)
    };
    let origin = Origin::new()
        .on("/", own("of the first").after(&gate))
        .then("/", own("of the second"));
    let gw = Gateway::start(&cached(&origin, "", ""));
    let first = gw.ask_apart(&Request::get("/"));
    origin.wait_seen("/", 1);
    let second = gw.ask_apart(&Request::get("/"));
    wait_for("the second waits for the first", || {
        (busy(&gw, "waiting") == 1).then_some(())
    });
    gate.open();
    first.response().body("of the first");
    second.response().body("of the second");
    assert_eq!(origin.total(), 2);
}

#[test]
fn an_answer_that_took_longer_than_it_is_good_for_is_still_for_all_who_waited_and_for_nobody_else() {
    let gate = Gate::new();
    let good_for_a_second = || reply(200).header("Cache-Control", "max-age=1");
    let origin = Origin::new()
        .on("/", good_for_a_second().body("late").after(&gate))
        .then("/", good_for_a_second().body("new"));
    let gw = Gateway::start_with_manual_clock(&cached(&origin, "", ""));
    let herd = gw.get_many(10, "/");
    wait_for("nine wait for one", || (busy(&gw, "waiting") == 9).then_some(()));
    gw.advance(Duration::from_secs(2));
    gate.open();
    for client in herd {
        client.response().body("late");
    }
    assert_eq!(origin.total(), 1);
    gw.get("/").body("new");
}
