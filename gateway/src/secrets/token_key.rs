//! Keys that tokens are signed with.

/// One key of an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenKey {
    /// `kid`; None fits every token.
    pub id: Option<String>,
}
