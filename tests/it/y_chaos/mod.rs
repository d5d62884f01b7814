//! What goes wrong around a gateway, made to go wrong.

/// No descriptor is left.
mod descriptors;
/// Ways between clients, the gateway and origins.
mod ways;
