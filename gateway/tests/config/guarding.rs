//! What of guards is inherited, inferred, watched and left out.
