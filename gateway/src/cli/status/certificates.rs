//! Certificates, and how it stands with those that are ordered.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::cli::table::{Side, Table};

/// A certificate.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Certificate {
    source: String,
    /// None while there is none.
    not_after: Option<String>,
    /// None for one from files.
    order: Option<Order>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Order {
    state: String,
    next_attempt: Option<String>,
    fault: Option<String>,
    orders: u64,
    failures: u64,
}

pub(super) fn table(certificates: &BTreeMap<String, Certificate>) -> Table {
    let mut table = Table::new([
        ("CERTIFICATE", Side::Left),
        ("SOURCE", Side::Left),
        ("HOLDS UNTIL", Side::Left),
        ("ORDER", Side::Left),
        ("NEXT ORDER", Side::Left),
        ("ORDERS", Side::Right),
        ("FAILURES", Side::Right),
    ]);
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    for (name, certificate) in certificates {
        let order = certificate.order.as_ref();
        let until = certificate.not_after.clone();
        table.row([
            name.clone(),
            certificate.source.clone(),
            until.unwrap_or_else(|| "none yet".to_owned()),
            or_dash(order.map(|o| o.state.clone())),
            or_dash(order.and_then(|o| o.next_attempt.clone())),
            or_dash(order.map(|o| o.orders.to_string())),
            or_dash(order.map(|o| o.failures.to_string())),
        ]);
    }
    table
}

/// Those whose last order has brought nothing.
pub(super) fn faults(
    certificates: &BTreeMap<String, Certificate>,
) -> impl Iterator<Item = (&String, String)> {
    certificates.iter().filter_map(|(name, certificate)| {
        let fault = certificate.order.as_ref()?.fault.as_ref()?;
        Some((name, format!("no new certificate has come: {fault}")))
    })
}

#[cfg(test)]
mod tests {
    use super::super::Status;

    #[test]
    fn certificates_are_shown_with_their_orders_and_what_is_wrong_with_them() {
        let status: Status = serde_json::from_str(
            r#"{ "certificates": {
                "files": { "domains": ["a.test"], "source": "files", "not_after": "T1" },
                "new": { "source": "acme", "not_after": null, "order": { "state": "ordering", "next_attempt": null, "fault": null, "orders": 0, "failures": 0 } },
                "site": { "source": "acme", "not_after": "T2", "order": { "state": "waiting", "next_attempt": "T3", "fault": "too\nmany", "orders": 12, "failures": 3 } } } }"#,
        )
        .unwrap();
        let text = status.render(false);
        let expected = "
CERTIFICATE  SOURCE  HOLDS UNTIL  ORDER     NEXT ORDER  ORDERS  FAILURES
files        files   T1           -         -                -         -
new          acme    none yet     ordering  -                0         0
site         acme    T2           waiting   T3              12         3
site: no new certificate has come: too many
";
        assert!(text.ends_with(expected), "{text}");
    }
}
