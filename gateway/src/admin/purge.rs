//! `POST /purge`: stored answers given up, or marked stale, at an operator's word.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::api::problem;
use crate::cache::policy::Purge;
use crate::observe::PurgeKind;
use crate::reload::Control;
use crate::reply::Reply;

/// Targets of one request: more are a list that should have been a tag.
const TARGETS_MAX: usize = 10_000;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Order {
    urls: Vec<String>,
    tags: Vec<String>,
    prefixes: Vec<String>,
    hosts: Vec<String>,
    all: bool,
    soft: bool,
}

#[derive(Serialize)]
struct Purged {
    objects: u64,
    caches: BTreeMap<String, u64>,
    soft: bool,
    problems: Vec<String>,
}

/// Does what the body says, in every cache.
pub fn purge(control: &Control, body: &[u8]) -> Reply {
    let order: Order = match serde_json::from_slice(body) {
        Ok(order) => order,
        Err(error) => {
            let shape = "{\"urls\": [], \"tags\": [], \"prefixes\": [], \"hosts\": [], \"all\": false, \"soft\": false}";
            return problem(400, &format!("The body is not of the form {shape}: {error}."));
        }
    };
    let targets = match targets(&order) {
        Ok(targets) => targets,
        Err(message) => return problem(400, &message),
    };
    if targets.is_empty() {
        return problem(
            400,
            "Say what to purge: urls, tags, prefixes, hosts or \"all\": true.",
        );
    }
    super::api::json(200, &carry_out(control, &targets, order.soft))
}

fn targets(order: &Order) -> Result<Vec<(PurgeKind, Vec<u64>)>, String> {
    type Named = for<'a> fn(&'a str) -> Purge<'a>;
    let lists: [(PurgeKind, &Vec<String>, Named); 4] = [
        (PurgeKind::Url, &order.urls, |text| Purge::Url(text)),
        (PurgeKind::Prefix, &order.prefixes, |text| Purge::Prefix(text)),
        (PurgeKind::Host, &order.hosts, |text| Purge::Host(text)),
        (PurgeKind::Tag, &order.tags, |text| Purge::Tag(text)),
    ];
    let named: usize = lists.iter().map(|(_, list, _)| list.len()).sum();
    if named > TARGETS_MAX {
        return Err(format!(
            "More than {TARGETS_MAX} targets in one request: send several, or purge by a tag."
        ));
    }
    let mut targets = Vec::with_capacity(named);
    for (kind, list, target) in lists {
        for text in list {
            targets.push((kind, target(text).facets()?));
        }
    }
    if order.all {
        targets.push((PurgeKind::All, Purge::All.facets()?));
    }
    Ok(targets)
}

fn carry_out(control: &Control, targets: &[(PurgeKind, Vec<u64>)], soft: bool) -> Purged {
    let facets: Vec<u64> = targets
        .iter()
        .flat_map(|(_, facets)| facets.iter().copied())
        .collect();
    let mut purged = Purged {
        objects: 0,
        caches: BTreeMap::new(),
        soft,
        problems: Vec::new(),
    };
    for (name, zone) in control.state.zones_alive() {
        let outcome = zone.store.purge(&facets, soft);
        targets.iter().for_each(|(kind, _)| zone.metrics.purged(*kind));
        purged.objects += outcome.objects;
        let fault = outcome.fault.map(|fault| format!("cache {name}: {fault}"));
        purged.problems.extend(fault);
        *purged.caches.entry(name).or_default() += outcome.objects;
    }
    let word = if soft { "marked stale" } else { "purged" };
    log::info!(
        "{} stored answers {word} ({} named)",
        purged.objects,
        targets.len()
    );
    purged
}
