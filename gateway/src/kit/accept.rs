//! What a client would rather have: the weights of Accept and Accept-Encoding (RFC 9110 §12.4 and §12.5).
//!
//! All functions take the field's list elements, trimmed, with all lines of the field joined.

/// A weight in thousandths. RFC 9110 §12.4.2: three digits after the point, and 1 where none is given.
type Weight = u16;

/// q=1
const FULL: Weight = 1000;

/// Which codings a client takes, of those that are on offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codings {
    /// Indices into the offer, most wanted first and at equal weight in the offer's order; those the client
    /// refuses, or wants less than the plain form, are left out.
    pub wanted: Vec<usize>,
    /// Whether the plain form will do; false only where the client says so.
    pub identity: bool,
}

/// The form of an answer written for people or for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Both are as good.
    Either,
    /// text/html
    Html,
    /// application/json, or problem+json
    Json,
}

/// Negotiates a content coding; `offered` are names in lower case, `identity` is not among them.
///
/// A client that sends no Accept-Encoding gets the plain form. RFC 9110 §12.5.3 would allow any coding then, but
/// those who leave the field out are those who cannot decode.
pub fn codings<'v>(elements: impl Iterator<Item = &'v [u8]>, offered: &[&str]) -> Codings {
    let mut weights = vec![None; offered.len()];
    let plain = weigh(elements, offered, &mut weights);
    let weights: Vec<Weight> = weights.iter().map(|w| wanted(*w, plain)).collect();
    let mut wanted: Vec<usize> = (0..offered.len()).filter(|at| weights[*at] > 0).collect();
    wanted.sort_by_key(|at| std::cmp::Reverse(weights[*at]));
    Codings {
        wanted,
        identity: plain.identity != Some(0),
    }
}

/// The same for a fixed offer, without allocating: the weight of each in thousandths, 0 for those that
/// [`Codings::wanted`] would leave out.
pub fn coding_weights<'v, const N: usize>(
    elements: impl Iterator<Item = &'v [u8]>,
    offered: &[&str; N],
) -> [u16; N] {
    let mut weights = [None; N];
    let plain = weigh(elements, offered, &mut weights);
    weights.map(|w| wanted(w, plain))
}

/// What was said of the codings that are not on offer.
#[derive(Clone, Copy)]
struct Plain {
    /// Of the plain form; None where nothing was said that concerns it.
    identity: Option<Weight>,
    /// Of all that was not named.
    star: Option<Weight>,
}

/// Notes what was said of each offered coding. Each element is looked at once.
fn weigh<'v>(
    elements: impl Iterator<Item = &'v [u8]>,
    offered: &[&str],
    weights: &mut [Option<Weight>],
) -> Plain {
    let (mut identity, mut star) = (None, None);
    for (name, weight) in elements.filter_map(weighted_coding) {
        if name == b"*" {
            note(&mut star, weight);
        } else if name.eq_ignore_ascii_case(b"identity") {
            note(&mut identity, weight);
        } else if let Some(at) = offered.iter().position(|o| is_coding(name, o)) {
            note(&mut weights[at], weight);
        }
    }
    // RFC 9110 §12.5.3: "*" stands for every coding not listed; identity is acceptable unless excluded.
    Plain {
        identity: identity.or(star),
        star,
    }
}

/// The weight of an offered coding; 0 where it is refused or the plain form is wanted more.
fn wanted(said: Option<Weight>, plain: Plain) -> Weight {
    let weight = said.or(plain.star).unwrap_or(0);
    if weight >= plain.identity.unwrap_or(0) {
        weight
    } else {
        0
    }
}

/// The form the client gives more weight to.
pub fn form<'v>(elements: impl Iterator<Item = &'v [u8]>) -> Form {
    let types: [&[u8]; 3] = [b"text/html", b"application/json", b"application/problem+json"];
    // For each type the most specific range that fits, and its weight.
    let mut best = [(0, 0); 3];
    for (range, weight) in elements.filter_map(weighted) {
        for (fit, media) in best.iter_mut().zip(types) {
            *fit = (*fit).max((fits(range, media), weight));
        }
    }
    // At equal weight the one that was named wins over the one a wildcard covers.
    let [html, json, problem] = best.map(|(fit, weight)| match (fit, weight) {
        (0, _) | (_, 0) => (0, 0),
        _ => (weight, fit),
    });
    match html.cmp(&json.max(problem)) {
        std::cmp::Ordering::Greater => Form::Html,
        std::cmp::Ordering::Equal => Form::Either,
        std::cmp::Ordering::Less => Form::Json,
    }
}

/// Whether the client prefers HTML over JSON: a browser does, a program that takes anything does not.
pub fn prefers_html<'v>(elements: impl Iterator<Item = &'v [u8]>) -> bool {
    form(elements) == Form::Html
}

/// An element said twice counts with its higher weight.
fn note(slot: &mut Option<Weight>, weight: Weight) {
    *slot = (*slot).max(Some(weight));
}

/// RFC 9110 §8.4.1.3: "A recipient SHOULD consider 'x-gzip' to be equivalent to 'gzip'."
fn is_coding(name: &[u8], offered: &str) -> bool {
    name.eq_ignore_ascii_case(offered.as_bytes()) || offered == "gzip" && name.eq_ignore_ascii_case(b"x-gzip")
}

/// RFC 9110 §12.5.1: `*/*` is less specific than `text/*`, and that less than `text/html`; 0 where it does not fit.
fn fits(range: &[u8], media: &[u8]) -> u8 {
    if range.eq_ignore_ascii_case(media) {
        return 3;
    }
    let Some(kind) = range.strip_suffix(b"/*") else {
        return 0;
    };
    let of_kind = media.get(kind.len()) == Some(&b'/') && media[..kind.len()].eq_ignore_ascii_case(kind);
    match kind {
        b"*" => 1,
        _ if of_kind => 2,
        _ => 0,
    }
}

/// An element without its parameters, and its weight. One whose weight cannot be read says nothing.
fn weighted(element: &[u8]) -> Option<(&[u8], Weight)> {
    let mut parts = element.split(|b| *b == b';').map(<[u8]>::trim_ascii);
    let name = parts.next().filter(|n| !n.is_empty())?;
    let q = parts.find_map(|p| p.strip_prefix(b"q=").or_else(|| p.strip_prefix(b"Q=")));
    Some((name, q.map_or(Some(FULL), weight)?))
}

/// A coding and its weight. RFC 9110 §12.5.3: `codings [ weight ]`: a coding has no other parameters, so an element
/// that has is not understood and says nothing.
fn weighted_coding(element: &[u8]) -> Option<(&[u8], Weight)> {
    let mut parts = element.split(|b| *b == b';').map(<[u8]>::trim_ascii);
    let name = parts.next().filter(|n| !n.is_empty())?;
    let Some(parameter) = parts.next() else {
        return Some((name, FULL));
    };
    let q = parameter
        .strip_prefix(b"q=")
        .or_else(|| parameter.strip_prefix(b"Q="))?;
    let weight = weight(q)?;
    parts.next().is_none().then_some((name, weight))
}

/// RFC 9110 §12.4.2: `qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )`
fn weight(text: &[u8]) -> Option<Weight> {
    let (whole, fraction) = text.split_first()?;
    let digits = match fraction {
        b"" => fraction,
        _ => fraction.strip_prefix(b".")?,
    };
    if digits.len() > 3 || !digits.iter().all(u8::is_ascii_digit) || !matches!(whole, b'0' | b'1') {
        return None;
    }
    let digit = |at: usize| Weight::from(digits.get(at).map_or(0, |d| d - b'0'));
    let weight = Weight::from(whole - b'0') * FULL + digit(0) * 100 + digit(1) * 10 + digit(2);
    (weight <= FULL).then_some(weight)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OFFERED: [&str; 3] = ["br", "gzip", "zstd"];

    fn elements(value: &str) -> impl Iterator<Item = &[u8]> {
        value
            .split(',')
            .map(|e| e.trim().as_bytes())
            .filter(|e| !e.is_empty())
    }

    fn wanted(value: &str) -> Vec<&'static str> {
        let codings = codings(elements(value), &OFFERED);
        codings.wanted.iter().map(|at| OFFERED[*at]).collect()
    }

    #[test]
    fn codings_come_by_weight_and_then_by_our_order() {
        for (value, expected) in [
            ("", &[][..]),
            ("gzip, deflate, br, zstd", &["br", "gzip", "zstd"]),
            ("gzip;q=1.0, br;q=0.9", &["gzip", "br"]),
            ("gzip;q=0, br;q=0.001", &["br"]),
            ("GZIP ; Q=0.5", &["gzip"]),
            ("x-gzip", &["gzip"]),
            ("*", &["br", "gzip", "zstd"]),
            ("*;q=0.5, gzip", &["gzip", "br", "zstd"]),
            ("*, br;q=0", &["gzip", "zstd"]),
            ("identity", &[]),
            ("identity;q=0.5, gzip;q=0.4, br;q=0.5", &["br"]),
            ("gzip;q=2, br;q=0.1234, zstd;q=", &[]),
            ("gzip;q =0, br;level=1, zstd;q=1;q=0", &[]),
        ] {
            assert_eq!(wanted(value), expected, "{value}");
        }
    }

    #[test]
    fn the_plain_form_will_do_unless_it_is_refused() {
        let plain = |value| codings(elements(value), &OFFERED).identity;
        assert!(plain("") && plain("gzip") && plain("identity;q=0.1") && plain("*;q=0, identity"));
        assert!(!plain("identity;q=0") && !plain("*;q=0") && !plain("gzip, identity;q=0.000"));
    }

    #[test]
    fn a_browser_prefers_html_and_a_program_does_not() {
        for (value, expected) in [
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                Form::Html,
            ),
            ("*/*", Form::Either),
            ("", Form::Either),
            ("image/png", Form::Either),
            ("application/json", Form::Json),
            ("application/problem+json", Form::Json),
            ("application/json, text/plain, */*", Form::Json),
            ("application/json, text/html", Form::Either),
            ("text/html;q=0.4, application/json;q=0.5", Form::Json),
            ("text/*, application/json;q=0.9", Form::Html),
            ("text/html;q=0, */*", Form::Json),
            ("TEXT/HTML;level=1", Form::Html),
            ("text/htm", Form::Either),
        ] {
            assert_eq!(form(elements(value)), expected, "{value}");
            assert_eq!(prefers_html(elements(value)), expected == Form::Html, "{value}");
        }
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_a_naive_reading(weights in proptest::collection::vec(proptest::option::of(0u16..=1000), 5)) {
            let names = ["br", "gzip", "zstd", "identity", "*"];
            let said: Vec<_> = (0..5)
                .filter_map(|at| weights[at].map(|w| format!("{};q={}.{:03}", names[at], w / 1000, w % 1000)))
                .collect();
            let of = |at: usize| weights[at].or(weights[4]);
            let mut expected: Vec<(i32, usize)> = (0..3)
                .filter_map(|at| of(at).filter(|w| *w > 0).map(|w| (-i32::from(w), at)))
                .filter(|(w, _)| of(3).is_none_or(|plain| -w >= i32::from(plain)))
                .collect();
            expected.sort_unstable();
            let joined = said.join(",");
            let got = codings(elements(&joined), &OFFERED);
            prop_assert_eq!(&got.wanted, &expected.into_iter().map(|(_, at)| at).collect::<Vec<_>>());
            prop_assert_eq!(got.identity, of(3) != Some(0));
            let fixed = coding_weights(elements(&joined), &OFFERED);
            prop_assert!((0..3).all(|at| (fixed[at] > 0) == got.wanted.contains(&at)));
            prop_assert!(got.wanted.is_sorted_by_key(|at| std::cmp::Reverse(fixed[*at])));
        }

        #[test]
        fn no_input_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..30)) {
            let _ = codings(std::iter::once(&bytes[..]), &OFFERED);
            let _ = form(std::iter::once(&bytes[..]));
        }
    }
}
