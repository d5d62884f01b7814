use harness::origin::reply;
use harness::{Connection, Gateway, Origin, Request, wait_for};

use super::{busy, cached};

/// Nearly the largest that is kept of 64 MiB, and more of them than these can be.
const BODY_BYTES: u64 = 7 << 20;
const CLIENTS: usize = 12;

#[test]
fn clients_that_ask_for_much_and_read_nothing_do_not_fill_the_memory() {
    let body = reply(200)
        .header("Cache-Control", "max-age=600")
        .pattern(BODY_BYTES);
    let origin = Origin::new().otherwise(body);
    let toml = cached(&origin, "", "").replace("16MiB", "64MiB");
    let gw = Gateway::start(&toml);

    let ask = |n: usize| {
        let mut client = Connection::open_narrow(gw.address());
        client.send(Request::get(&format!("/{n}")).bytes());
        let (status, framing) = client.response_head();
        assert_eq!(status, 200);
        wait_for("all bodies are in memory, or go by", || {
            (busy(&gw, "fills") == 0).then_some(())
        });
        (client, framing)
    };
    let clients: Vec<_> = (0..CLIENTS).map(ask).collect();
    let read = |(mut client, framing): (Connection, _)| {
        std::thread::spawn(move || client.response_body(framing).body.length)
    };
    let readers: Vec<_> = clients.into_iter().map(read).collect();
    for reader in readers {
        assert_eq!(reader.join().unwrap(), BODY_BYTES);
    }

    let lines = gw.log_objects(CLIENTS);
    let kept = lines.iter().filter(|line| line["cache"] == "miss").count();
    assert!(kept < CLIENTS, "nobody was told to go alone");
    assert!(kept >= 8, "those for whom there was room were kept: {kept}");
    gw.connect().ask(&Request::get("/last")).expect(200);
    let last = gw.log_objects(CLIENTS + 1).pop();
    assert_eq!(last.unwrap()["cache"], "miss", "the room is free again");
}
