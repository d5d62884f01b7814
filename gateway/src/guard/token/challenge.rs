//! What `WWW-Authenticate` says to a request that is turned away (RFC 6750 §3).

use super::{NoToken, TokenFault};

/// Appends the value for a token that was not believed. It tells whether a new token would help, and no more: why it
/// was not believed is for our log.
pub fn challenge(fault: &TokenFault, realm: &str, out: &mut Vec<u8>) {
    let description = match fault {
        TokenFault::Expired => "The token has expired",
        TokenFault::Algorithm
        | TokenFault::Audience
        | TokenFault::Critical
        | TokenFault::Encrypted
        | TokenFault::Issuer
        | TokenFault::Malformed
        | TokenFault::NoExpiry
        | TokenFault::NotYet
        | TokenFault::Signature
        | TokenFault::TooLong
        | TokenFault::UnknownKey => "The token is not valid",
    };
    write_realm(realm, out);
    write_error("invalid_token", description, out);
}

/// Appends the value for a request without a token, or with more than one.
pub fn challenge_without(why: NoToken, realm: &str, out: &mut Vec<u8>) {
    write_realm(realm, out);
    match why {
        // RFC 6750 §3.1: without credentials no error "SHOULD" be told.
        NoToken::Missing => {}
        NoToken::Ambiguous => write_error("invalid_request", "There is more than one token", out),
    }
}

fn write_realm(realm: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Bearer realm=\"");
    for byte in realm.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' => out.push(byte),
            // Nothing else may stand in a quoted string and be understood everywhere.
            _ => out.push(b'?'),
        }
    }
    out.push(b'"');
}

fn write_error(error: &str, description: &str, out: &mut Vec<u8>) {
    for part in [", error=\"", error, "\", error_description=\"", description, "\""] {
        out.extend_from_slice(part.as_bytes());
    }
}
