//! What operators do meanwhile: reloads, purges. And what happens to origins.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gateway::kit::clock::Mono;
use harness::Request;
use harness::wire::Fault;
use serde_json::{Value, json};

use super::farm::{Mood, Origin};
use super::goods::{Dice, Kind, SHELVES, THINGS, Thing};
use super::one::{End, Line, Over, lost};
use super::shape::Shape;
use super::wish::{Got, Wish};
use super::world::World;

/// Between two reloads.
const RELOAD_EVERY: Duration = Duration::from_secs(1);
/// Between two changes of what origins have.
const CHANGE_EVERY: Duration = Duration::from_millis(50);
/// For how long an origin is not well, and then is.
const TROUBLE_LASTS: Duration = Duration::from_millis(600);
/// Puts a text in the place of the configuration, as editors do.
fn replace(folder: &Path, toml: &str) -> io::Result<()> {
    let fresh = folder.join("sluice.toml.fresh");
    std::fs::write(&fresh, toml)?;
    std::fs::rename(&fresh, folder.join("sluice.toml"))
}

/// Asks at the admin address; a fault is one of the connection.
pub fn order(world: &World, method: &'static str, path: &str, body: &str) -> Result<Got, Fault> {
    let to = world.place().admin;
    let mut line = Line::open(to, &Over::Plain, world.now())?;
    let mut request = Request::new(method, path)
        .header("Connection", "close")
        .host(&to.to_string());
    if method == "POST" {
        request = request.header("Content-Type", "application/json").body(body);
    }
    match line.ask(&Wish::plain(method), &request.bytes(), false) {
        Ok((got, _)) => Ok(got),
        Err(End::Broken(how, _)) => Err(Fault::Ended(how)),
        Err(End::Wrong(how)) => Err(Fault::Syntax(how)),
        Err(End::GaveUp) => Err(Fault::Ended("nothing".to_owned())),
    }
}

/// `GET /status`, if it can be had.
pub fn status(world: &World) -> Option<Value> {
    let got = order(world, "GET", "/status", "").ok()?;
    serde_json::from_slice(&got.body.kept).ok()
}

/// How long a process that has handed over may still answer: half a second, and as much again as a slow machine takes.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

fn before(moment: Mono) -> Mono {
    Mono(moment.0.saturating_sub(LAST_ANSWERS.as_nanos() as u64))
}

/// Reloads until all is over.
pub fn reload(world: &World, shape: &Shape) {
    let mut due = world.now();
    while !world.is_over() {
        due = due.max(world.now()).plus(RELOAD_EVERY);
        world.wait(due);
        world.wait_gateway();
        let place = world.place();
        let generation = world.generation.fetch_add(1, Ordering::SeqCst) + 1;
        let began = world.now();
        // A folder goes with its gateway.
        let put = replace(&place.folder, &shape.toml(generation));
        let done = put
            .map_err(Fault::from)
            .and_then(|()| order(world, "POST", "/reload", ""));
        match done {
            // Who has a kept connection to the process before is answered once more by it, and by what it knows.
            Ok(got) if got.status == 200 && world.upgrades.overlap(before(began), world.now()) => {
                world.count("reloads right after an upgrade", 1);
            }
            Ok(got) if got.status == 200 && world.place().life == place.life => {
                world.generation_floor.fetch_max(generation, Ordering::SeqCst);
                world.count("reloads", 1);
            }
            // The new binary reads the configuration anyway.
            Ok(got) if got.status == 422 && world.upgrades.overlap(began, world.now()) => {
                world.count("reloads left to an upgrade", 1);
            }
            Ok(got) if got.status == 200 => {}
            Ok(got) => world.fault(format!("a reload: {} {}", got.status, got.body.text())),
            Err(fault) => lost(world, began, &format!("a reload: {fault}")),
        }
    }
}

/// Changes what origins have, and purges most of it, until all is over.
pub fn purge(world: &World, seed: u64) {
    let mut dice = Dice::new(seed);
    while !world.is_over() {
        world.wait(world.now().plus(CHANGE_EVERY));
        world.wait_gateway();
        let kind = [Kind::Kept, Kind::Kept, Kind::Coded, Kind::Fresh][dice.below(4)];
        let thing = Thing {
            kind,
            number: dice.wanted(),
        };
        if kind == Kind::Fresh || dice.percent(20) {
            // What passes needs no purge; of the rest, some is found out by age alone.
            let version = world.publish(thing);
            if kind == Kind::Fresh {
                world.purged(thing, version);
            }
            continue;
        }
        let is_soft = dice.percent(10);
        let mut body = json!({ "soft": is_soft });
        let things = reached(&mut dice, thing, &mut body);
        let versions: Vec<_> = things.iter().map(|thing| world.publish(*thing)).collect();
        let began = world.now();
        match order(world, "POST", "/purge", &body.to_string()) {
            Ok(got) if got.status == 200 => {
                world.count("purges", 1);
                let told: Value = serde_json::from_slice(&got.body.kept).unwrap_or_default();
                if told["problems"]
                    .as_array()
                    .is_none_or(|problems| !problems.is_empty())
                {
                    world.count("purges not written down yet", 1);
                }
                // While one process hands over to another, it reaches one of them at once.
                if world.upgrades.overlap(began, world.now()) {
                    world.count("purges in a hand-over", 1);
                } else if !is_soft {
                    let reached = things.iter().zip(versions);
                    reached.for_each(|(thing, version)| world.purged(*thing, version));
                }
            }
            Ok(got) => world.fault(format!("a purge: {} {}", got.status, got.body.text())),
            Err(fault) => lost(world, began, &format!("a purge: {fault}")),
        }
    }
}

/// Says in `body` what is purged, and what that reaches.
fn reached(dice: &mut Dice, thing: Thing, body: &mut Value) -> Vec<Thing> {
    let all = |kind: Kind| (0..THINGS).map(move |number| Thing { kind, number });
    let both = |path: &str| json!([format!("http://a.test{path}"), format!("https://a.test{path}")]);
    match dice.below(100) {
        0..92 => {
            body["urls"] = both(&thing.path());
            vec![thing]
        }
        92..98 => {
            body["tags"] = json!([thing.tag()]);
            let on_shelf = |other: &Thing| other.number % SHELVES == thing.number % SHELVES;
            all(thing.kind).filter(on_shelf).collect()
        }
        98 => {
            body["prefixes"] = both(&format!("/{}", thing.kind.word()));
            all(thing.kind).collect()
        }
        _ => {
            body["all"] = true.into();
            all(Kind::Kept).chain(all(Kind::Coded)).collect()
        }
    }
}

/// Makes one origin after the other unwell, until all is over.
pub fn trouble(world: &Arc<World>, origins: &[Origin], seed: u64) {
    let mut dice = Dice::new(seed);
    while !world.is_over() {
        world.wait(world.now().plus(TROUBLE_LASTS));
        // One at a time: while it is out, the others answer every GET.
        if !all_up(world, origins.len()) {
            continue;
        }
        let mood = [Mood::Gone, Mood::Resets, Mood::Tears][dice.below(3)];
        let origin = &origins[dice.below(origins.len())];
        world.origin_out.open(world.now());
        origin.feel(mood);
        world.count(
            match mood {
                Mood::Gone => "origins killed",
                Mood::Resets => "origins resetting",
                Mood::Tears | Mood::Sound => "origins breaking off",
            },
            1,
        );
        world.wait(world.now().plus(TROUBLE_LASTS));
        origin.feel(Mood::Sound);
        world.origin_out.close(world.now());
    }
}

fn all_up(world: &World, origins: usize) -> bool {
    let Some(status) = status(world) else {
        return false;
    };
    let servers = status["upstreams"]["origin"]["servers"].as_array();
    servers.is_some_and(|all| all.len() == origins && all.iter().all(|server| server["state"] == "up"))
}

/// A moment that lies so far ahead.
pub fn ahead(world: &World, seconds: f64) -> Mono {
    world.now().plus(Duration::from_secs_f64(seconds))
}
