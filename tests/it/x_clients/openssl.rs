use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use ::gateway::kit::clock::Clock;
use harness::origin::reply;
use harness::tls::Authority;
use harness::{Gateway, Origin};

use super::{Ran, authority_and_leaf, certificate, file_of, run, tls_listener, tool};

const ASK: &str = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";

/// `openssl s_client` that asks one question of `a.test` and reads until the gateway closes.
fn client(to: SocketAddr, ca_file: &str, more: &[&str]) -> Ran {
    let mut command = tool("openssl", "openssl");
    command
        .args(["s_client", "-connect", &to.to_string(), "-CAfile", ca_file])
        .args(["-verify_return_error", "-ign_eof"])
        .args(more);
    if !more.contains(&"-servername") {
        command.args(["-servername", "a.test", "-verify_hostname", "a.test"]);
    }
    run(command, ASK)
}

impl Ran {
    /// Fails unless these words were said.
    #[track_caller]
    fn says(&self, words: &str) -> &Self {
        assert!(self.text().contains(words), "no {words:?}: {}", self.story());
        self
    }
}

fn answering() -> Origin {
    Origin::new().otherwise(reply(200).body("hello, openssl"))
}

fn gateway(origin: &Origin, leaf: &harness::tls::Leaf, lines: &str) -> Gateway {
    Gateway::start(&format!(
        "{}{}{}",
        certificate(leaf),
        tls_listener(lines),
        crate::all_to(origin)
    ))
}

#[test]
fn the_protocol_is_agreed_on() {
    let (authority, leaf) = authority_and_leaf();
    let origin = answering();
    let gw = gateway(&origin, &leaf, "");
    let old = gateway(&origin, &leaf, "http2 = false");
    let h1 = ["-alpn", "http/1.1"];
    let both = ["-alpn", "h2,http/1.1"];
    let versions = ["-tls1_2", "-tls1_3"];
    for version in versions {
        let ask = |gw: &Gateway, offer: [&str; 2]| {
            client(
                gw.address(),
                &authority.file(),
                &[version, "-brief", offer[0], offer[1]],
            )
        };
        let plain = client(gw.address(), &authority.file(), &[version]).well();
        plain.says("No ALPN negotiated").says("hello, openssl");
        let said = client(gw.address(), &authority.file(), &[version, h1[0], h1[1]]).well();
        said.says("ALPN protocol: http/1.1")
            .says("hello, openssl")
            .says("Verify return code: 0 (ok)");
        let said = client(old.address(), &authority.file(), &[version, both[0], both[1]]).well();
        said.says("ALPN protocol: http/1.1").says("hello, openssl");
        // What follows is no preface of HTTP/2; only the handshake is looked at.
        let said = client(gw.address(), &authority.file(), &[version, both[0], both[1]]);
        said.says("ALPN protocol: h2");
        // RFC 7301 §3.2: none in common ends the handshake.
        let said = ask(&gw, ["-alpn", "spdy/3"]);
        assert!(!said.status.success(), "{}", said.story());
        assert!(
            said.err.contains("no application protocol") || said.err.contains("alert number 120"),
            "{}",
            said.story()
        );
    }
}

#[test]
fn sessions_are_resumed_in_both_versions() {
    let (authority, leaf) = authority_and_leaf();
    let origin = answering();
    let gw = gateway(&origin, &leaf, "");
    let folder = tempfile::tempdir().unwrap();
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let kept = folder.path().join(name);
        let kept = kept.to_str().unwrap();
        let ask = |more: [&str; 2]| {
            client(
                gw.address(),
                &authority.file(),
                &[version, more[0], more[1], "-alpn", "http/1.1"],
            )
            .well()
        };
        ask(["-sess_out", kept])
            .says(&format!("New, {name}"))
            .says("hello, openssl");
        ask(["-sess_in", kept])
            .says(&format!("Reused, {name}"))
            .says("hello, openssl");
    }
}

#[test]
fn the_name_asked_for_chooses_the_certificate() {
    let authority = Authority::new("Authority");
    let (a, b) = (authority.sign(&["a.test"]), authority.sign(&["*.b.test"]));
    let (cert, key) = b.files();
    let origin = answering();
    let gw = Gateway::start(&format!(
        "{}[certificates.b]\ndomains = [\"*.b.test\"]\ncert_file = {cert:?}\nkey_file = {key:?}\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\ncertificates = [\"a\", \"b\"]\n{}",
        certificate(&a),
        crate::all_to(&origin)
    ));
    for name in ["a.test", "x.b.test", "X.B.TEST"] {
        for version in ["-tls1_2", "-tls1_3"] {
            let more = [version, "-servername", name, "-verify_hostname", name];
            let said = client(gw.address(), &authority.file(), &more).well();
            said.says("Verification: OK").says("HTTP/1.1 ");
            said.says(&format!(
                "Verified peername: {}",
                if name == "a.test" { "a.test" } else { "*.b.test" }
            ));
        }
    }
}

#[test]
fn a_version_that_is_too_old_is_refused() {
    let (authority, leaf) = authority_and_leaf();
    let origin = answering();
    let gw = gateway(&origin, &leaf, "min_version = \"1.3\"");
    let refused = client(gw.address(), &authority.file(), &["-tls1_2"]);
    assert!(!refused.status.success(), "{}", refused.story());
    assert!(refused.err.contains("protocol version"), "{}", refused.story());
    let served = client(gw.address(), &authority.file(), &["-tls1_3"]).well();
    served.says("hello, openssl");
    assert_eq!(origin.total(), 1);
}

#[test]
fn a_certificate_of_the_client_is_demanded() {
    let (authority, leaf) = authority_and_leaf();
    let friends = Authority::new("Friends");
    let friend = friends.sign(&["friend"]);
    let (cert, key) = friend.files();
    let origin = answering();
    let gw = gateway(&origin, &leaf, &format!("client_ca_file = {:?}", friends.file()));
    for version in ["-tls1_2", "-tls1_3"] {
        let without = client(gw.address(), &authority.file(), &[version]);
        assert!(!without.text().contains("hello"), "{}", without.story());
        assert!(!without.status.success(), "{}", without.story());
        let with = client(
            gw.address(),
            &authority.file(),
            &[version, "-cert", &cert, "-key", &key],
        );
        with.well().says("hello, openssl");
    }
    assert_eq!(origin.total(), 2);
}

/// Runs a command of openssl in a folder.
#[track_caller]
fn openssl(folder: &Path, line: &str) {
    let mut command: Command = tool("openssl", "openssl");
    command.args(line.split_whitespace()).current_dir(folder);
    run(command, "").well();
}

/// An authority, a certificate for `a.test` and its answer about it, all made by openssl.
fn stapled(folder: &Path) {
    file_of(folder, "names", b"subjectAltName=DNS:a.test\n");
    file_of(
        folder,
        "index.txt",
        b"V\t20491231235959Z\t\t1001\tunknown\t/CN=a.test\n",
    );
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(
        folder,
        &format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=Authority -days 2"),
    );
    openssl(
        folder,
        &format!("req {key} -keyout leaf.key -out leaf.csr -subj /CN=a.test"),
    );
    openssl(
        folder,
        "x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -set_serial 0x1001 -days 1 -extfile names -out leaf.crt",
    );
    openssl(
        folder,
        "ocsp -issuer ca.pem -cert leaf.crt -reqout asked.der -no_nonce",
    );
    openssl(
        folder,
        "ocsp -index index.txt -CA ca.pem -rsigner ca.pem -rkey ca.key -reqin asked.der -respout staple.der -ndays 1",
    );
}

#[test]
fn what_the_authority_has_said_goes_with_the_certificate() {
    let folder = tempfile::tempdir().unwrap();
    stapled(folder.path());
    let of = |name: &str| folder.path().join(name).display().to_string();
    let origin = answering();
    let toml = |staple: &str| {
        format!(
            "[certificates.a]\ndomains = [\"a.test\"]\ncert_file = {:?}\nkey_file = {:?}\n{staple}\n{}{}",
            of("leaf.crt"),
            of("leaf.key"),
            tls_listener(""),
            crate::all_to(&origin)
        )
    };
    let with = Gateway::start(&toml(&format!("ocsp_file = {:?}", of("staple.der"))));
    let without = Gateway::start(&toml(""));
    for version in ["-tls1_2", "-tls1_3"] {
        let said = client(with.address(), &of("ca.pem"), &[version, "-status"]).well();
        said.says("OCSP Response Status: successful (0x0)")
            .says("Cert Status: good")
            .says("hello, openssl");
        let said = client(without.address(), &of("ca.pem"), &[version, "-status"]).well();
        said.says("OCSP response: no response sent");
    }
    file_of(folder.path(), "made-up.der", b"\x30\x03\x0a\x01\x00");
    let told = Gateway::try_start(
        &toml(&format!("ocsp_file = {:?}", of("made-up.der"))),
        Clock::system(),
    );
    let told = told.err().expect("it says nothing").to_string();
    assert!(told.contains("not an OCSP response"), "{told}");
}
