//! guard: who may come in, how fast, how many.
