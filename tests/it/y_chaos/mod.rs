//! What goes wrong around a gateway, made to go wrong.

/// Wall clocks that are set.
mod clocks;
/// No descriptor is left.
mod descriptors;
/// Disks that cannot be written.
mod disks;
/// The way to Redis.
mod redis;
/// Ways between clients, the gateway and origins.
mod ways;
