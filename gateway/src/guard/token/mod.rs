//! Tokens (JWT, RFC 7519): where a request carries one, whose it is, and whether it holds.
//!
//! [`bearer`] finds the text, [`Verified::judge`] judges it, [`challenge`] says no. [`Issuer`] has the keys that are
//! fetched. Nothing here follows what a token says about where its key is to be had.

mod bearer;
mod challenge;
mod claims;
mod compact;
mod issuer;
mod judge;
mod keys;
#[cfg(test)]
mod tests;
mod verified;

pub use bearer::{NoToken, bearer};
pub use challenge::{challenge, challenge_without};
pub use claims::Claims;
pub use issuer::Issuer;
pub use judge::judge;
pub use keys::Keys;
pub use verified::{Terms, Verified};

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// Its algorithm is `none`, unknown, not permitted, or not for the key it names.
    Algorithm,
    /// It is for somebody else.
    Audience,
    /// It asks for an extension to be understood (`crit`, or `b64` without it).
    Critical,
    /// It is encrypted.
    Encrypted,
    /// Its time is over.
    Expired,
    /// It is from somebody else.
    Issuer,
    /// It is no JWT, or not written as it must be.
    Malformed,
    /// It does not say when it ends.
    NoExpiry,
    /// Its time has not come.
    NotYet,
    /// The signature is not by the key.
    Signature,
    /// It has more bytes than are looked at.
    TooLong,
    /// No key is known that may have signed it. A fetch may bring one: see [`Issuer::want`].
    UnknownKey,
}

impl TokenFault {
    /// As logs name it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Algorithm => "algorithm",
            Self::Audience => "audience",
            Self::Critical => "critical",
            Self::Encrypted => "encrypted",
            Self::Expired => "expired",
            Self::Issuer => "issuer",
            Self::Malformed => "malformed",
            Self::NoExpiry => "no_expiry",
            Self::NotYet => "not_yet",
            Self::Signature => "signature",
            Self::TooLong => "too_long",
            Self::UnknownKey => "unknown_key",
        }
    }
}
