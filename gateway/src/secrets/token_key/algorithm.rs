//! The algorithms of RFC 7518 §3.1 and RFC 8037 §3.1 that signatures may have here.

/// What tokens are signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TokenAlgorithm {
    /// Ed25519
    EdDsa,
    /// ECDSA on P-256
    Es256,
    /// ECDSA on P-384
    Es384,
    /// HMAC with SHA-256
    Hs256,
    /// HMAC with SHA-384
    Hs384,
    /// HMAC with SHA-512
    Hs512,
    /// RSASSA-PSS with SHA-256
    Ps256,
    /// RSASSA-PKCS1-v1_5 with SHA-256
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512
    Rs512,
}

impl TokenAlgorithm {
    /// All of them, sorted.
    pub const ALL: [Self; 10] = [
        Self::EdDsa,
        Self::Es256,
        Self::Es384,
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
        Self::Ps256,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
    ];

    /// As `alg` names it.
    pub const fn jose_name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Ps256 => "PS256",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
        }
    }

    /// Which one `alg` names, in exactly these letters (RFC 7515 §4.1.1: case-sensitive); None for `none` too.
    pub fn of_jose_name(name: &str) -> Option<Self> {
        // RFC 9864 §2.2: "Ed25519" says what "EdDSA" has always meant here.
        if name == "Ed25519" {
            return Some(Self::EdDsa);
        }
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.jose_name() == name)
    }
}
