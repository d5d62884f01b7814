//! Lines and headers as others write them, damaged ones, and bytes of no kind.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn done(bytes: &[u8]) -> (usize, Option<String>, Option<String>) {
    match parse(bytes) {
        Parsed::Done {
            consumed,
            source,
            destination,
        } => (
            consumed,
            source.map(|a| a.to_string()),
            destination.map(|a| a.to_string()),
        ),
        other => panic!("{other:?}"),
    }
}

fn fault(bytes: &[u8]) -> ProxyFault {
    match parse(bytes) {
        Parsed::Fault(fault) => fault,
        other => panic!("{other:?} of {:?}", bytes.escape_ascii().to_string()),
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// A header of version 2.
fn header(command: u8, kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&V2_START[..], &[0x20 | command, kind], &length, content].concat()
}

fn addition(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[kind], &length[..], value].concat()
}

const V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0x1f, 0x90, 1, 187];

#[test]
fn lines_of_version_1_are_read() {
    let line = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n";
    let with_rest = [&line[..], b"GET / HTTP/1.1\r\n"].concat();
    let expected = (line.len(), some("192.0.2.1:56324"), some("198.51.100.2:443"));
    assert_eq!(done(&with_rest), expected);
    let line = b"PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 0 65535\r\n";
    let expected = (
        line.len(),
        some("[2001:db8::1]:0"),
        some("[::ffff:192.0.2.1]:65535"),
    );
    assert_eq!(done(line), expected);
    assert_eq!(done(b"PROXY UNKNOWN\r\n"), (15, None, None));
    let longest = b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n";
    assert_eq!(done(longest), (longest.len(), None, None));
    let full = [
        b"PROXY UNKNOWN ".to_vec(),
        vec![b'x'; V1_BYTES_MAX - 16],
        b"\r\n".to_vec(),
    ]
    .concat();
    assert_eq!(done(&full), (V1_BYTES_MAX, None, None));
}

#[test]
fn what_only_resembles_a_line_is_refused() {
    for text in [
        "PROXY TCP4 192.0.2.1 198.51.100.2 56324\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 \r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 1\r\n",
        "PROXY TCP4  192.0.2.1 198.51.100.2 56324 443\r\n",
        "PROXY\tTCP4 192.0.2.1 198.51.100.2 56324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 056324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 +5632 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n",
        "PROXY TCP4 192.0.2.01 198.51.100.2 1 443\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 1 443\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.1 1 443\r\n",
        "PROXY TCP6 [2001:db8::1] 2001:db8::2 1 443\r\n",
        "PROXY tcp4 192.0.2.1 198.51.100.2 1 443\r\n",
        "PROXY UDP4 192.0.2.1 198.51.100.2 1 443\r\n",
        "PROXY UNKNOWN\n",
        "PROXY UNKNOWN\r\r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXYUNKNOWN\r\n",
        "PROXY \r\n",
        "PROXY\r\n",
    ] {
        assert_eq!(fault(text.as_bytes()), ProxyFault::Line, "{text:?}");
    }
    for text in [
        "GET / HTTP/1.1\r\n",
        "PROXI",
        "proxy TCP4",
        " PROXY",
        "\x16\x03\x01",
        "PRI * HTTP/2.0\r\n",
    ] {
        assert_eq!(fault(text.as_bytes()), ProxyFault::NotProxy, "{text:?}");
    }
    let long = [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 200]].concat();
    assert_eq!(parse(&long[..V1_BYTES_MAX - 1]), Parsed::Partial);
    assert_eq!(fault(&long[..V1_BYTES_MAX]), ProxyFault::TooLong);
    let late = [&long[..V1_BYTES_MAX - 1], b"\r\n"].concat();
    assert_eq!(fault(&late), ProxyFault::TooLong);
}

#[test]
fn headers_of_version_2_are_read() {
    let whole = header(1, 0x11, &V4);
    let expected = (whole.len(), some("192.0.2.1:8080"), some("198.51.100.2:443"));
    assert_eq!(done(&[&whole[..], b"GET /"].concat()), expected);
    let six: Vec<u8> = [
        &[0x20, 1, 0xd, 0xb8][..],
        &[0; 11],
        &[1],
        &[0; 15],
        &[1],
        &[0, 1, 0, 2],
    ]
    .concat();
    let whole = header(1, 0x21, &six);
    assert_eq!(
        done(&whole),
        (whole.len(), some("[2001:db8::1]:1"), some("[::1]:2"))
    );
    let with_more = [
        &V4[..],
        &addition(0x01, b"h2"),
        &addition(0xea, &[]),
        &addition(0x04, &[0; 9]),
    ]
    .concat();
    let whole = header(1, 0x11, &with_more);
    assert_eq!(
        done(&whole),
        (whole.len(), some("192.0.2.1:8080"), some("198.51.100.2:443"))
    );
}

#[test]
fn a_balancer_that_speaks_for_itself_or_does_not_say_leaves_the_peer_as_it_is() {
    let says_nothing = [
        header(0, 0x00, &[]),
        header(0, 0x11, &V4),
        header(0, 0x00, &[1, 2]),
        header(1, 0x00, &addition(0x01, b"h2")),
        header(1, 0x31, &[b'/'; 216]),
        header(1, 0x12, &V4),
        header(1, 0x10, &V4),
    ];
    for whole in says_nothing {
        assert_eq!(done(&whole), (whole.len(), None, None), "{whole:?}");
    }
}

#[test]
fn headers_that_are_none_are_refused() {
    let with = |at: usize, byte: u8| {
        let mut whole = header(1, 0x11, &V4);
        whole[at] = byte;
        whole
    };
    assert_eq!(fault(&with(11, b'x')), ProxyFault::NotProxy);
    assert_eq!(fault(&with(12, 0x11)), ProxyFault::Version(1));
    assert_eq!(fault(&with(12, 0x22)), ProxyFault::Command(2));
    assert_eq!(fault(&with(13, 0x41)), ProxyFault::Family(0x41));
    assert_eq!(fault(&with(13, 0x13)), ProxyFault::Family(0x13));
    assert_eq!(fault(&header(1, 0x21, &V4)), ProxyFault::CutShort);
    assert_eq!(fault(&header(1, 0x11, &V4[..11])), ProxyFault::CutShort);
    assert_eq!(fault(&header(1, 0x31, &[0; 215])), ProxyFault::CutShort);
    assert_eq!(
        fault(&header(1, 0x11, &[&V4[..], &[1, 0]].concat())),
        ProxyFault::CutShort
    );
    assert_eq!(
        fault(&header(1, 0x11, &[&V4[..], &[1, 0, 1]].concat())),
        ProxyFault::CutShort
    );
    let most = V2_BYTES_MAX - V2_FIXED_BYTES;
    let filler = |bytes: usize| [&V4[..], &addition(0x04, &vec![0; bytes - V4.len() - 3])].concat();
    assert_eq!(done(&header(1, 0x11, &filler(most))).0, V2_BYTES_MAX);
    // Known by its sixteenth byte: nobody has to wait for the rest.
    assert_eq!(
        fault(&header(1, 0x11, &filler(most + 1))[..16]),
        ProxyFault::TooLong
    );
}

#[test]
fn a_checksum_that_is_there_must_be_right() {
    let content = [&V4[..], &addition(0x03, &[0; 4]), &addition(0x01, b"h2")].concat();
    let mut whole = header(1, 0x11, &content);
    let sum = crc32c::of([&whole]).to_be_bytes();
    let at = V2_FIXED_BYTES + V4.len() + 3;
    whole[at..at + 4].copy_from_slice(&sum);
    assert_eq!(done(&whole).0, whole.len());
    for at in [17, at, whole.len() - 1] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        assert_eq!(fault(&changed), ProxyFault::Checksum, "byte {at}");
    }
    let short = header(1, 0x11, &[&V4[..], &addition(0x03, &[0; 3])].concat());
    assert_eq!(fault(&short), ProxyFault::Checksum);
}

/// Sound lines and headers of both versions.
fn sound() -> impl Strategy<Value = Vec<u8>> {
    let v4 = (any::<[u8; 4]>(), any::<[u8; 4]>(), any::<u16>(), any::<u16>()).prop_map(|(a, b, p, q)| {
        format!(
            "PROXY TCP4 {} {} {p} {q}\r\n",
            Ipv4Addr::from(a),
            Ipv4Addr::from(b)
        )
        .into_bytes()
    });
    let v6 = (any::<[u8; 16]>(), any::<[u8; 16]>(), any::<u16>(), any::<u16>()).prop_map(|(a, b, p, q)| {
        format!(
            "PROXY TCP6 {} {} {p} {q}\r\n",
            Ipv6Addr::from(a),
            Ipv6Addr::from(b)
        )
        .into_bytes()
    });
    let unknown = "[ -~]{0,90}".prop_map(|rest| format!("PROXY UNKNOWN {rest}\r\n").into_bytes());
    let additions = vec((4u8.., vec(any::<u8>(), 0..40)), 0..4).prop_map(|list| {
        list.iter()
            .flat_map(|(kind, value)| addition(*kind, value))
            .collect::<Vec<u8>>()
    });
    let kinds = prop::sample::select(vec![
        (0x00u8, 0usize),
        (0x11, 12),
        (0x12, 12),
        (0x21, 36),
        (0x31, 216),
    ]);
    let binary = (0u8..2, kinds, vec(any::<u8>(), 216), additions).prop_map(
        |(command, (kind, length), block, more)| header(command, kind, &[&block[..length], &more].concat()),
    );
    prop_oneof![v4, v6, unknown, binary]
}

proptest! {
    #[test]
    fn every_beginning_of_a_sound_one_waits_for_more_and_the_rest_is_the_clients(whole in sound(), rest: Vec<u8>) {
        for length in 0..whole.len() {
            prop_assert_eq!(parse(&whole[..length]), Parsed::Partial, "{} of {}", length, whole.len());
        }
        let (alone, followed) = (parse(&whole), parse(&[&whole[..], &rest].concat()));
        prop_assert!(matches!(alone, Parsed::Done { consumed, .. } if consumed == whole.len()), "{:?}", alone);
        prop_assert_eq!(alone, followed);
    }

    #[test]
    fn damaged_ones_end_in_a_verdict_that_more_bytes_do_not_change(
        whole in sound(), at: prop::sample::Index, byte: u8, rest in vec(any::<u8>(), 0..300),
    ) {
        let mut damaged = whole;
        let at = at.index(damaged.len());
        damaged[at] = byte;
        let verdict = parse(&damaged);
        if verdict != Parsed::Partial {
            prop_assert_eq!(parse(&[&damaged[..], &rest].concat()), verdict);
        }
    }

    #[test]
    fn no_bytes_make_it_panic_and_it_never_waits_for_more_than_the_most(
        start in 0usize..3, bytes in vec(any::<u8>(), 0..200), zeros in 0usize..6_000,
    ) {
        let start = [&b""[..], V1_START, V2_START][start];
        let all = [start, &bytes[..], &vec![0; zeros]].concat();
        match parse(&all) {
            Parsed::Partial => prop_assert!(all.len() < V2_BYTES_MAX),
            Parsed::Done { consumed, .. } => prop_assert!(consumed <= all.len().min(V2_BYTES_MAX)),
            Parsed::Fault(fault) => prop_assert!(!fault.to_string().is_empty()),
        }
    }
}
