//! Pure tools that know nothing of requests: time, quantities, names, networks, templates.

pub mod accept;
pub mod byteranges;
pub mod clock;
pub mod etag;
pub mod ewma;
pub mod grpc;
pub mod host;
pub mod http_date;
pub mod networks;
pub mod outage;
pub mod pattern;
pub mod range;
pub mod ring;
pub mod template;
pub mod trace_context;
pub mod turns;
pub mod units;
