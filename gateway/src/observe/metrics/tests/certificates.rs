use super::{assert_exported, busy};
use crate::observe::OrderSample;

pub fn orders() -> Vec<OrderSample<'static>> {
    vec![OrderSample {
        certificate: "ordered",
        brought: 2,
        failed: 3,
        next_attempt: Some(1_700_000_000),
    }]
}

#[test]
fn what_is_known_of_certificates_is_exported_as_it_is() {
    assert_exported(
        &busy(),
        &[
            (
                r#"sluice_certificate_expiry_timestamp_seconds{certificate="example"}"#,
                1_800_000_000.0,
            ),
            (
                r#"sluice_acme_orders_total{certificate="ordered",result="ok"}"#,
                2.0,
            ),
            (
                r#"sluice_acme_orders_total{certificate="ordered",result="error"}"#,
                3.0,
            ),
            (
                r#"sluice_acme_next_attempt_timestamp_seconds{certificate="ordered"}"#,
                1_700_000_000.0,
            ),
        ],
    );
}
