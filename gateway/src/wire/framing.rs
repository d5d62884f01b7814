//! Where a message's body ends: RFC 9112 §6, read strictly.

use super::answer::Answer;
use super::fields::Fields;
use super::name::Name;
use super::request::{Method, Request, Version};

/// How long a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// There is none.
    None,
    /// Content-Length says so; may be 0, which is another thing to say than nothing.
    Known(u64),
    /// Until the last chunk.
    Chunked,
    /// Until the connection ends; answers only.
    UntilClose,
}

/// Why the end of a body cannot be told without doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramingFault {
    /// The text says which rule is broken, for the log.
    Ambiguous(&'static str),
    /// A transfer coding besides chunked.
    UnknownCoding,
}

use FramingFault::{Ambiguous, UnknownCoding};

/// The body of a request.
///
/// RFC 9112 §6.3: both lengths at once "ought to be handled as an error"; here they are one.
pub fn of_request(request: &Request) -> Result<Length, FramingFault> {
    let length = content_length(&request.fields)?;
    let is_chunked = is_chunked(&request.fields, request.version)?;
    match (is_chunked, length) {
        (true, Some(_)) => Err(Ambiguous("both Transfer-Encoding and Content-Length")),
        (true, None) => Ok(Length::Chunked),
        (false, Some(n)) => Ok(Length::Known(n)),
        (false, None) => Ok(Length::None),
    }
}

/// The body of an answer to a request with that method.
pub fn of_answer(answer: &Answer, method: Method) -> Result<Length, FramingFault> {
    let length = content_length(&answer.fields)?;
    let is_chunked = is_chunked(&answer.fields, answer.version)?;
    if is_chunked && length.is_some() {
        return Err(Ambiguous("both Transfer-Encoding and Content-Length"));
    }
    // RFC 9112 §6.3, 1.: these end with their head whatever their fields say.
    if method == Method::Head || answer.status == 304 {
        return Ok(Length::None);
    }
    // RFC 9110 §8.6: a server must not send Content-Length with 1xx or 204, nor (RFC 9112 §6.1)
    // Transfer-Encoding; bytes that follow would be taken for the next answer.
    if answer.status < 200 || answer.status == 204 {
        let is_bare = !is_chunked && length.is_none_or(|n| n == 0);
        return is_bare
            .then_some(Length::None)
            .ok_or(Ambiguous("a body announced where none may be"));
    }
    Ok(match (is_chunked, length) {
        (true, _) => Length::Chunked,
        (false, Some(n)) => Length::Known(n),
        (false, None) => Length::UntilClose,
    })
}

/// RFC 9110 §8.6 allows a list of equal values to be taken for one of them; nobody honest sends it.
pub fn content_length(fields: &Fields) -> Result<Option<u64>, FramingFault> {
    let mut values = fields.values(Name::ContentLength);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Ambiguous("more than one Content-Length"));
    }
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let number = is_number
        .then(|| std::str::from_utf8(value).ok()?.parse().ok())
        .flatten();
    number
        .map(Some)
        .ok_or(Ambiguous("a Content-Length that is no number"))
}

fn is_chunked(fields: &Fields, version: Version) -> Result<bool, FramingFault> {
    let mut values = fields.values(Name::TransferEncoding);
    let Some(value) = values.next() else {
        return Ok(false);
    };
    // RFC 9112 §6.1: with HTTP/1.0 the framing is to be taken for faulty.
    if version == Version::Http10 {
        return Err(Ambiguous("Transfer-Encoding in an HTTP/1.0 message"));
    }
    if values.next().is_some() {
        return Err(Ambiguous("more than one Transfer-Encoding"));
    }
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(true);
    }
    // A list that ends in chunked is well framed, with a coding we do not know before it. Anything else is
    // the mis-spelt "chunked" that smuggling lives on.
    let elements: Vec<_> = super::syntax::list(value).collect();
    let [before @ .., last] = elements.as_slice() else {
        return Err(Ambiguous("an empty Transfer-Encoding"));
    };
    let is_known = |c: &&[u8]| {
        [
            &b"gzip"[..],
            b"x-gzip",
            b"deflate",
            b"compress",
            b"x-compress",
            b"br",
            b"zstd",
        ]
        .iter()
        .any(|k| k.eq_ignore_ascii_case(c))
    };
    let is_list = !before.is_empty() && last.eq_ignore_ascii_case(b"chunked") && before.iter().all(is_known);
    Err(if is_list {
        UnknownCoding
    } else {
        Ambiguous("a Transfer-Encoding other than chunked")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(version: Version, lines: &[(&str, &str)]) -> Request {
        let mut request = Request {
            version,
            ..Request::default()
        };
        lines
            .iter()
            .for_each(|(n, v)| request.fields.push(n.as_bytes(), v.as_bytes()));
        request
    }

    fn answer(status: u16, lines: &[(&str, &str)]) -> Answer {
        let mut answer = Answer {
            status,
            ..Answer::default()
        };
        lines
            .iter()
            .for_each(|(n, v)| answer.fields.push(n.as_bytes(), v.as_bytes()));
        answer
    }

    const CL: &str = "Content-Length";
    const TE: &str = "Transfer-Encoding";

    #[test]
    fn a_request_has_the_body_its_fields_say() {
        let of = |lines: &[(&str, &str)]| of_request(&request(Version::Http11, lines));
        assert_eq!(of(&[]), Ok(Length::None));
        assert_eq!(of(&[(CL, "0")]), Ok(Length::Known(0)));
        assert_eq!(of(&[(CL, "0005")]), Ok(Length::Known(5)));
        assert_eq!(of(&[(TE, "Chunked")]), Ok(Length::Chunked));
        assert_eq!(of(&[(TE, "gzip, chunked")]), Err(UnknownCoding));
    }

    #[test]
    fn what_could_be_read_two_ways_is_refused() {
        for lines in [
            &[(CL, "5"), (TE, "chunked")][..],
            &[(CL, "5"), (CL, "5")],
            &[(CL, "5"), (CL, "6")],
            &[(CL, "5, 5")],
            &[(CL, "+5")],
            &[(CL, "-1")],
            &[(CL, "")],
            &[(CL, "0x5")],
            &[(CL, "5 5")],
            &[(CL, "18446744073709551616")],
            &[(TE, "xchunked")],
            &[(TE, "chunked, chunked")],
            &[(TE, "identity")],
            &[(TE, "")],
            &[(TE, "chunked;q=1")],
            &[(TE, "chunked, identity")],
            &[(TE, "chunked"), (TE, "identity")],
            &[(TE, "\"chunked\"")],
            &[(TE, "gzip")],
            &[(TE, "x, chunked")],
        ] {
            let got = of_request(&request(Version::Http11, lines));
            assert!(matches!(got, Err(Ambiguous(_))), "{lines:?} gave {got:?}");
        }
        assert!(of_request(&request(Version::Http10, &[(TE, "chunked")])).is_err());
    }

    #[test]
    fn an_answer_is_bodiless_by_status_and_method_first() {
        let chunked = [(TE, "chunked")];
        assert_eq!(
            of_answer(&answer(200, &[(CL, "5")]), Method::Head),
            Ok(Length::None)
        );
        assert_eq!(
            of_answer(&answer(304, &[(CL, "5")]), Method::Get),
            Ok(Length::None)
        );
        assert_eq!(of_answer(&answer(204, &[]), Method::Get), Ok(Length::None));
        assert!(of_answer(&answer(204, &[(CL, "5")]), Method::Get).is_err());
        assert!(of_answer(&answer(100, &chunked), Method::Get).is_err());
        assert_eq!(
            of_answer(&answer(200, &chunked), Method::Get),
            Ok(Length::Chunked)
        );
        assert_eq!(of_answer(&answer(200, &[]), Method::Get), Ok(Length::UntilClose));
        assert!(of_answer(&answer(200, &[(CL, "5"), (CL, "5")]), Method::Get).is_err());
        assert!(of_answer(&answer(200, &[(CL, "5"), (TE, "chunked")]), Method::Head).is_err());
    }
}
