//! The configuration room from outside: files in, plans or problems out.

use std::path::Path;

use gateway::config;

#[test]
fn the_demo_loads() {
    let loaded = config::load(Path::new("../conf/demo.toml"), &|_| None).unwrap_or_else(|p| panic!("{p}"));
    assert_eq!(loaded.plan.upstreams.len(), 1);
    assert_eq!(loaded.warnings.0, []);
}
