//! Clients that come back.

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

use super::*;

const WORKERS: usize = 4;
const CLIENTS: usize = 200;

/// How many of the clients went on with their session, each visiting one worker and then the next.
fn returning(
    versions: &[&'static SupportedProtocolVersion],
    tls12: Tls12Resumption,
    between: impl Fn(&ServerSide, &Resumption, &ListenerTls, &Authority),
) -> usize {
    let authority = Authority::new("test");
    let certificates = [authority.certificate(&["example.test"])];
    let (tls, resumption) = (listener_tls(1), resumption());
    let side = ServerSide::new(&tls, &certificates, &[], &resumption, now());
    let clients: Vec<Arc<ClientConfig>> = (0..CLIENTS)
        .map(|_| Arc::new(authority.client_of(versions, tls12, None)))
        .collect();
    // Those of a worker at one time, all workers at once.
    let visit = |shift: usize| -> usize {
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS)
                .map(|worker| {
                    let (clients, side) = (&clients, &side);
                    scope.spawn(move || {
                        let mine = clients.iter().skip((worker + shift) % WORKERS).step_by(WORKERS);
                        mine.filter(|client| {
                            Pair::meet(client, "example.test", side.config())
                                .unwrap()
                                .is_resumed()
                        })
                        .count()
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        })
    };
    assert_eq!(visit(0), 0);
    between(&side, &resumption, &tls, &authority);
    visit(1)
}

#[test]
fn all_of_them_go_on_with_their_session_at_whichever_worker() {
    let nothing = |_: &ServerSide, _: &Resumption, _: &ListenerTls, _: &Authority| {};
    assert_eq!(
        returning(&[&TLS13], Tls12Resumption::SessionIdOrTickets, nothing),
        CLIENTS
    );
    assert_eq!(
        returning(&[&TLS12], Tls12Resumption::SessionIdOrTickets, nothing),
        CLIENTS
    );
    assert_eq!(
        returning(&[&TLS12], Tls12Resumption::SessionIdOnly, nothing),
        CLIENTS
    );
}

#[test]
fn a_new_certificate_for_the_same_names_and_a_new_key_of_tickets_change_nothing_about_that() {
    let renewed = |side: &ServerSide, resumption: &Resumption, tls: &ListenerTls, authority: &Authority| {
        side.replace(tls, &[authority.certificate(&["example.test"])], &[], now());
        assert!(resumption.turn(Mono::default().plus(KEY_PERIOD)));
    };
    for versions in [[&TLS13], [&TLS12]] {
        assert_eq!(
            returning(&versions, Tls12Resumption::SessionIdOrTickets, renewed),
            CLIENTS
        );
    }
    assert_eq!(
        returning(&[&TLS12], Tls12Resumption::SessionIdOnly, renewed),
        CLIENTS
    );
}

#[test]
fn after_two_periods_nobody_is_recognised() {
    let late = |_: &ServerSide, resumption: &Resumption, _: &ListenerTls, _: &Authority| {
        assert!(resumption.turn(Mono::default().plus(KEY_PERIOD)));
        assert!(resumption.turn(Mono::default().plus(2 * KEY_PERIOD)));
    };
    for versions in [[&TLS13], [&TLS12]] {
        assert_eq!(returning(&versions, Tls12Resumption::SessionIdOrTickets, late), 0);
    }
    assert_eq!(returning(&[&TLS12], Tls12Resumption::SessionIdOnly, late), 0);
}

/// Without that, whoever has been at the one would be let in at the other.
#[test]
fn a_session_of_a_listener_for_everybody_opens_none_for_the_few() {
    let (authority, other) = (Authority::new("test"), Authority::new("other"));
    let certificates = [authority.certificate(&["example.test"])];
    let resumption = resumption();
    let side = |client_auth: Option<ClientAuth>| {
        let tls = ListenerTls {
            client_auth,
            ..listener_tls(1)
        };
        ServerSide::new(&tls, &certificates, &[], &resumption, now())
    };
    let for_all = side(None);
    let for_those_who_may = side(Some(authority.auth(false)));
    let for_few = side(Some(authority.auth(true)));
    let for_others = side(Some(other.auth(true)));
    let kinds = [
        (&TLS13, Tls12Resumption::SessionIdOrTickets),
        (&TLS12, Tls12Resumption::SessionIdOrTickets),
        (&TLS12, Tls12Resumption::SessionIdOnly),
    ];
    for (version, tls12) in kinds {
        let nobody = Arc::new(authority.client_of(&[version], tls12, None));
        for first in [&for_all, &for_those_who_may] {
            Pair::meet(&nobody, "example.test", first.config()).unwrap();
            assert!(Pair::meet(&nobody, "example.test", for_few.config()).is_err());
        }
        // And where it is verified by whom it was verified, who it was is known again.
        let anna = Some(authority.sign(&["anna.test"], "anna"));
        let anna = Arc::new(authority.client_of(&[version], tls12, anna));
        assert!(
            !Pair::meet(&anna, "example.test", for_few.config())
                .unwrap()
                .is_resumed()
        );
        let again = Pair::meet(&anna, "example.test", for_few.config()).unwrap();
        assert!(again.is_resumed());
        let visitor = for_few
            .visitor(again.server.peer_certificates().unwrap(), now())
            .unwrap();
        assert_eq!(&*visitor.unwrap().subject, "CN=anna");
        assert!(Pair::meet(&anna, "example.test", for_others.config()).is_err());
    }
}

#[test]
fn a_session_is_not_gone_on_with_where_other_certificates_are_shown() {
    let authority = Authority::new("test");
    let certificates = [
        authority.certificate(&["example.test"]),
        authority.certificate(&["other.test"]),
    ];
    let resumption = resumption();
    let both = ServerSide::new(&listener_tls(2), &certificates, &[], &resumption, now());
    let one = ServerSide::new(&listener_tls(1), &certificates, &[], &resumption, now());
    let same = ServerSide::new(&listener_tls(2), &certificates, &[], &resumption, now());
    let client = Arc::new(authority.client(None));
    Pair::meet(&client, "example.test", both.config()).unwrap();
    assert!(
        !Pair::meet(&client, "example.test", one.config())
            .unwrap()
            .is_resumed()
    );
    Pair::meet(&client, "example.test", both.config()).unwrap();
    assert!(
        Pair::meet(&client, "example.test", same.config())
            .unwrap()
            .is_resumed()
    );
}
