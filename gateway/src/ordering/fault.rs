//! Why no certificate has come, and what can be done about it.

use std::fmt;

use instant_acme::{Error, Problem};

use crate::acme::StorageFault;
use crate::outbound::{OutboundFault, TrustFault};

/// Where types of problems begin (RFC 8555 §6.7).
const TYPES: &str = "urn:ietf:params:acme:error:";

/// Characters of what an authority says that are repeated in the log.
const DETAIL_CHARS_MAX: usize = 400;

/// Why an attempt has failed, by whose fault it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OrderFault {
    /// Ours: the folder.
    Storage(StorageFault),
    /// Ours: who vouches for the directory.
    Trust(TrustFault),
    /// The way there.
    Unreachable(String),
    /// The authority refuses: the type of its problem, without what all of them begin with, and what it says.
    Refused {
        /// "rateLimited"
        kind: String,
        /// In its own words.
        detail: String,
    },
    /// A name could not be proved.
    Unproved {
        /// Which one.
        domain: String,
        /// Of the authority's problem.
        kind: String,
        /// In its own words.
        detail: String,
    },
    /// It proves names in no way that we can.
    NoHttp01(String),
    /// Too many proofs are under way.
    NoRoom,
    /// What it says makes no sense.
    Nonsense(String),
    /// What has come is no certificate for our names.
    Unusable(String),
    /// It has not come in time.
    Late,
}

impl OrderFault {
    /// Whether the authority does not know the account we have.
    pub(super) fn is_unknown_account(&self) -> bool {
        matches!(self, Self::Refused { kind, .. } if kind == "accountDoesNotExist")
    }

    /// Whether the authority has thought about the order and does not want it.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { kind, .. } if kind != "rateLimited")
    }

    pub(super) fn of_problem(problem: &Problem) -> Self {
        let (kind, detail) = words(problem);
        Self::Refused { kind, detail }
    }

    pub(super) fn unproved(domain: String, problem: Option<&Problem>) -> Self {
        let (kind, detail) = problem.map_or_else(Default::default, words);
        Self::Unproved { domain, kind, detail }
    }

    /// What can be done about it.
    fn remedy(&self) -> &str {
        match self {
            Self::Storage(_) => "the gateway's user must own `storage` and be able to write there",
            Self::Trust(_) => "the file must hold certificates in PEM",
            Self::Unreachable(_) => {
                "check `directory`, the network, and `ca_file` for an authority of your own"
            }
            Self::Unproved { kind, .. } => of_proof(kind),
            Self::Refused { kind, .. } => of_refusal(kind),
            Self::NoHttp01(_) => {
                "this build proves names by HTTP-01 alone: bring a certificate in cert_file and key_file"
            }
            Self::NoRoom => "it is tried again when others are done",
            Self::Nonsense(_) => "check that `directory` is the URL of an ACME directory",
            Self::Unusable(_) => "the authority has to be asked why",
            Self::Late => "it is tried again",
        }
    }
}

fn words(problem: &Problem) -> (String, String) {
    let kind = problem.r#type.as_deref().unwrap_or_default();
    let kind = kind.strip_prefix(TYPES).unwrap_or(kind);
    let mut detail = problem.detail.clone().unwrap_or_default();
    for sub in &problem.subproblems {
        if let Some(more) = &sub.detail {
            detail.push_str("; ");
            detail.push_str(more);
        }
    }
    (plain(kind), plain(&detail))
}

/// What others say goes into one line of the log, whatever it holds.
fn plain(text: &str) -> String {
    let fits = text.chars().take(DETAIL_CHARS_MAX);
    fits.map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// What to do where a name could not be proved.
fn of_proof(kind: &str) -> &'static str {
    match kind {
        "dns" => "the name must lead to this gateway in public DNS (A and AAAA)",
        "caa" => "the name's CAA records must allow this authority",
        _ => {
            "http://NAME/.well-known/acme-challenge/ must lead from port 80 to a listener of this gateway in clear text: \
             check DNS (A and AAAA), firewalls, and whoever stands in front"
        }
    }
}

/// What to do where an order is refused.
fn of_refusal(kind: &str) -> &'static str {
    match kind {
        "rateLimited" => "wait; to try things out, take the authority's directory for staging",
        "caa" => "the names' CAA records must allow this authority",
        "dns" => "the names must lead to this gateway in public DNS (A and AAAA)",
        "rejectedIdentifier" | "unsupportedIdentifier" => {
            "the authority certifies no such name: check `domains`"
        }
        "invalidContact" | "unsupportedContact" => "check `email`",
        "userActionRequired" => "the authority wants something of you: see what it says",
        "externalAccountRequired" => {
            "this authority wants an account that was made with it before, which this build cannot show: take another"
        }
        "unauthorized" => {
            "if the account was closed, put account.json in `storage` aside: another one is made"
        }
        _ => "see what it says",
    }
}

impl From<Error> for OrderFault {
    fn from(error: Error) -> Self {
        match error {
            Error::Api(problem) => Self::of_problem(&problem),
            Error::Timeout(_) => Self::Late,
            Error::Other(cause) => match cause.downcast_ref::<OutboundFault>() {
                Some(fault) => Self::Unreachable(fault.to_string()),
                None => Self::Nonsense(plain(&cause.to_string())),
            },
            other => Self::Nonsense(plain(&other.to_string())),
        }
    }
}

impl From<StorageFault> for OrderFault {
    fn from(fault: StorageFault) -> Self {
        Self::Storage(fault)
    }
}

impl fmt::Display for OrderFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Storage(fault) => write!(f, "{fault}")?,
            Self::Trust(fault) => write!(f, "{fault}")?,
            Self::Unreachable(why) => write!(f, "the authority cannot be asked: {why}")?,
            Self::Refused { kind, detail } => write!(f, "the authority refuses ({kind}): {detail}")?,
            Self::Unproved { domain, kind, detail } => write!(
                f,
                "\"{domain}\" could not be proved to be ours ({kind}): {detail}"
            )?,
            Self::NoHttp01(domain) => write!(f, "the authority wants another proof for \"{domain}\"")?,
            Self::NoRoom => write!(f, "too many proofs are under way at once")?,
            Self::Nonsense(why) => write!(f, "the authority's answer makes no sense: {why}")?,
            Self::Unusable(why) => write!(f, "what came cannot be used: {why}")?,
            Self::Late => write!(f, "the authority has taken too long")?,
        }
        write!(f, " ({})", self.remedy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(json: &str) -> Problem {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_an_authority_says_becomes_one_line_with_a_remedy() {
        let fault = OrderFault::from(Error::Api(problem(
            r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many\nof you","status":429}"#,
        )));
        let text = fault.to_string();
        assert!(text.contains("(rateLimited): too many of you (wait;"), "{text}");
        assert!(!fault.is_refusal());
        let long = format!(r#"{{"type":"x","detail":"{}"}}"#, "a".repeat(10_000));
        assert!(OrderFault::of_problem(&problem(&long)).to_string().len() < 1_000);
    }

    #[test]
    fn an_account_nobody_knows_is_told_from_other_refusals() {
        let of = |kind: &str| OrderFault::of_problem(&problem(&format!(r#"{{"type":"{TYPES}{kind}"}}"#)));
        assert!(of("accountDoesNotExist").is_unknown_account());
        assert!(!of("unauthorized").is_unknown_account());
        assert!(of("alreadyReplaced").is_refusal());
    }

    #[test]
    fn a_proof_that_failed_says_of_which_name() {
        let said = problem(r#"{"type":"urn:ietf:params:acme:error:dns","detail":"NXDOMAIN"}"#);
        let text = OrderFault::unproved("a.test".to_owned(), Some(&said)).to_string();
        assert!(
            text.contains("\"a.test\"") && text.contains("public DNS"),
            "{text}"
        );
        let text = OrderFault::unproved("a.test".to_owned(), None).to_string();
        assert!(text.contains("port 80"), "{text}");
    }
}
