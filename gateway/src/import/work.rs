//! The translation: a tree of nginx in, a document and a report out.

use std::collections::{BTreeMap, BTreeSet};

use super::model::Document;
use super::report::{Ledger, Report};
use super::scope::Scope;
use super::sockets::Sockets;
use super::tree::{Directive, Tree, walk};
use super::{globals, known, locations, sockets, tls, write};

/// Servers whose host names are looked at; a configuration has one for each site.
const SERVERS_MAX: usize = 20_000;
/// Routes of a document: each location has one for each name of its server.
pub(super) const ROUTES_MAX: usize = 50_000;

/// What is known while translating.
pub(super) struct Work<'t> {
    pub tree: &'t Tree,
    pub ledger: Ledger,
    pub document: Document,
    pub http: Scope<'t>,
    /// `upstream` blocks by name.
    pub upstreams: BTreeMap<&'t str, &'t Directive>,
    /// Variables that stand for the WebSocket idiom of `map`.
    pub upgrade_maps: BTreeSet<&'t str>,
    /// Names of routes so far.
    pub route_names: BTreeSet<String>,
    /// Servers that ask for certificates of clients while their listener does not.
    pub unasked: BTreeSet<usize>,
}

/// A server and where it stands among the others.
#[derive(Clone, Debug)]
pub(super) struct Server<'t> {
    pub directive: &'t Directive,
    pub scope: Scope<'t>,
    pub names: sockets::Names,
}

/// The document, and what became of each directive.
pub(super) fn translate(tree: &Tree) -> (String, Report) {
    let http = tree.directives.iter().find(|d| d.name == "http");
    let mut work = Work {
        tree,
        ledger: Ledger::default(),
        document: Document::default(),
        http: Scope::new(http.map_or(&[], Directive::block)),
        upstreams: BTreeMap::new(),
        upgrade_maps: BTreeSet::new(),
        route_names: BTreeSet::new(),
        unasked: BTreeSet::new(),
    };
    if let Some(http) = http {
        work.ledger.done(http);
    }
    let inner = work.http.own();
    for directive in inner {
        match directive.name.as_str() {
            "upstream" => _ = work.upstreams.insert(directive.arg(0), directive),
            "map" => work.map(directive),
            _ => {}
        }
    }
    globals::translate(&mut work);
    let servers: Vec<Server<'_>> = inner
        .iter()
        .filter(|d| d.name == "server")
        .take(SERVERS_MAX)
        .map(|directive| {
            work.ledger.done(directive);
            let scope = work.http.within(directive.block());
            let names = sockets::names(&scope, &mut work.ledger);
            Server {
                directive,
                scope,
                names,
            }
        })
        .collect();
    let sockets = Sockets::of(&servers, &mut work);
    work.unasked = tls::unasked(&servers, &sockets);
    for index in 0..servers.len() {
        locations::server(index, &servers, &sockets, &mut work);
    }
    sockets.listen(&servers, &mut work);
    let text = write::document(&work.document);
    let unreached = unreached(tree, &work);
    let report = work.ledger.report(tree, |directive| {
        known::judge(directive, unreached.contains(&directive.id))
    });
    (text, report)
}

/// Directives outside of everything that was looked at: a second `http`, `stream`, `mail`.
fn unreached(tree: &Tree, work: &Work<'_>) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    for directive in &tree.directives {
        let foreign = matches!(directive.name.as_str(), "stream" | "mail" | "rtmp")
            || directive.name == "http" && !work.ledger.knows(directive);
        if foreign {
            walk(std::slice::from_ref(directive), &mut |d| _ = found.insert(d.id));
        }
    }
    found
}

impl<'t> Work<'t> {
    /// `map $http_upgrade $connection_upgrade { … }` is what WebSocket needs in nginx and nothing here.
    fn map(&mut self, directive: &'t Directive) {
        let lines = directive.block();
        if directive.arg(0) != "$http_upgrade" {
            let remark = "Sluice has no variables of one's own: write a route for each value (match.headers, match.query, match.host)";
            self.ledger.lost(directive, remark);
        } else {
            self.upgrade_maps.insert(directive.arg(1));
            self.ledger.done_as(directive, "upgrades pass by themselves");
        }
        for line in lines {
            if directive.arg(0) == "$http_upgrade" {
                self.ledger.done(line);
            } else {
                self.ledger.lost(line, "belongs to the `map` around it");
            }
        }
    }

    /// "nginx.conf:12: location /api/", for a comment.
    pub fn origin(&self, directive: &Directive) -> String {
        let place = self.tree.place(directive.place);
        let name = place.rsplit('/').next().unwrap_or(&place);
        format!("{name}: {}", directive.head())
    }

    /// A name for a route that no other has.
    pub fn route_name(&mut self, wanted: &str) -> String {
        let base = if wanted.is_empty() { "all" } else { wanted };
        let mut name = base.to_owned();
        let mut count = 1;
        while !self.route_names.insert(name.clone()) {
            count += 1;
            name = format!("{base}-{count}");
        }
        name
    }
}
