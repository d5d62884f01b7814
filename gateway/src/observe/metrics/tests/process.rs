use super::{assert_exported, busy, now};

#[test]
fn what_happened_to_the_gateway_is_what_is_exported() {
    let metrics = busy();
    assert_exported(
        &metrics,
        &[
            ("sluice_config_last_reload_successful", 0.0),
            ("sluice_config_loaded_timestamp_seconds", 1_795_178_096.0),
            (r#"sluice_config_reloads_total{result="ok"}"#, 1.0),
            (r#"sluice_config_reloads_total{result="error"}"#, 1.0),
            (r#"sluice_upgrades_total{result="ok"}"#, 2.0),
            (r#"sluice_upgrades_total{result="error"}"#, 4.0),
            (r#"sluice_build_info{version="1.2.3"}"#, 1.0),
            ("sluice_access_log_dropped_total", 7.0),
            ("sluice_access_log_errors_total", 0.0),
        ],
    );
    metrics.reloaded(now());
    assert_exported(&metrics, &[("sluice_config_last_reload_successful", 1.0)]);
}
