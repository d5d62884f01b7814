use std::net::TcpListener;

use super::*;

fn soon() -> Deadline {
    Deadline::after(&Clock::system(), Duration::from_secs(10))
}

fn spec(text: &str) -> SocketSpec {
    SocketSpec::parse(text).unwrap()
}

fn offer(sockets: Vec<Item>) -> Offer {
    Offer {
        format: FORMAT,
        generation: 2,
        failures: 1,
        sockets,
        tickets: None,
        orders: Vec::new(),
        found: Vec::new(),
    }
}

/// What comes of an offer, and the end of the link that made it.
fn taken(offer: &Offer, sockets: Vec<OwnedFd>, format: &str) -> (Result<Heritage, TakeFault>, Link) {
    let (ours, theirs) = Link::pair().unwrap();
    ours.tell(offer, &soon()).unwrap();
    ours.give(&sockets, &soon()).unwrap();
    let heritage = Heritage::from_link(Link::of(theirs), format, Clock::system());
    (heritage, ours)
}

fn listener() -> (TcpListener, SocketSpec) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = SocketSpec::Tcp(listener.local_addr().unwrap());
    (listener, address)
}

#[test]
fn sockets_are_found_by_where_they_are_configured_to_be() {
    let ((a, at), (b, _), (admin, desk)) = (listener(), listener(), listener());
    let b_at = SocketSpec::Tcp(b.local_addr().unwrap());
    let any = spec("127.0.0.1:0");
    let items = vec![
        Item::new(Role::Listener, &any, 0, &at),
        Item::new(Role::Listener, &any, 0, &at),
        Item::new(Role::Listener, &any, 1, &b_at),
        Item::new(Role::Admin, &any, 0, &desk),
    ];
    let again = a.try_clone().unwrap();
    let sockets = [a, again, b, admin].map(OwnedFd::from).into();
    let (heritage, old) = taken(&offer(items), sockets, "1");
    let mut heritage = heritage.unwrap();
    let doors = heritage.take_doors();
    assert_eq!(doors.len(), 2);
    assert_eq!(
        (
            doors[&(any.clone(), 0)].sockets.len(),
            &doors[&(any.clone(), 0)].address
        ),
        (2, &at)
    );
    assert_eq!(doors[&(any.clone(), 1)].address, b_at);
    assert_eq!(heritage.generation(), (2, 1));
    assert!(
        heritage.take_admin(Some(&spec("127.0.0.1:1"))).is_none(),
        "it moves elsewhere"
    );

    old.tell(&Word::Go, &soon()).unwrap();
    heritage
        .prepared(|role, configured, nth| role == Role::Listener && *configured == any && nth == 0)
        .unwrap();
    let Reply::Prepared { taken, .. } = old.hear(&soon()).unwrap() else {
        panic!("it is prepared");
    };
    assert_eq!(taken, [0, 1]);
    heritage.ready();
    assert_eq!(old.hear::<Reply>(&soon()).unwrap(), Reply::Ready);
}

#[test]
fn what_does_not_listen_where_it_should_is_declined() {
    let (a, at) = listener();
    let connected = std::net::TcpStream::connect(a.local_addr().unwrap()).unwrap();
    let item = |address: &SocketSpec| vec![Item::new(Role::Listener, address, 0, address)];
    for (items, socket) in [
        (item(&at), OwnedFd::from(connected)),
        (item(&spec("127.0.0.1:1")), a.try_clone().unwrap().into()),
        (item(&spec("unix:/s")), a.into()),
    ] {
        let (heritage, old) = taken(&offer(items), vec![socket], "1");
        assert!(matches!(heritage, Err(TakeFault::Socket(_))));
        assert!(matches!(old.hear(&soon()), Ok(Reply::Declined(_))));
    }
}

#[test]
fn another_format_is_declined_and_silence_is_no_word_to_go() {
    for (format, variable) in [(FORMAT + 1, "1"), (FORMAT, "2"), (FORMAT, "")] {
        let other = Offer {
            format,
            ..offer(Vec::new())
        };
        let (heritage, old) = taken(&other, Vec::new(), variable);
        assert!(matches!(heritage, Err(TakeFault::Format(_))));
        assert!(matches!(old.hear(&soon()), Ok(Reply::Declined(_))));
    }
    let (heritage, old) = taken(&offer(Vec::new()), Vec::new(), "1");
    drop(old);
    assert!(heritage.unwrap().prepared(|_, _, _| true).is_err());
}
