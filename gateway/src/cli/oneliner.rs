//! A gateway without a configuration's file: the command writes the text.

use std::net::IpAddr;

use gateway::config::plan::{Address, SocketSpec};
use gateway::config::{Document, env};

use crate::cli::Fault;
use crate::cli::args::{FileServer, ReverseProxy};

/// What serves a folder.
pub fn file_server(words: &FileServer) -> Result<Document, Fault> {
    let listener = listener(&words.listen)?;
    let dir = words.dir.display();
    let root = words
        .dir
        .canonicalize()
        .map_err(|error| Fault::usage(format!("the folder {dir} cannot be served: {error}"), ""))?;
    if !root.is_dir() {
        let help = "name the folder it is in";
        return Err(Fault::usage(format!("{dir} is not a folder"), help));
    }
    let Some(root) = root.to_str() else {
        let help = "a configuration is UTF-8: rename the folder, or reach it by a link";
        return Err(Fault::usage(
            format!("the name of the folder {dir} is not UTF-8"),
            help,
        ));
    };
    let (root, browse) = (quoted(root), words.browse);
    let text = format!(
        "{listener}\n[[routes]]\nname = \"files\"\n\
         static_files = {{ root = {root}, directory_listing = {browse} }}\n"
    );
    let name = format!("the files of {dir}");
    Ok(Document::Text { name, text })
}

/// What passes everything on.
pub fn reverse_proxy(words: &ReverseProxy) -> Result<Document, Fault> {
    let listener = listener(&words.from)?;
    let servers: Vec<String> = words.to.iter().map(|to| server(to)).collect::<Result<_, _>>()?;
    if let Some(itself) = servers.iter().find(|server| is_itself(&words.from, server)) {
        let help = "name the address of the server behind it: --to";
        return Err(Fault::usage(
            format!("{itself} is where the gateway itself listens: each request would go round in circles"),
            help,
        ));
    }
    let lines: String = servers
        .iter()
        .map(|server| format!("  {{ address = {} }},\n", quoted(server)))
        .collect();
    let text = format!(
        "{listener}\n[upstreams.to]\nservers = [\n{lines}]\n\n\
         [[routes]]\nname = \"everything\"\nupstream = \"to\"\n"
    );
    let name = servers.join(", ");
    Ok(Document::Text { name, text })
}

fn listener(word: &str) -> Result<String, Fault> {
    let address = with_colon(without_scheme(word)?);
    if SocketSpec::parse(&address).is_none() {
        let help = "write \":8080\", \"127.0.0.1:8080\" or \"unix:/path\"";
        return Err(Fault::usage(
            format!("\"{word}\" is not an address to listen on"),
            help,
        ));
    }
    let address = quoted(&address);
    Ok(format!(
        "[access_log]\nformat = \"combined\"\n\n[[listeners]]\naddress = {address}\n"
    ))
}

fn server(word: &str) -> Result<String, Fault> {
    let name = without_scheme(word)?;
    let address = with_colon(name);
    // A server is on this machine unless it is said where else; a URL's port is 80 unless it says another.
    let address = match address.strip_prefix(':') {
        Some(port) => format!("127.0.0.1:{port}"),
        None if name != word && Address::parse(&address).is_none() => format!("{address}:80"),
        None => address,
    };
    if Address::parse(&address).is_none() {
        let help = "write \":9000\", \"10.0.0.1:9000\", \"app.internal:9000\" or \"unix:/path\"";
        return Err(Fault::usage(
            format!("\"{word}\" is not the address of a server"),
            help,
        ));
    }
    Ok(address)
}

/// Whether a server is the listener. Of names only that of this machine is known.
fn is_itself(from: &str, server: &str) -> bool {
    let from = without_scheme(from).ok().map(with_colon);
    match (
        from.and_then(|from| SocketSpec::parse(&from)),
        Address::parse(server),
    ) {
        (Some(SocketSpec::Unix(from)), Some(Address::Unix(to))) => from == to,
        (Some(SocketSpec::Tcp(from)), Some(Address::Tcp { host, port })) => {
            let host = if host == "localhost" { "127.0.0.1" } else { &host };
            let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
            // Port 0 is any that is free.
            let is_there = |ip: IpAddr| ip == from.ip() || from.ip().is_unspecified() && ip.is_loopback();
            port != 0 && port == from.port() && ip.is_ok_and(is_there)
        }
        _ => false,
    }
}

/// The address in a URL of one.
fn without_scheme(word: &str) -> Result<&str, Fault> {
    if word.starts_with("https://") {
        return Err(Fault::usage(
            format!("{word}: without a configuration there is no TLS"),
            "write http://; or a configuration, with `tls` in the upstream or `certificates` in the listener",
        ));
    }
    Ok(word
        .strip_prefix("http://")
        .map_or(word, |rest| rest.trim_end_matches('/')))
}

/// A number alone is a port.
fn with_colon(word: &str) -> String {
    let is_port = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    if is_port {
        format!(":{word}")
    } else {
        word.to_owned()
    }
}

/// A string of TOML in which nothing refers to the environment.
fn quoted(text: &str) -> String {
    toml::Value::String(env::escape(text)).to_string()
}

#[cfg(test)]
mod tests {
    use gateway::config::Plan;
    use gateway::config::plan::{Action, LogFormat, LogTarget};

    use super::*;

    fn plan(document: &Document) -> Plan {
        let loaded = document.load(&|_| None).unwrap_or_else(|p| panic!("{p}"));
        assert_eq!(loaded.warnings.0, []);
        loaded.plan
    }

    fn proxy(from: &str, to: &[&str]) -> Result<Document, Fault> {
        reverse_proxy(&ReverseProxy {
            from: from.to_owned(),
            to: to.iter().map(|&to| to.to_owned()).collect(),
        })
    }

    #[test]
    fn servers_may_be_written_as_people_write_them() {
        let words = [
            ":9000",
            "9001",
            "app:9002",
            "http://10.0.0.1:9003/",
            "http://app",
            "[::1]:80",
            "unix:/s",
        ];
        let plan = plan(&proxy("http://127.0.0.1:8080", &words).unwrap());
        let servers: Vec<_> = plan.upstreams[0]
            .servers
            .iter()
            .map(|s| s.address.to_string())
            .collect();
        let expected = [
            "127.0.0.1:9000",
            "127.0.0.1:9001",
            "app:9002",
            "10.0.0.1:9003",
            "app:80",
            "[::1]:80",
            "unix:/s",
        ];
        assert_eq!(servers, expected);
        assert_eq!(plan.listeners[0].address.to_string(), "127.0.0.1:8080");
        assert_eq!(plan.access_log.target, LogTarget::Stdout);
        assert_eq!(plan.access_log.format, LogFormat::Combined);
    }

    #[test]
    fn what_is_no_address_is_told_before_the_start() {
        for (from, to) in [
            (":x", ":9000"),
            (":8080", ""),
            (":8080", "app"),
            (":8080", "https://app"),
            ("https://:1", ":9000"),
        ] {
            let fault = proxy(from, &[to]).unwrap_err();
            assert_eq!(fault.code(), 2, "{from} {to}");
            let is_tls = from.starts_with("https") || to.starts_with("https");
            assert_eq!(fault.to_string().contains("no TLS"), is_tls, "{fault}");
        }
    }

    #[test]
    fn a_proxy_of_itself_is_told_before_the_start() {
        for (from, to) in [
            (":8080", ":8080"),
            ("127.0.0.1:8080", "localhost:8080"),
            ("8080", "http://127.0.0.2:8080/"),
            ("[::]:8080", "[::1]:8080"),
            ("10.0.0.1:80", "http://10.0.0.1"),
            ("unix:/s", "unix:/s"),
        ] {
            let fault = proxy(from, &["10.9.9.9:1", to]).unwrap_err();
            assert!(
                fault.to_string().contains("round in circles"),
                "{from} {to}: {fault}"
            );
        }
        for (from, to) in [
            (":8080", ":8081"),
            ("127.0.0.1:8080", "127.0.0.2:8080"),
            (":8080", "10.0.0.1:8080"),
            (":8080", "app:8080"),
        ] {
            assert!(proxy(from, &[to]).is_ok(), "{from} {to}");
        }
    }

    #[test]
    fn a_folder_may_have_any_name() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("a \"b\" ${HOME} \\ 'c'");
        std::fs::create_dir(&dir).unwrap();
        let root = dir.canonicalize().unwrap();
        let listen = "8080".to_owned();
        let browse = true;
        let plan = plan(&file_server(&FileServer { dir, listen, browse }).unwrap());
        let Action::StaticFiles(files) = &plan.routes[0].action else {
            panic!("{:?}", plan.routes[0].action);
        };
        assert_eq!(files.root, root);
        assert!(files.directory_listing);
        assert_eq!(plan.listeners[0].address.to_string(), "0.0.0.0:8080");
    }
}
