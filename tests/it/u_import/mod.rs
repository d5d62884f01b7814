//! nginx and Sluice side by side: each sample of conf/nginx in its two forms, in front of the same origins, is asked the same.
//!
//! What differs is named where it is asked, with its reason; a difference that is gone fails as one that is new does.

/// Limits and a cache.
mod api;
/// Four servers behind one name.
mod balancer;
/// Files.
mod cdn;
/// TLS in front of servers.
mod edge;
/// A real nginx.
mod nginx;
/// Two answers, and what of them has to be the same.
mod pair;

/// Why nginx and Sluice differ, on purpose.
mod why {
    /// `(what, reason)`
    pub type Difference = (&'static str, &'static str);

    pub const EDITS_GO_EVERYWHERE: &str =
        "a route's response_headers go with every answer; add_header without `always` with 2xx and 3xx";
    pub const FOLDERS_ARE_NOTHING: &str =
        "a folder without index is 404 and not 403: that it is there is nobody's business";
    pub const JAVASCRIPT: &str = "JavaScript is text/javascript (RFC 9239)";
    pub const NOT_MODIFIED: &str = "a 304 with an ETag needs no date (RFC 9110 section 15.4.5)";
    pub const PARTS_SAY_RANGES: &str = "a part says like the whole that there are parts";
    pub const NOTE: &str = "the note that goes with a redirect is plain text";
    pub const METHODS_OF_FILES: &str = "405 says which methods there are (RFC 9110 section 15.5.6)";
    pub const REFUSED: &str = "what is over a limit is told when to come again";
}
