//! Edits of fields, and the templates in them.

use std::collections::BTreeMap;

use crate::config::findings::Findings;
use crate::config::hints;
use crate::config::plan::Edits;
use crate::config::raw;
use crate::config::raw::leaf::{self, At, Maybe, Span};
use crate::kit::template::{RequestVariable, Template, TemplateFault, Variable};
use crate::wire::name::Name;
use crate::wire::syntax;

/// Whose head is edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The request's, on the way to the origin.
    Request,
    /// The answer's, on the way to the client.
    Response,
}

/// What is done with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Add,
    Remove,
    Set,
}

/// `request_headers` or `response_headers`
pub fn edits(raw: &raw::Edits, side: Side, path: &str, findings: &mut Findings<'_>) -> Edits {
    let mut remove = Vec::new();
    for name in raw.remove.iter().flat_map(|list| &list.value) {
        if is_editable(name, side, Verb::Remove, &format!("{path}.remove"), findings) {
            remove.push(name.value.to_ascii_lowercase());
        }
    }
    remove.sort();
    remove.dedup();
    Edits {
        remove,
        set: fields(&raw.set, side, Verb::Set, &format!("{path}.set"), findings),
        add: fields(&raw.add, side, Verb::Add, &format!("{path}.add"), findings),
    }
}

fn fields(
    raw: &Maybe<BTreeMap<At<String>, At<leaf::Template>>>,
    side: Side,
    verb: Verb,
    path: &str,
    findings: &mut Findings<'_>,
) -> Vec<(String, Template<RequestVariable>)> {
    let mut seen: BTreeMap<String, Span> = BTreeMap::new();
    let mut fields = Vec::new();
    for (name, value) in raw.iter().flat_map(|map| &map.value) {
        let path = format!("{path}.{}", name.value);
        if !is_editable(name, side, verb, &path, findings) {
            continue;
        }
        if let Some(first) = seen.insert(name.value.to_ascii_lowercase(), name.span.clone()) {
            let message = format!("{} is named twice: case makes no difference", name.value);
            let help = format!("the other stands at {}", findings.place(&first));
            findings.error(&name.span, &path, message).help(help);
        }
        let text = &value.value.0;
        if !syntax::is_value(text.as_bytes()) {
            let problem = findings.error(
                &value.span,
                &path,
                "the value of a field cannot hold control characters",
            );
            problem.help("a line end in a field would begin another field");
            continue;
        }
        if text.is_empty() {
            let message = format!("{} will be sent with an empty value", name.value);
            let problem = findings.warning(&value.span, &path, message);
            problem.help(format!("remove = [\"{}\"] takes it away", name.value));
        }
        if let Some(template) = template(text, &value.span, &path, findings) {
            fields.push((name.value.clone(), template));
        }
    }
    fields
}

/// Whether a route may touch this field; told if not.
fn is_editable(name: &At<String>, side: Side, verb: Verb, path: &str, findings: &mut Findings<'_>) -> bool {
    if !is_free(name, path, findings) {
        return false;
    }
    let known = Name::of(name.value.as_bytes());
    if known == Name::Host && !(side == Side::Request && verb == Verb::Set) {
        let problem = findings.error(&name.span, path, "Host can only be set, and only on requests");
        problem.help("request_headers = { set = { Host = \"app.internal\" } }");
        return false;
    }
    true
}

/// Whether this is a field that is not the gateway's own; told if not. RFC 9112 §6.3 says how a wrong one of those that
/// frame a message makes two readers see two different messages.
pub fn is_free(name: &At<String>, path: &str, findings: &mut Findings<'_>) -> bool {
    let text = &name.value;
    if !syntax::is_token(text.as_bytes()) {
        let message = format!("\"{text}\" cannot be the name of a field");
        let problem = findings.error(&name.span, path, message);
        problem.help("write letters, digits and \"-\"; set = { X-Name = \"value\" }");
        return false;
    }
    let known = Name::of(text.as_bytes());
    let framing = matches!(known, Name::ContentLength | Name::Trailer);
    if known.is_hop_by_hop() || framing {
        let message = format!("{text} belongs to the connection and is the gateway's own");
        let problem = findings.error(&name.span, path, message);
        problem.help("take it out: it is sent rightly by itself");
        return false;
    }
    true
}

/// A text with variables; None with a problem told.
pub fn template<V: Variable>(
    text: &str,
    span: &Span,
    path: &str,
    findings: &mut Findings<'_>,
) -> Option<Template<V>> {
    match Template::parse(text) {
        Ok(template) => Some(template),
        Err(TemplateFault::Unclosed) => {
            let span = findings.part(span, "${");
            let problem = findings.error(&span, path, "a \"${\" is never closed");
            problem.help("write ${variable}; $${ stands for ${ itself");
            None
        }
        Err(TemplateFault::Unknown(name)) => {
            let span = findings.part(span, &format!("${{{name}}}"));
            let message = format!("there is no variable ${{{name}}}");
            let names = V::names();
            let help = hints::closest(&name, &names).map_or_else(
                || format!("known: {}; $${{ stands for ${{ itself", names.join(", ")),
                |close| format!("did you mean ${{{close}}}?"),
            );
            findings.error(&span, path, message).help(help);
            None
        }
    }
}
