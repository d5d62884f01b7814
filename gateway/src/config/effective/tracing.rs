//! `[tracing]`

use super::{Section, duration, plain, quoted, table};
use crate::config::plan::Tracing;

/// With every default. The values of headers may be secrets, so they are left out.
pub fn tracing(tracing: &Tracing) -> Section {
    let mut out = Section::new("[tracing]");
    out.key("otlp_endpoint", plain(&tracing.url));
    out.key("sample", share(tracing.sample_ppm));
    out.key("service_name", quoted(&tracing.service_name));
    let hidden = tracing.headers.iter().map(|(name, _)| (name, quoted("***")));
    out.key("headers", table(hidden));
    out.key("timeout", duration(tracing.timeout));
    out.key("max_queue", tracing.queue_max);
    out
}

/// Parts of a million as a number that is read as the same.
fn share(ppm: u32) -> String {
    let (whole, rest) = (ppm / 1_000_000, ppm % 1_000_000);
    let digits = format!("{rest:06}");
    let digits = digits.trim_end_matches('0');
    match digits {
        "" => format!("{whole}.0"),
        digits => format!("{whole}.{digits}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_written_as_people_write_it() {
        assert_eq!(share(10_000), "0.01");
        assert_eq!(share(1_000_000), "1.0");
        assert_eq!(share(0), "0.0");
        assert_eq!(share(1), "0.000001");
    }
}
