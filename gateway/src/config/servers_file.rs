//! A file of servers, as `discover = { file = "…" }` names it: a list `servers` in TOML or JSON, or in JSON the bare list.

use std::path::Path;

use toml::de::DeTable;

use super::check::upstreams;
use super::findings::Findings;
use super::plan::UpstreamServer;
use super::problem::{Problem, Problems};
use super::raw::ServersFile;
use super::source::{self, Source};
use super::{parse, raw, schema, syntax_problems, unreadable, walk};

/// Reads and checks a file of servers; what ends in ".json" is JSON, all else TOML. References to the environment are
/// not known in it.
///
/// # Errors
/// All problems at once. In JSON they have a path and no line.
pub fn load_servers(path: &Path) -> Result<Vec<UpstreamServer>, Problems> {
    let name = path.display().to_string();
    let fault = |why: &str| Problems(vec![unreadable(&name, why)]);
    let text = source::read(path).map_err(|why| fault(&why))?;
    if path.extension().is_some_and(|ending| ending == "json") {
        let text = as_toml(&text).map_err(|why| fault(&why))?;
        return servers(&name, text).map_err(without_places);
    }
    servers(&name, text)
}

fn servers(name: &str, text: String) -> Result<Vec<UpstreamServer>, Problems> {
    let source = Source::new(name.to_owned(), text, 0);
    let sources = [&source];
    let mut findings = Findings::new(&sources);
    let (mut table, syntax) = parse(&source);
    syntax_problems(&syntax, &source, &mut findings);
    walk::walk(&mut table, &schema::servers_shape(), &|_| None, &mut findings);
    let servers = read(table, &mut findings);
    let servers = upstreams::servers(servers.servers.as_ref(), "servers", &mut findings);
    match findings.failed() {
        true => Err(findings.into_problems()),
        false => Ok(servers),
    }
}

fn read(table: DeTable<'_>, findings: &mut Findings<'_>) -> ServersFile {
    raw::read(table).unwrap_or_else(|(span, message)| {
        findings.error(&span, "", message);
        ServersFile::default()
    })
}

/// The same in TOML, so that there is one check of servers and not two.
fn as_toml(json: &str) -> Result<String, String> {
    let value: serde_json::Value = serde_json::from_str(json).map_err(|e| e.to_string())?;
    let table = match value {
        list @ serde_json::Value::Array(_) => serde_json::json!({ "servers": list }),
        other => other,
    };
    toml::to_string(&table)
        .map_err(|_| "it holds more than objects, lists, strings, numbers, true and false".to_owned())
}

/// Lines of a text that nobody has written help nobody.
fn without_places(problems: Problems) -> Problems {
    let without = |problem: Problem| Problem {
        line: 1,
        column: 1,
        excerpt: None,
        ..problem
    };
    Problems(problems.0.into_iter().map(without).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(name: &str, text: &str) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let line = |s: &UpstreamServer| format!("{} {} {}", s.address, s.weight, s.backup);
        load_servers(&path)
            .map(|servers| servers.iter().map(line).collect())
            .map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_list_says_the_same_in_toml_and_in_both_forms_of_json() {
        let expected = vec!["10.0.0.1:80 1 false".to_owned(), "10.0.0.2:80 3 true".to_owned()];
        let list =
            r#"[{ "address": "10.0.0.1:80" }, { "address": "10.0.0.2:80", "weight": 3, "backup": true }]"#;
        let toml = "[[servers]]\naddress = \"10.0.0.1:80\"\n[[servers]]\naddress = \"10.0.0.2:80\"\nweight = 3\nbackup = true";
        assert_eq!(load("a.toml", toml), Ok(expected.clone()));
        assert_eq!(load("a.json", list), Ok(expected.clone()));
        assert_eq!(
            load("a.json", &format!(r#"{{ "servers": {list} }}"#)),
            Ok(expected)
        );
        for (name, empty) in [
            ("a.toml", ""),
            ("a.toml", "servers = []"),
            ("a.json", "[]"),
            ("a.json", "{}"),
        ] {
            assert_eq!(load(name, empty), Ok(Vec::new()), "{empty:?}");
        }
    }

    #[test]
    fn what_is_no_list_of_servers_is_told_as_in_a_configuration() {
        for (name, text, told) in [
            ("a.json", "[", "EOF"),
            ("a.json", "3", "more than objects"),
            ("a.json", "[null]", "more than objects"),
            ("a.json", r#"[{ "addres": "a:1" }]"#, "addres"),
            (
                "a.json",
                r#"[{ "address": "a" }]"#,
                "is not the address of a server",
            ),
            (
                "a.toml",
                "servers = [{ address = \"a:1\" }, { address = \"a:1\" }]",
                "listed twice",
            ),
            ("a.toml", "server = []", "server"),
            ("a.toml", "= 1", "a.toml:1"),
        ] {
            let problems = load(name, text).unwrap_err();
            assert!(problems.contains(told), "{text}: {problems}");
        }
        assert!(load_servers(Path::new("/nowhere/servers.json")).is_err());
    }
}
