/// The script that counts in Redis, next to a count that is easy to believe.
mod script;
/// The link to Redis: limits that several gateways count together.
mod shared;
