//! What of TLS is watched, compared, warned of and refused.

use std::fs;

use gateway::config::plan::{CertificateId, SendProxyProtocol, TlsVersion, Verify};
use gateway::config::{self, Changes, Severity};

use crate::{env, folder, load, plan};

const SECRETS: &str = "../tests/config/secrets";

/// A certificate of files of the tests.
fn certificate(name: &str, domain: &str, files: &str) -> String {
    format!(
        "[certificates.{name}]\ndomains = [\"{domain}\"]\ncert_file = \"{SECRETS}/{files}.crt\"\n\
         key_file = \"{SECRETS}/{files}.key\"\n"
    )
}

/// A configuration of these sections with one listener that has these keys.
fn with(sections: &str, listener: &str) -> String {
    format!("{sections}\n[[listeners]]\naddress = \":0\"\n{listener}\n[[routes]]\nrespond = {{}}\n")
}

fn told(text: String, severity: Severity) -> Vec<String> {
    let problems = match config::load_text("a.toml", text, &env) {
        Ok(loaded) => loaded.warnings,
        Err(problems) => problems,
    };
    let told = problems.0.into_iter().filter(|p| p.severity == severity);
    told.map(|p| p.message).collect()
}

#[test]
fn what_is_left_out_has_its_default() {
    let text = with(
        &certificate("a", "example.com", "example"),
        "certificates = [\"a\"]",
    );
    let plan = plan(&format!(
        "{text}[upstreams.u]\nservers = [{{ address = \"a:1\" }}]\ntls = {{}}\n[upstreams.v]\nservers = [{{ address = \"a:1\" }}]"
    ));
    let tls = plan.listeners[0].tls.as_ref().unwrap();
    assert_eq!(
        (&tls.certificates[..], tls.default_certificate),
        (&[CertificateId(0)][..], CertificateId(0))
    );
    assert!(tls.http2 && tls.client_auth.is_none() && tls.min_version == TlsVersion::V1_2);
    assert_eq!(tls.handshake_timeout.as_secs(), 10);
    assert_eq!(
        (plan.server.limits.http2_streams, plan.server.limits.handshakes),
        (128, 1_024)
    );
    let tls = plan.upstreams[0].tls.as_ref().unwrap();
    assert_eq!(
        (&tls.verify, &tls.sni, &tls.client),
        (&Verify::System, &None, &None)
    );
    assert_eq!(plan.upstreams[1].tls, None);
    assert_eq!(plan.upstreams[1].send_proxy_protocol, SendProxyProtocol::Off);
}

#[test]
fn what_would_scare_clients_off_is_warned_of_and_keeps_nothing_from_starting() {
    let warned = |domain: &str, files: &str| {
        told(
            with(&certificate("a", domain, files), "certificates = [\"a\"]"),
            Severity::Warning,
        )
    };
    assert!(warned("example.com", "example").is_empty());
    let expired =
        format!("the certificate in \"{SECRETS}/expired.crt\" has expired on Fri, 01 Jan 2021 00:00:00 GMT");
    assert_eq!(warned("old.example", "expired"), [expired]);
    let uncovered =
        |domain: &str| format!("the certificate in \"{SECRETS}/example.crt\" is not for \"{domain}\"");
    for domain in ["example.org", "a.b.example.com", "*.a.example.com"] {
        assert_eq!(warned(domain, "example"), [uncovered(domain)], "{domain}");
    }
    let chain = certificate("a", "example.com", "example").replace("example.crt", "stray.crt");
    let stray = told(with(&chain, "certificates = [\"a\"]"), Severity::Warning);
    assert!(stray[0].contains("certificate 2 in"), "{stray:?}");
    let staple =
        certificate("a", "shop.example.org", "shop") + &format!("ocsp_file = \"{SECRETS}/shop.ocsp\"\n");
    let outdated = told(with(&staple, "certificates = [\"a\"]"), Severity::Warning);
    assert!(outdated[0].contains("held until"), "{outdated:?}");
    let unused = told(
        with(&certificate("a", "example.com", "example"), ""),
        Severity::Warning,
    );
    assert_eq!(unused, ["no listener uses the certificate \"a\""]);
}

#[test]
fn servers_that_are_not_verified_are_told_each_time() {
    let upstream = "[upstreams.a]\nservers = [{ address = \"a:1\" }]\ntls = { verify = false }\n";
    let text = with(upstream, "").replace("respond = {}", "upstream = \"a\"");
    let told = told(text, Severity::Warning);
    assert!(told[0].starts_with("NOT VERIFIED: "), "{told:?}");
}

#[test]
fn what_needs_certificates_is_refused_without() {
    let refused = |key: &str| told(with("", key), Severity::Error);
    let http2 = "`http2` has no effect without `certificates`: clients agree on it in TLS";
    assert_eq!(refused("http2 = true"), [http2]);
    assert_eq!(refused("http2 = false\ncertificates = []"), [http2]);
    for key in [
        "min_version = \"1.2\"",
        "handshake_timeout = \"10s\"",
        "client_ca_file = \"../tests/config/secrets/clients-ca.pem\"",
        "client_auth = \"require\"",
        "default_certificate = \"a\"",
    ] {
        let name = key.split(' ').next().unwrap();
        assert_eq!(
            refused(key),
            [format!("`{name}` has no effect without `certificates`")]
        );
    }
    let certificate = certificate("a", "example.com", "example");
    let alone = told(
        with(&certificate, "certificates = [\"a\"]\nclient_auth = \"optional\""),
        Severity::Error,
    );
    assert!(alone[0].starts_with("`client_auth` has no effect without `client_ca_file`"));
}

#[test]
fn files_of_certificates_are_watched_and_a_renewed_one_is_an_alteration_of_it_alone() {
    let file = |name: &str| fs::read(format!("{SECRETS}/{name}")).unwrap();
    let (dir, main) = folder(&[
        ("main.toml", b""),
        ("a.crt", &file("example.crt")),
        ("a.key", &file("example.key")),
        ("ca.pem", &file("clients-ca.pem")),
    ]);
    let at = |name: &str| dir.path().join(name);
    let text = format!(
        "[certificates.a]\ndomains = [\"example.com\"]\ncert_file = \"{}\"\nkey_file = \"{}\"\n",
        at("a.crt").display(),
        at("a.key").display()
    );
    let listener = format!(
        "certificates = [\"a\"]\nclient_ca_file = \"{}\"",
        at("ca.pem").display()
    );
    fs::write(&main, with(&text, &listener)).unwrap();
    let before = load(&main).unwrap();
    assert_eq!(
        before.files,
        [main.clone(), at("a.crt"), at("a.key"), at("ca.pem")]
    );

    fs::write(at("a.crt"), file("shop.crt")).unwrap();
    let half = load(&main).unwrap_err();
    assert!(
        half.to_string().contains("this key is for another certificate"),
        "{half}"
    );
    fs::write(at("a.key"), file("shop.key")).unwrap();
    let after = load(&main).unwrap();
    assert_ne!(after.hash, before.hash);
    assert_eq!(
        Changes::between(&before.plan, &after.plan).to_string(),
        "altered certificate a\n"
    );

    fs::write(at("ca.pem"), file("example.crt")).unwrap();
    let other = load(&main).unwrap();
    assert_eq!(
        Changes::between(&after.plan, &other.plan).to_string(),
        "altered listener 0.0.0.0:0\n"
    );
}

/// A new name comes before the old ones, so ids shift: that alone alters no listener.
#[test]
fn changes_of_certificates_are_told_by_name() {
    let (a, b) = (
        certificate("a", "shop.example.org", "shop"),
        certificate("b", "example.com", "example"),
    );
    let old = plan(&with(&b, "certificates = [\"b\"]"));
    let new = plan(&with(&format!("{a}{b}"), "certificates = [\"b\"]"));
    assert_eq!(Changes::between(&old, &new).to_string(), "added certificate a\n");
    assert_eq!(
        Changes::between(&new, &old).to_string(),
        "removed certificate a\n"
    );
}

#[test]
fn no_key_is_ever_printed() {
    let text = with(
        &certificate("a", "example.com", "example"),
        "certificates = [\"a\"]",
    );
    let plan = plan(&text);
    let secret = fs::read_to_string(format!("{SECRETS}/example.key")).unwrap();
    let secret = secret.lines().nth(1).unwrap();
    let shown = format!("{plan:?}{}", config::effective(&plan));
    assert!(
        !shown.contains(secret) && !shown.contains("PrivateKeyDer"),
        "{shown}"
    );
}

/// What is told of an upstream with these lines.
fn refused_upstream(lines: &str) -> Vec<String> {
    let text = format!("[upstreams.app]\nservers = [{{ address = \"a.test:1\" }}]\n{lines}\n");
    let problems = config::load_text("a.toml", text, &|_| None).err();
    let problems = problems.map_or_else(Vec::new, |problems| problems.0);
    let errors = problems.into_iter().filter(|p| p.path.starts_with("upstreams"));
    errors.map(|p| format!("{}: {}", p.path, p.message)).collect()
}

#[test]
fn http_2_to_servers_goes_with_tls_or_without_as_its_name_says() {
    for (lines, told) in [
        ("protocol = \"http2\"", "HTTP/2 over TLS, and there is no `tls`"),
        (
            "protocol = \"h2c\"\ntls = {}",
            "HTTP/2 in plain, and `tls` is set",
        ),
        (
            "protocol = \"h2c\"\nsend_proxy_protocol = \"v2\"",
            "all clients share a connection",
        ),
        ("health_check = { grpc_service = \"\" }", "needs HTTP/2"),
        (
            "protocol = \"h2c\"\nhealth_check = { grpc_service = \"\", path = \"/\" }",
            "two questions",
        ),
        (
            "protocol = \"h2c\"\nhealth_check = { grpc_service = \"\", expect_status = [\"200\"] }",
            "only SERVING",
        ),
        (
            "protocol = \"h2c\"\nhealth_check = { grpc_service = \"a b\" }",
            "cannot be the name",
        ),
    ] {
        let errors = refused_upstream(lines);
        assert!(
            matches!(&errors[..], [one] if one.contains(told)),
            "{lines}: {errors:?}"
        );
    }
    for lines in [
        "protocol = \"http2\"\ntls = {}",
        "protocol = \"h2c\"\nsend_proxy_protocol = \"off\"",
        "protocol = \"h2c\"\nhealth_check = { grpc_service = \"a.B\" }",
        "protocol = \"h2c\"\nhealth_check = { path = \"/\", expect_status = [\"200\"] }",
    ] {
        assert_eq!(refused_upstream(lines), [""; 0], "{lines}");
    }
}
