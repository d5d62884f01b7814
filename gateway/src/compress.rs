//! Content codings: which one a client gets, and the bytes in it.
