//! Heads of requests and answers.

use gateway::wire::edit::{Passage, write_line};
use gateway::wire::framing::{of_answer, of_request};
use gateway::wire::target::Form;
use gateway::wire::{
    Answer, Field, Fields, HeadFault, HeadLimits, HeadScan, Length, Method, Name, Request, Version,
};

/// Small enough that inputs reach all of them.
const LIMITS: HeadLimits = HeadLimits {
    bytes_max: 2048,
    fields_max: 16,
    target_bytes_max: 512,
    leading_lines_max: 2,
};

/// The head of a request: what is accepted can be told in other words, and nothing in it can be read in two ways.
pub fn request(data: &[u8]) {
    let Some(head) = scanned(data) else { return };
    let mut request = Request::default();
    let verdict = request.parse(head, LIMITS);
    // Nothing of one request may be left for the next.
    let mut used = Request::default();
    _ = used.parse(
        b"PUT http://b/x/../y?z HTTP/1.0\r\nHost: b\r\nTE: a\r\n\r\n",
        LIMITS,
    );
    assert_eq!(used.parse(head, LIMITS), verdict);
    if verdict.is_err() {
        return;
    }
    assert_eq!(format!("{used:?}"), format!("{request:?}"));
    check_lines(&request.fields);
    check_request(&request);
    let mut again = Request::default();
    let told = told(&request);
    assert_eq!(again.parse(&told, LIMITS_TOLD), Ok(()), "{}", told.escape_ascii());
    again.form = request.form;
    // The absolute form may have said it in other capitals than the field.
    assert!(again.authority.eq_ignore_ascii_case(&request.authority));
    again.authority.clone_from(&request.authority);
    assert_eq!(lines_of(&mut again.fields), lines_of(&mut request.fields));
    assert_eq!(format!("{again:?}"), format!("{request:?}"));
}

/// What is written anew may be a little longer: a space behind each colon.
const LIMITS_TOLD: HeadLimits = HeadLimits {
    bytes_max: 4096,
    target_bytes_max: 4096,
    ..LIMITS
};

/// The same in the form that origins get it in.
fn told(request: &Request) -> Vec<u8> {
    let query = request
        .query
        .as_ref()
        .map(|q| format!("?{q}"))
        .unwrap_or_default();
    let has_host = request.fields.first(Name::Host).is_some();
    let target = match request.form {
        Form::Asterisk => "*".to_owned(),
        Form::Authority => request.authority.clone(),
        // An old client may say its host in the target alone.
        Form::Absolute if !has_host => format!("http://{}{}{query}", request.authority, request.raw_path),
        Form::Absolute | Form::Origin => format!("{}{query}", request.raw_path),
    };
    let version = version_text(request.version);
    let mut out = format!("{} {target} {version}\r\n", request.method_text).into_bytes();
    write_lines(&mut out, &request.fields);
    out
}

fn check_request(request: &Request) {
    assert!(request.method_text.bytes().all(|b| b.is_ascii_graphic()));
    assert!(request.path.starts_with('/') && request.raw_path.starts_with('/'));
    assert!(!request.path.contains("//") && !request.path.split('/').any(|s| matches!(s, "." | "..")));
    assert!(
        !request
            .host
            .bytes()
            .any(|b| b.is_ascii_uppercase() || b <= b' ' || b == b'/' || b == b'@')
    );
    assert!(request.version == Version::Http10 || !request.host.is_empty());
    let text = [&request.raw_path, &request.path, &request.authority];
    assert!(
        text.iter().all(|t| t.bytes().all(|b| b.is_ascii_graphic())),
        "{request:?}"
    );
    match of_request(request) {
        Ok(Length::Chunked) => {
            assert!(
                request.version == Version::Http11 && request.fields.first(Name::ContentLength).is_none()
            );
        }
        Ok(Length::Known(n)) => {
            assert!(request.fields.first(Name::TransferEncoding).is_none());
            let said = request.fields.first(Name::ContentLength).unwrap_or_default();
            let zeros = said
                .iter()
                .take_while(|b| **b == b'0')
                .count()
                .min(said.len() - 1);
            assert_eq!(&said[zeros..], n.to_string().as_bytes());
        }
        Ok(Length::None) => assert!(request.fields.first(Name::ContentLength).is_none()),
        Ok(Length::UntilClose) => panic!("no request ends with its connection"),
        Err(_) => {}
    }
}

/// The head of an answer.
pub fn answer(data: &[u8]) {
    let Some(head) = scanned(data) else { return };
    let mut answer = Answer::default();
    let verdict = answer.parse(head, LIMITS);
    let mut used = Answer::default();
    _ = used.parse(b"HTTP/1.0 404 Gone\r\nA: b\r\n\r\n", LIMITS);
    assert_eq!(used.parse(head, LIMITS), verdict);
    if verdict.is_err() {
        return;
    }
    assert_eq!(format!("{used:?}"), format!("{answer:?}"));
    assert!((100..=599).contains(&answer.status), "{}", answer.status);
    check_lines(&answer.fields);
    for method in [Method::Get, Method::Head, Method::Connect, Method::Post] {
        let length = of_answer(&answer, method);
        let is_bodiless = method == Method::Head || matches!(answer.status, 100..=199 | 204 | 304);
        assert!(
            !is_bodiless || matches!(length, Ok(Length::None) | Err(_)),
            "{length:?}"
        );
    }
    let mut told = format!("{} {} ", version_text(answer.version), answer.status).into_bytes();
    told.extend_from_slice(&answer.reason);
    told.extend_from_slice(b"\r\n");
    write_lines(&mut told, &answer.fields);
    let mut again = Answer::default();
    assert_eq!(again.parse(&told, LIMITS_TOLD), Ok(()), "{}", told.escape_ascii());
    assert_eq!(lines_of(&mut again.fields), lines_of(&mut answer.fields));
    assert_eq!(format!("{again:?}"), format!("{answer:?}"));
}

/// Takes the lines out, to be compared by what they say: where they lie depends on how they came.
fn lines_of(fields: &mut Fields) -> Vec<(Name, Vec<u8>, Vec<u8>)> {
    let line = |f: Field<'_>| (f.known, f.name.to_vec(), f.value.to_vec());
    let lines = fields.iter().map(line).collect();
    *fields = Fields::default();
    lines
}

/// Looks for the head at once and in pieces: the verdict is the same. The head, if there is one.
fn scanned(data: &[u8]) -> Option<&[u8]> {
    let whole = HeadScan::default().advance(data, LIMITS);
    for step in [1, 7, 64] {
        assert!(
            alike(in_pieces(data, step), whole),
            "in pieces of {step}: {whole:?}"
        );
    }
    let (start, end) = whole.ok()??;
    assert!(start < end && end <= data.len());
    let head = &data[start..end];
    assert!(head.ends_with(b"\r\n\r\n") && !head.starts_with(b"\r\n") && head.len() <= LIMITS.bytes_max);
    Some(head)
}

type Scanned = Result<Option<(usize, usize)>, HeadFault>;

fn in_pieces(data: &[u8], step: usize) -> Scanned {
    let mut scan = HeadScan::default();
    for end in (step..data.len()).step_by(step) {
        match scan.advance(&data[..end], LIMITS) {
            Ok(None) => {}
            decided => return decided,
        }
    }
    scan.advance(data, LIMITS)
}

/// A line may be too long before it turns out that it ends badly, too.
fn alike(a: Scanned, b: Scanned) -> bool {
    a == b || (a.is_err() && b.is_err())
}

fn check_lines(fields: &Fields) {
    assert!(fields.len() <= LIMITS.fields_max);
    for field in fields.iter() {
        assert!(!field.name.is_empty() && field.name.iter().all(u8::is_ascii_graphic));
        assert!(
            !field.name.iter().any(|b| b":(),;\"/[]{}<>?=@\\".contains(b)),
            "{field:?}"
        );
        assert!(
            !field
                .value
                .iter()
                .any(|b| (*b < b' ' && *b != b'\t') || *b == 0x7f),
            "{field:?}"
        );
        assert_eq!(field.value.trim_ascii(), field.value);
        assert_eq!(Name::of(field.name), field.known);
    }
    let passage = Passage::new(fields);
    for field in fields.iter().filter(|field| passage.allows(field)) {
        let is_of_connection = [
            "connection",
            "transfer-encoding",
            "keep-alive",
            "upgrade",
            "te",
            "proxy-connection",
        ];
        let name = String::from_utf8_lossy(field.name).to_ascii_lowercase();
        assert!(!is_of_connection.contains(&name.as_str()), "{name} passes");
        assert!(
            !fields.has_option(&name) || matches!(name.as_str(), "close"),
            "{name} was nominated"
        );
    }
}

fn version_text(version: Version) -> &'static str {
    match version {
        Version::Http10 => "HTTP/1.0",
        Version::Http11 => "HTTP/1.1",
    }
}

fn write_lines(out: &mut Vec<u8>, fields: &Fields) {
    for field in fields.iter() {
        write_line(out, field.name, field.value);
    }
    out.extend_from_slice(b"\r\n");
}
