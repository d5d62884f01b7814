//! Which part of a query is in the key.
//!
//! What is left out of the key still reaches the origin, so that leaving something out is where another answer can be
//! stored under a key it does not belong to. Origins read names more generously than they are written: they decode
//! them, some fold case or punctuation (PHP reads `a.b` as `a_b`), some take `a[]` for `a`, some split at semicolons.
//! A parameter is therefore kept if any of them could take it for one that counts, and dropped only if all agree that
//! it is one that does not.

/// Parameters that are sorted without asking for memory. More are legal and rare.
const SORTED_ON_STACK: usize = 64;

/// Appends the parameters that count.
///
/// They are sorted by name, so that their order does not count; parameters of one name keep theirs, because origins
/// see it. A query with semicolons is not sorted: where its parameters end is a matter of opinion.
pub fn write(out: &mut Vec<u8>, query: &str, keeps: impl Fn(&[u8]) -> bool) {
    let query = query.as_bytes();
    let parameters = || query.split(|b| *b == b'&').filter(|p| !p.is_empty() && keeps(p));
    if query.contains(&b';') {
        return write_all(out, parameters());
    }
    let mut stack: [&[u8]; SORTED_ON_STACK] = [&[]; SORTED_ON_STACK];
    let mut count = 0;
    for parameter in parameters() {
        if count == SORTED_ON_STACK {
            let mut all: Vec<_> = parameters().collect();
            sort(&mut all);
            return write_all(out, all.into_iter());
        }
        stack[count] = parameter;
        count += 1;
    }
    sort(&mut stack[..count]);
    write_all(out, stack[..count].iter().copied());
}

/// By what may be one name, then by place: all are slices of one query, so that their addresses tell it.
fn sort(parameters: &mut [&[u8]]) {
    parameters.sort_unstable_by(|a, b| folded(a).cmp(folded(b)).then_with(|| a.as_ptr().cmp(&b.as_ptr())));
}

fn write_all<'a>(out: &mut Vec<u8>, parameters: impl Iterator<Item = &'a [u8]>) {
    for (at, parameter) in parameters.enumerate() {
        if at > 0 {
            out.push(b'&');
        }
        out.extend_from_slice(parameter);
    }
}

/// Whether an origin could take the parameter, or a part of it behind a semicolon, for one of these.
pub fn may_be_any(parameter: &[u8], patterns: &[String]) -> bool {
    let mut parts = parameter.split(|b| *b == b';');
    parts.any(|part| patterns.iter().any(|p| may_be(part, p)))
}

/// Whether every origin takes all of the parameter for one of these.
pub fn is_any(parameter: &[u8], patterns: &[String]) -> bool {
    let mut parts = parameter.split(|b| *b == b';');
    parts.all(|part| patterns.iter().any(|p| is(part, p)))
}

fn may_be(parameter: &[u8], pattern: &str) -> bool {
    let mut name = folded(parameter);
    match pattern.strip_suffix('*') {
        Some(start) => fold(start.bytes()).all(|b| name.next() == Some(b)),
        None => name.eq(fold(pattern.bytes())),
    }
}

fn is(parameter: &[u8], pattern: &str) -> bool {
    let mut name = decoded(parameter);
    match pattern.strip_suffix('*') {
        Some(start) => start.bytes().all(|b| name.next() == Some(b)),
        None => name.eq(pattern.bytes()),
    }
}

/// The name as the most generous origin reads it.
fn folded(parameter: &[u8]) -> impl Iterator<Item = u8> {
    fold(decoded(parameter))
}

fn fold(name: impl Iterator<Item = u8>) -> impl Iterator<Item = u8> {
    name.skip_while(|b| *b == b' ')
        .take_while(|b| *b != b'[' && *b != 0)
        .map(|b| {
            if b.is_ascii_alphanumeric() {
                b.to_ascii_lowercase()
            } else {
                b'_'
            }
        })
}

/// The name with percent-encoding and plus signs taken back.
fn decoded(parameter: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = parameter.split(|b| *b == b'=').next().unwrap_or_default();
    std::iter::from_fn(move || {
        let (byte, after) = rest.split_first()?;
        rest = after;
        if *byte == b'%'
            && let [high, low, after @ ..] = after
            && let Some(value) = hex(*high).zip(hex(*low)).map(|(h, l)| h << 4 | l)
        {
            rest = after;
            return Some(value);
        }
        Some(if *byte == b'+' { b' ' } else { *byte })
    })
}

fn hex(b: u8) -> Option<u8> {
    char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn patterns(list: &[&str]) -> Vec<String> {
        list.iter().map(|p| (*p).to_owned()).collect()
    }

    fn only(query: &str, list: &[&str]) -> String {
        let mut out = Vec::new();
        let list = patterns(list);
        write(&mut out, query, |p| may_be_any(p, &list));
        String::from_utf8(out).unwrap()
    }

    fn except(query: &str, list: &[&str]) -> String {
        let mut out = Vec::new();
        let list = patterns(list);
        write(&mut out, query, |p| !is_any(p, &list));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_the_named_ones_count_and_their_order_does_not() {
        assert_eq!(only("b=2&x=9&a=1", &["a", "b"]), "a=1&b=2");
        assert_eq!(only("a=2&b&a=1", &["a", "b"]), "a=2&a=1&b");
        assert_eq!(only("page=1&pages=2&p=3", &["page*"]), "page=1&pages=2");
        assert_eq!(only("", &["a"]), "");
        assert_eq!(only("&&", &["a"]), "");
    }

    #[test]
    fn whatever_an_origin_may_take_for_a_named_one_counts() {
        for spelled in [
            "%61=1",
            "A=1",
            "a[]=1",
            "a%5Bx%5D=1",
            "+a=1",
            "x=1;a=2",
            "%41=1",
            "a%00b=1",
        ] {
            assert_eq!(only(spelled, &["a"]), spelled);
        }
        assert_eq!(only("a.b=1", &["a_b"]), "a.b=1");
        for other in ["aa=1", "b=a", "%a=1", "=a", "a%=1"] {
            assert_eq!(only(other, &["a"]), "", "{other}");
        }
    }

    #[test]
    fn all_but_the_named_ones_count() {
        assert_eq!(except("utm_source=x&b=2&utm_=3&a=1", &["utm_*"]), "a=1&b=2");
        assert_eq!(except("%75tm_source=x&a=1", &["utm_*"]), "a=1");
    }

    #[test]
    fn what_an_origin_may_take_for_another_one_is_not_left_out() {
        for spelled in ["UTM_x=1", "utm.x=1", "utm_x=1;id=5", "id=5;utm_x=1"] {
            assert_eq!(except(spelled, &["utm_*"]), spelled);
        }
    }

    #[test]
    fn parameters_that_may_be_one_keep_their_order() {
        for query in ["A=1&a=2", "a=2&A=1", "a[]=1&a=2", "a.=1&a_=2", "b=1;a=2&a=1"] {
            assert_eq!(except(query, &["x"]), query);
        }
    }

    #[test]
    fn many_parameters_are_sorted_like_few() {
        let names: Vec<_> = (0..SORTED_ON_STACK + 40)
            .rev()
            .map(|n| format!("p{n:03}=x"))
            .collect();
        let mut sorted = names.clone();
        sorted.sort();
        assert_eq!(except(&names.join("&"), &["x"]), sorted.join("&"));
    }

    proptest! {
        #[test]
        fn the_order_of_different_names_never_counts(mut pairs in proptest::collection::vec(("[a-d]", 0..3u8), 0..8), seed in 0..1000usize) {
            pairs.sort();
            pairs.dedup_by(|a, b| a.0 == b.0);
            let text = |pairs: &[(String, u8)]| pairs.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join("&");
            let mut turned = pairs.clone();
            let by = if turned.is_empty() { 0 } else { seed % turned.len() };
            turned.rotate_left(by);
            prop_assert_eq!(only(&text(&pairs), &["a", "b"]), only(&text(&turned), &["a", "b"]));
            prop_assert_eq!(except(&text(&pairs), &["a"]), except(&text(&turned), &["a"]));
        }

        #[test]
        fn no_query_makes_it_panic(query in "[a-c%&;=+0-9\\[\\].]{0,40}") {
            let _ = (only(&query, &["a", "b*"]), except(&query, &["a", "b*"]));
        }
    }
}
