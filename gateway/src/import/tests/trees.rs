//! Texts to trees and back, whatever the text.

use std::path::Path;

use proptest::prelude::*;

use super::super::{Body, Directive, FaultKind, Place, print, read_text};
use super::{Shelf, import, imported};

fn words(text: &str) -> Vec<Vec<String>> {
    let tree = read_text(text).unwrap();
    tree.into_iter()
        .map(|d| std::iter::once(d.name).chain(d.args).collect())
        .collect()
}

#[track_caller]
fn fault(text: &str) -> (usize, FaultKind) {
    let fault = read_text(text).unwrap_err();
    (fault.line, fault.kind)
}

#[test]
fn words_are_read_as_nginx_reads_them() {
    assert_eq!(words("a b  c;#x;\nd;"), [vec!["a", "b", "c"], vec!["d"]]);
    assert_eq!(words(r#"a "b c" 'd;e' "";"#), [vec!["a", "b c", "d;e", ""]]);
    assert_eq!(
        words(r#"a "x\"y\\z\n\t" \.php$ a\ b;"#),
        [vec!["a", "x\"y\\z\n\t", "\\.php$", "a\\ b"]]
    );
    assert_eq!(words("a b#c d\"e;"), [vec!["a", "b#c", "d\"e"]]);
    assert_eq!(
        words("return 301 https://${host}/a;"),
        [vec!["return", "301", "https://${host}/a"]]
    );
    assert_eq!(
        words("if ($a = \"b\") { x; }"),
        [vec!["if", "($a", "=", "b", ")"]]
    );
}

#[test]
fn a_program_in_braces_is_left_alone() {
    let text = "content_by_lua_block {\n -- }\n local s = \"}\" .. '{' .. [[ } ]] .. [==[ ]] } ]==] if x then y = {1} end }\nb;";
    let tree = read_text(text).unwrap();
    assert_eq!(tree.len(), 2);
    assert!(matches!(&tree[0].body, Body::Code(code) if code.contains("y = {1}")));
    assert_eq!(tree[1].place.line, 4);
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    assert_eq!(fault("a;\nb"), (2, FaultKind::Unfinished("b".to_owned())));
    assert_eq!(fault("a {\nb;\n"), (1, FaultKind::OpenBlock));
    assert_eq!(fault("a;\n}"), (2, FaultKind::StrayBrace('}')));
    assert_eq!(fault("\n{"), (2, FaultKind::StrayBrace('{')));
    assert_eq!(fault(";"), (1, FaultKind::StraySemicolon));
    assert_eq!(fault("a\n\"b;"), (2, FaultKind::OpenQuote));
    assert_eq!(fault("a \"b\"c;"), (1, FaultKind::Glued));
    assert_eq!(fault("x_by_lua_block {"), (1, FaultKind::OpenCode));
    let deep = "a {".repeat(1000);
    assert_eq!(fault(&deep).1, FaultKind::TooMuch("blocks in blocks"));
}

#[test]
fn what_is_included_stands_in_place_and_keeps_its_own_lines() {
    let shelf = Shelf::default()
        .with(
            "/etc/nginx/nginx.conf",
            "http {\n include sites/*.conf;\n include mime.types;\n}",
        )
        .with("/etc/nginx/sites/a.conf", "server {\n return 204;\n}")
        .with("/etc/nginx/sites/b.txt", "nonsense");
    let imported = import(&shelf, Path::new("/etc/nginx/nginx.conf")).unwrap();
    let entry = imported
        .report
        .entries
        .iter()
        .find(|e| e.directive == "return 204")
        .unwrap();
    assert_eq!((entry.file.as_str(), entry.line), ("/etc/nginx/sites/a.conf", 2));
    assert!(imported.toml.contains("status = 204"), "{}", imported.toml);
}

#[test]
fn a_file_that_is_missing_and_one_that_includes_itself_are_refused() {
    let shelf = Shelf::default()
        .with("a.conf", "include b.conf;")
        .with("b.conf", "\ninclude b.conf;");
    let fault = import(&shelf, Path::new("a.conf")).unwrap_err();
    assert_eq!(
        (fault.file.as_str(), fault.kind),
        ("b.conf", FaultKind::TooMuch("files that include files"))
    );
    let fault = import(&Shelf::default(), Path::new("a.conf")).unwrap_err();
    assert!(matches!(fault.kind, FaultKind::Unreadable(_)), "{fault}");
    let fault = import(
        &Shelf::default().with("a.conf", "# \u{e4}\na \u{e4};"),
        Path::new("a.conf"),
    );
    assert!(fault.is_ok(), "it is UTF-8");
    let latin = [b"# \xe4\n".as_slice(), b"a \xe4;"].concat();
    let fault = import(&Shelf::default().with("a.conf", latin), Path::new("a.conf")).unwrap_err();
    assert_eq!(
        (fault.line, matches!(fault.kind, FaultKind::NotUtf8(_))),
        (2, true)
    );
}

fn directive() -> impl Strategy<Value = Directive> {
    let word = || {
        prop_oneof!["[a-z$_./~^*=(){}#;'\"\\\\ \n\t-]{0,6}", any::<String>()]
            .prop_filter("lost", |w| !w.contains('\u{fffd}'))
    };
    let made = |name: String, args: Vec<String>, body| Directive {
        id: 0,
        place: Place { file: 0, line: 0 },
        name,
        args,
        body,
    };
    let leaf = (word(), prop::collection::vec(word(), 0..3))
        .prop_map(move |(name, args)| made(name, args, Body::Nothing));
    let code = "[a-z ]{0,3}(\\{[a-z ]{0,3}\\})?"
        .prop_map(move |code| made("x_by_lua_block".to_owned(), Vec::new(), Body::Code(code)));
    prop_oneof![9 => leaf, 1 => code].prop_recursive(4, 24, 4, move |inner| {
        let name = word().prop_filter("a program's", |w| !w.ends_with("_by_lua_block"));
        (
            name,
            prop::collection::vec(word(), 0..2),
            prop::collection::vec(inner, 0..4),
        )
            .prop_map(move |(name, args, inner)| made(name, args, Body::Block(inner)))
    })
}

/// Pieces that mean something.
#[rustfmt::skip]
const PIECES: &[&str] = &[
    "http", "server", "location", "upstream", "{", "}", ";", " ", "\n", "\"", "'", "\\", "$", "${", "#",
    "/", "/a/", "=", "^~", "~", "~*", "(?!x)", "@n", "return", "301", "444", "rewrite", "^(.*)$", "break",
    "permanent", "proxy_pass", "http://u/", "http://", "https://h:1/x", "listen", "80", "443 ssl",
    "[::]:80", "unix:/s", "server_name", "a.test", "*.a.test", "~x", "_", "if", "($scheme", "!=", "https)",
    "($host", "a.test)", "($request_method", "GET)", "allow", "deny", "all", "10.0.0.0/8", "10.1.0.0/16",
    "::/0", "auth_basic", "off", "auth_request", "limit_req", "zone=z", "zone=z:1m", "rate=1r/s",
    "burst=9999999999", "limit_req_zone", "$binary_remote_addr", "proxy_cache", "z", "proxy_cache_path",
    "keys_zone=z:1m", "max_size=1g", "proxy_cache_key", "proxy_cache_valid", "200", "1m", "any", "alias",
    "root", "/srv/", "try_files", "$uri", "expires", "-1", "max", "add_header", "X", "$host", "always",
    "gzip", "on", "client_max_body_size", "0", "1m", "99999999999999999999", "keepalive_timeout", "map",
    "$http_upgrade", "limit_except", "internal", "stub_status", "ssl_certificate", "ssl_certificate_key",
    "/c", "worker_processes", "events", "worker_connections", "keepalive", "weight=0", "max_fails=x",
    "backup", "hash", "sticky", "cookie", "proxy_next_upstream", "satisfy",
];

/// They, in any order.
fn nonsense() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(PIECES);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.join(" "))
}

proptest! {
    #[test]
    fn a_tree_that_is_printed_is_read_back(tree in prop::collection::vec(directive(), 0..4)) {
        let text = print(&tree);
        let read = read_text(&text);
        prop_assert_eq!(read.as_ref().ok(), Some(&tree), "{}: {:?}", text, read);
    }

    #[test]
    fn any_text_is_read_or_refused(bytes in any::<Vec<u8>>(), text in any::<String>()) {
        let _ = import(&Shelf::default().with("a", bytes), Path::new("a"));
        let _ = import(&Shelf::default().with("a", text), Path::new("a"));
    }

    #[test]
    fn what_is_read_once_is_read_again_after_printing(text in nonsense()) {
        if let Ok(tree) = read_text(&text) {
            prop_assert_eq!(read_text(&print(&tree)).unwrap(), tree);
        }
    }

    #[test]
    fn whatever_is_read_is_reported_and_written_as_toml(text in nonsense()) {
        let text = format!("http {{ upstream u {{ server h:1; }} server {{ {text} }} }}");
        if let Ok(tree) = read_text(&text) {
            let imported = imported(&text);
            let mut count = 0;
            super::super::tree::walk(&tree, &mut |_| count += 1);
            prop_assert_eq!(imported.report.entries.len(), count);
            let loaded = crate::config::load_text("a.toml", imported.toml.clone(), &|_| None);
            // Files that it names are not there; nothing else may be wrong with it.
            for problem in loaded.err().into_iter().flat_map(|problems| problems.0) {
                prop_assert!(problem.message.contains("cannot be read"), "{}\n{}", problem.message, imported.toml);
            }
        }
    }
}
