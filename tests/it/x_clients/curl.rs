use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use harness::body::Body;
use harness::origin::reply;
use harness::tls::Authority;
use harness::{Gateway, Origin};

use super::{Ran, authority_and_leaf, certificate, file_of, listener, noise, run, tls_listener, tool};

const MIB: usize = 1 << 20;

/// How curl is told to speak, and what it then calls the version.
struct Way {
    name: &'static str,
    options: Vec<String>,
    url: String,
    version: &'static str,
}

/// HTTP/1.1 and HTTP/2, in clear text and over TLS, to a gateway whose first listener is clear and whose second is sealed.
fn ways(gw: &Gateway, authority: &Authority) -> Vec<Way> {
    let [clear, sealed] = gw.addresses()[..] else {
        panic!("two listeners")
    };
    let believing = || over_tls(authority, sealed);
    let clear = format!("http://{clear}");
    let sealed = format!("https://a.test:{}", sealed.port());
    let way = |name, option: &str, mut options: Vec<String>, url: &String, version| {
        options.push(option.to_owned());
        Way {
            name,
            options,
            url: url.clone(),
            version,
        }
    };
    vec![
        way("clear 1.1", "--http1.1", Vec::new(), &clear, "1.1"),
        // It offers to go on with h2c; nobody has to take that up (RFC 9113 §3.1 has taken the offer back).
        way("offer", "--http2", Vec::new(), &clear, "1.1"),
        way("h2c", "--http2-prior-knowledge", Vec::new(), &clear, "2"),
        way("tls 1.1", "--http1.1", believing(), &sealed, "1.1"),
        way("h2", "--http2", believing(), &sealed, "2"),
    ]
}

/// Believes the authority, and finds `a.test` there.
fn over_tls(authority: &Authority, to: SocketAddr) -> Vec<String> {
    [
        "--cacert",
        &authority.file(),
        "--resolve",
        &format!("a.test:{}:127.0.0.1", to.port()),
    ]
    .map(str::to_owned)
    .into()
}

/// curl without anybody's settings.
fn curl() -> Command {
    let mut command = tool("curl", "curl");
    command.args(["-q", "--silent", "--show-error", "--noproxy", "*"]);
    command
}

/// The status and the version that curl tells at the end.
const TELL: [&str; 2] = [
    "--write-out",
    "%{stderr}%{http_code} %{http_version} %{num_connects}",
];

impl Way {
    /// Asks for a path, and says on stderr what curl was told.
    #[track_caller]
    fn ask(&self, path: &str, more: &[&str]) -> Ran {
        let mut command = curl();
        command
            .args(&self.options)
            .args(TELL)
            .args(more)
            .arg(format!("{}{path}", self.url));
        run(command, "")
    }

    /// Asks, and fails unless it is answered so by this version.
    #[track_caller]
    fn expect(&self, path: &str, more: &[&str], status: u16) -> Ran {
        let ran = self.ask(path, more).well();
        let told = format!("{status} {} 1", self.version);
        assert_eq!(ran.err, told, "{}: {}", self.name, ran.story());
        ran
    }
}

/// Two listeners for the same routes: in clear text with h2c, and over TLS.
fn both(leaf: &harness::tls::Leaf, routes: &str) -> Gateway {
    Gateway::start(&format!(
        "{}{}{}{routes}",
        certificate(leaf),
        listener("h2c = true"),
        tls_listener("")
    ))
}

/// A gateway that serves the files of a folder.
fn files(leaf: &harness::tls::Leaf, root: &Path) -> Gateway {
    both(
        leaf,
        &format!(
            "[compression]\n[[routes]]\nname = \"files\"\nstatic_files = {{ root = {root:?} }}\ncompression = true\n"
        ),
    )
}

fn path(of: &Path) -> &str {
    of.to_str().expect("plays name files plainly")
}

#[test]
fn a_large_body_is_the_same_in_each_version() {
    let (authority, leaf) = authority_and_leaf();
    let body = noise(3 * MIB);
    let origin = Origin::new()
        .on("/sized", reply(200).body(&body))
        .on("/chunked", reply(200).chunked().body(&body));
    let gw = both(&leaf, &crate::all_to(&origin));
    for way in ways(&gw, &authority) {
        for path in ["/sized", "/chunked"] {
            let ran = way.expect(path, &[], 200);
            assert!(ran.out == body, "{}: {} bytes", way.name, ran.out.len());
        }
        let ran = way.expect("/sized", &["--head"], 200);
        let head = ran.text().to_ascii_lowercase();
        assert!(head.contains("\r\ncontent-length: 3145728\r\n"), "{head}");
    }
}

#[test]
fn a_large_upload_arrives_as_it_was_sent_in_each_version() {
    let (authority, leaf) = authority_and_leaf();
    let folder = tempfile::tempdir().unwrap();
    let body = noise(5 * MIB + 1);
    let file = file_of(folder.path(), "up", &body);
    let (gives, posts) = (path(&file), format!("@{}", path(&file)));
    let origin = Origin::new().otherwise(reply(201));
    let gw = both(&leaf, &crate::all_to(&origin));
    for (n, way) in ways(&gw, &authority).iter().enumerate() {
        let paths = ["put", "post", "unsized"].map(|kind| format!("/{n}/{kind}"));
        way.expect(&paths[0], &["--upload-file", gives], 201);
        // curl waits for 100 Continue here in HTTP/1.1.
        way.expect(
            &paths[1],
            &["--data-binary", &posts, "--expect100-timeout", "60"],
            201,
        );
        way.expect(
            &paths[2],
            &["--upload-file", gives, "-H", "Transfer-Encoding: chunked"],
            201,
        );
        for path in paths {
            let seen = origin.only(&path);
            assert_eq!(seen.body, Body::of(&body), "{}: {path}", way.name);
        }
    }
}

#[test]
fn a_download_that_was_cut_off_goes_on_where_it_was() {
    let (authority, leaf) = authority_and_leaf();
    let folder = tempfile::tempdir().unwrap();
    let body = noise(MIB);
    file_of(folder.path(), "file.bin", &body);
    let gw = files(&leaf, folder.path());
    for way in ways(&gw, &authority) {
        let part = file_of(folder.path(), "part", &body[..300_000]);
        way.expect("/file.bin", &["-C", "-", "-o", path(&part)], 206);
        assert!(std::fs::read(&part).unwrap() == body, "{}", way.name);
        let ran = way.expect("/file.bin", &["--range", "-1000"], 206);
        assert!(ran.out == body[MIB - 1_000..], "{}", way.name);
        // What is here already is all there is.
        let ran = way.ask("/file.bin", &["-C", "-", "-o", path(&part)]);
        assert!(ran.err.starts_with("416 "), "{}", ran.story());
        assert!(std::fs::read(&part).unwrap() == body, "{}", way.name);
    }
}

#[test]
fn what_a_client_has_is_not_sent_again() {
    let (authority, leaf) = authority_and_leaf();
    let folder = tempfile::tempdir().unwrap();
    file_of(folder.path(), "page.txt", b"the first page");
    let gw = files(&leaf, folder.path());
    for way in ways(&gw, &authority) {
        let (tag, page) = (folder.path().join("tag"), folder.path().join("page"));
        let keep = ["--etag-save", path(&tag), "-o", path(&page)];
        way.expect("/page.txt", &keep, 200);
        assert_eq!(std::fs::read(&page).unwrap(), b"the first page");
        let again = way.expect("/page.txt", &["--etag-compare", path(&tag)], 304);
        assert_eq!(again.text(), "", "{}", way.name);
        file_of(folder.path(), "other", b"\"another\"\n");
        let other = folder.path().join("other");
        let changed = way.expect("/page.txt", &["--etag-compare", path(&other)], 200);
        assert_eq!(changed.text(), "the first page", "{}", way.name);
    }
}

#[test]
fn what_is_compressed_for_curl_is_what_it_was() {
    let (authority, leaf) = authority_and_leaf();
    let folder = tempfile::tempdir().unwrap();
    let words: String = (0..3_000).map(|n| format!("line {n} of many\n")).collect();
    file_of(folder.path(), "words.txt", words.as_bytes());
    let gw = files(&leaf, folder.path());
    for way in ways(&gw, &authority) {
        for coding in ["gzip", "br", "zstd"] {
            let accept = format!("Accept-Encoding: {coding}");
            let small = way.expect("/words.txt", &["-H", &accept], 200);
            assert!(
                small.out.len() * 3 < words.len(),
                "{}: {} bytes",
                way.name,
                small.out.len()
            );
            let head = folder.path().join("head");
            let asked = ["--compressed", "-H", &accept, "-D", path(&head)];
            let whole = way.expect("/words.txt", &asked, 200);
            assert!(whole.out == words.as_bytes(), "{}: {coding}", way.name);
            let head = std::fs::read_to_string(&head).unwrap().to_ascii_lowercase();
            let told = format!("\r\ncontent-encoding: {coding}\r\n");
            assert!(head.contains(&told), "{}: {head}", way.name);
        }
        let plain = way.expect("/words.txt", &[], 200);
        assert!(plain.out == words.as_bytes(), "{}", way.name);
    }
}

#[test]
fn several_transfers_of_one_curl_share_a_connection() {
    let (authority, leaf) = authority_and_leaf();
    let origin = Origin::new().otherwise(reply(200).body("page\n"));
    let gw = both(&leaf, &crate::all_to(&origin));
    // curl 7.88 takes a connection of prior knowledge for a new one when it comes back to it, whoever serves.
    for way in ways(&gw, &authority).iter().filter(|way| way.name != "h2c") {
        let mut command = curl();
        command
            .args(&way.options)
            .args(["--write-out", "%{num_connects}\n"]);
        command.args((0..5).map(|n| format!("{}/{n}", way.url)));
        let said = run(command, "").well().text();
        assert_eq!(
            said, "page\n1\npage\n0\npage\n0\npage\n0\npage\n0\n",
            "{}",
            way.name
        );
    }
}

#[test]
fn a_proxy_header_is_demanded_and_believed() {
    let (authority, leaf) = authority_and_leaf();
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&format!(
        "[server]\nthreads = 2\ndrain_timeout = \"5s\"\ntrusted_proxies = [\"127.0.0.1/32\"]\n{}{}{}{}",
        certificate(&leaf),
        listener("h2c = true\nproxy_protocol = true"),
        tls_listener("proxy_protocol = true"),
        crate::all_to(&origin)
    ));
    for (n, way) in ways(&gw, &authority).iter().enumerate() {
        let at = format!("/{n}");
        way.expect(&at, &["--haproxy-protocol"], 200);
        assert_eq!(origin.only(&at).value("x-forwarded-for"), Some("127.0.0.1"));
        let without = way.ask("/without", &[]);
        assert!(!without.status.success(), "{}", without.story());
    }
    assert_eq!(origin.seen("/without"), 0);
}

#[test]
fn a_certificate_of_the_client_is_demanded() {
    let (authority, leaf) = authority_and_leaf();
    let friends = Authority::new("Friends");
    let (friend, stranger) = (
        friends.sign(&["friend"]),
        Authority::new("Strangers").sign(&["stranger"]),
    );
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&format!(
        "{}{}{}{}",
        certificate(&leaf),
        listener("h2c = true"),
        tls_listener(&format!("client_ca_file = {:?}", friends.file())),
        crate::all_to(&origin)
    ));
    for way in ways(&gw, &authority)
        .iter()
        .filter(|way| way.url.starts_with("https"))
    {
        for versions in ["1.2", "1.3"] {
            let tls = ["--tls-max", versions];
            let (cert, key) = friend.files();
            let shown = ["--cert", &cert, "--key", &key];
            way.expect("/in", &[&tls[..], &shown].concat(), 200);
            let (cert, key) = stranger.files();
            let shown = ["--cert", &cert, "--key", &key];
            for refused in [
                way.ask("/out", &tls),
                way.ask("/out", &[&tls[..], &shown].concat()),
            ] {
                assert!(!refused.status.success(), "{}", refused.story());
                assert!(refused.err.contains("000 0 "), "{}", refused.story());
            }
        }
    }
    assert_eq!((origin.seen("/in"), origin.seen("/out")), (4, 0));
}
