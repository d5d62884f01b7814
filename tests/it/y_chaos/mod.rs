//! What goes wrong around a gateway, made to go wrong.

/// Clients that leave.
mod clients;
/// Wall clocks that are set.
mod clocks;
/// No descriptor is left.
mod descriptors;
/// Disks that cannot be written.
mod disks;
/// Origins that take their time, or leave.
mod origins;
/// The way to Redis.
mod redis;
/// Ways between clients, the gateway and origins.
mod ways;
