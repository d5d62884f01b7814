//! Sources and reloads of the configuration.

use harness::names::{NameServer, SRV, Trouble};
use harness::{Gateway, wait_until};

use super::{SERVICE, addresses, app, by_dns, origins, set_services, wait_addresses};

#[test]
fn a_reload_keeps_what_was_discovered_though_the_source_is_silent() {
    let [a] = origins();
    let names = NameServer::start();
    set_services(&names, &[(&a, 0)]);
    let gw = Gateway::start(&app(&by_dns(&names)));
    wait_addresses(&gw, &[a.address()]);

    names.set_trouble(SERVICE, SRV, Some(Trouble::Silence));
    let slower = by_dns(&names).replace("20ms", "30ms");
    gw.reload(&app(&format!("{slower}\nread_timeout = \"9s\"")))
        .unwrap();
    gw.get("/").expect(200);
    // Under another name too: it is the source that is known, not who asks it.
    gw.reload(
        &app(&slower)
            .replace("app]", "other]")
            .replace("\"app\"", "\"other\""),
    )
    .unwrap();
    gw.get("/").expect(200);
}

#[test]
fn what_is_listed_serves_before_and_beside_what_is_discovered() {
    let [listed, found] = origins();
    let names = NameServer::start();
    let both = format!(
        "servers = [{{ address = \"{}\", weight = 2 }}]\n{}",
        listed.address(),
        by_dns(&names)
    );
    let gw = Gateway::start(&app(&both));
    gw.get("/").expect(200);
    assert_eq!(addresses(&gw).len(), 1);

    // What both name is as it is listed.
    set_services(&names, &[(&listed, 0), (&found, 0)]);
    wait_addresses(&gw, &[listed.address(), found.address()]);
    assert_eq!(gw.server("app", listed.address())["weight"], 2);

    // Without `discover` nobody is asked any more.
    let (alone, _) = both.split_once('\n').unwrap();
    gw.reload(&app(alone)).unwrap();
    wait_addresses(&gw, &[listed.address()]);
    assert_eq!(gw.metrics().sum("sluice_discovery_servers", &[]), 0.0);
}

#[test]
fn two_upstreams_with_one_source_ask_it_once() {
    let [a] = origins();
    let names = NameServer::start();
    set_services(&names, &[(&a, 0)]);
    let patient = by_dns(&names).replace("20ms", "1h");
    names.set_addresses("host.app.internal", 3_600, &["127.0.0.1"]);
    names.set_services(SERVICE, 3_600, &[(0, 1, a.address().port(), "host.app.internal")]);
    let gw = Gateway::start(&format!("{}\n[upstreams.twin]\n{patient}", app(&patient)));
    wait_addresses(&gw, &[a.address()]);
    wait_until("the twin has it too", || gw.desk().servers("twin").len() == 1);
    assert_eq!(names.asked(SERVICE, SRV), 1);
}
