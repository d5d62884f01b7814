use super::*;

#[test]
fn a_target_is_taken_apart_as_nginx_does() {
    let of = |url| target("proxy_pass", url).map(|t| (t.tls, t.host, t.uri));
    let calls = |url| target("grpc_pass", url).map(|t| (t.tls, t.host, t.uri));
    let some = |tls, host: &str, uri: Option<&str>| Some((tls, host.to_owned(), uri.map(str::to_owned)));
    assert_eq!(calls("grpc://app"), some(false, "app", None));
    assert_eq!(calls("app:50051"), some(false, "app:50051", None));
    assert_eq!(calls("grpcs://a.test"), some(true, "a.test", None));
    assert_eq!((calls("http://app"), calls("grpc://$host")), (None, None));
    assert_eq!(of("http://app"), some(false, "app", None));
    assert_eq!(of("http://app/"), some(false, "app", Some("/")));
    assert_eq!(
        of("https://a.test:8443/v1/"),
        some(true, "a.test:8443", Some("/v1/"))
    );
    assert_eq!(
        of("http://unix:/run/a.sock"),
        some(false, "unix:/run/a.sock", None)
    );
    assert_eq!(
        of("http://unix:/run/a.sock:/x/"),
        some(false, "unix:/run/a.sock", Some("/x/"))
    );
    assert_eq!(of("http://$host"), None);
    assert_eq!(of("grpc://app"), None);
    assert_eq!(of("http://"), None);
}

#[test]
fn a_port_is_put_where_none_is() {
    assert_eq!(with_port("a.test", false).as_deref(), Some("a.test:80"));
    assert_eq!(with_port("a.test", true).as_deref(), Some("a.test:443"));
    assert_eq!(with_port("[::1]", false).as_deref(), Some("[::1]:80"));
    assert_eq!(with_port("[::1]:81", false).as_deref(), Some("[::1]:81"));
    assert_eq!(with_port("unix:/a", false).as_deref(), Some("unix:/a"));
    assert_eq!(with_port("", false), None);
}
