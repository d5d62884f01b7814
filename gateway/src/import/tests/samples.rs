//! The samples in conf/nginx are what the importer makes of their neighbours.

use std::fs;
use std::path::Path;

use super::{Outcome, Shelf, import};

const SAMPLES: [&str; 4] = ["api", "balancer", "cdn", "edge"];

fn sample(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../conf/nginx")
        .join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_samples_are_what_the_importer_makes_of_them() {
    for name in SAMPLES {
        let conf = format!("{name}.conf");
        let imported = import(&Shelf::default().with(&conf, sample(&conf)), Path::new(&conf)).unwrap();
        let file = sample(&format!("{name}.toml"));
        // Its first line says what it is.
        let (_, body) = file.split_once("\n\n").unwrap();
        assert_eq!(imported.toml, body, "conf/nginx/{name}.toml");
        assert_eq!(
            imported.report.count(Outcome::NotTranslated),
            0,
            "{name}: {:#?}",
            imported.report
        );
    }
}

#[test]
fn each_directive_of_a_sample_is_in_the_report() {
    for name in SAMPLES {
        let conf = format!("{name}.conf");
        let text = sample(&conf);
        let imported = import(&Shelf::default().with(&conf, &text), Path::new(&conf)).unwrap();
        let directives = text.matches(';').count() + text.matches('{').count();
        // A quoted text may hold a semicolon, and a map's lines are directives too; these have neither.
        assert_eq!(imported.report.entries.len(), directives, "{name}");
    }
}
