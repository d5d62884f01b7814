//! A request, and what it may be answered with.

use harness::body::Body;
use std::io::Read;
use std::sync::atomic::Ordering;

use super::goods::{Dice, Kind, Thing};
use super::world::{Cause, World};

/// Bytes of a body that is sent.
const SENT_BYTES_MAX: usize = 200 << 10;
/// Bodies that are looked into as a whole: what a [`Body`] keeps, and more than coding makes of less.
const DECODED_BYTES_MAX: u64 = 1 << 20;

/// What a request is about.
#[derive(Clone, Debug)]
pub enum What {
    /// A thing.
    Thing(Thing),
    /// What is sent comes back.
    Echo,
    /// Which configuration this is.
    Generation,
    /// A route that every second configuration has.
    Season,
    /// A route that admits few.
    Limited,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Wish {
    /// What it is about.
    pub what: What,
    /// Its method.
    pub method: &'static str,
    /// Its path.
    pub path: String,
    /// Its fields but Host and those of the body's length.
    pub fields: Vec<(&'static str, String)>,
    /// Its body.
    pub body: Vec<u8>,
    /// It goes when it has seen so many bytes of a body, or sent half of one.
    pub gives_up: bool,
    range: Option<(u64, u64)>,
    known: Option<(String, u64)>,
    who: String,
    floor: u64,
}

/// What has come.
#[derive(Clone, Debug, Default)]
pub struct Got {
    /// The status.
    pub status: u16,
    /// The fields.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Body,
}

/// What a client remembers of what it has seen.
pub type Memory = std::collections::HashMap<usize, (String, u64)>;

/// Who asks, and what for.
pub struct Asker {
    /// Its name.
    pub name: String,
    dice: Dice,
    memory: Memory,
    asked: u64,
}

impl Got {
    /// The value of a field that stands once.
    pub fn value(&self, name: &str) -> Option<&str> {
        let mut all = self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        let value = all.next().map(|(_, value)| value.as_str());
        value.filter(|_| all.next().is_none())
    }

    fn told(&self) -> String {
        let body = &self.body.kept[..self.body.kept.len().min(200)];
        let text = String::from_utf8_lossy(body);
        format!(
            "{} {:?} with {} bytes: {text}",
            self.status, self.fields, self.body.length
        )
    }
}

impl Asker {
    /// One of this name.
    pub fn new(name: String, seed: u64) -> Self {
        Self {
            name,
            dice: Dice::new(seed),
            memory: Memory::new(),
            asked: 0,
        }
    }

    /// Its dice, for what else it does by chance.
    pub fn dice(&mut self) -> &mut Dice {
        &mut self.dice
    }

    /// What it asks next.
    pub fn next(&mut self, world: &World) -> Wish {
        self.asked += 1;
        let mut wish = Wish {
            gives_up: self.dice.percent(3),
            who: format!("{}-{}", self.name, self.asked),
            ..Wish::plain("GET")
        };
        wish.fields.push(("X-Who", wish.who.clone()));
        match self.dice.below(100) {
            0..45 => self.thing(Kind::Kept, &mut wish),
            45..60 => self.thing(Kind::Coded, &mut wish),
            60..78 => self.thing(Kind::Fresh, &mut wish),
            78..88 => self.echo(&mut wish),
            88..94 => wish.about(What::Generation, "/generation"),
            94..97 => wish.about(What::Season, "/season"),
            _ => wish.about(What::Limited, "/limited"),
        }
        wish.floor = match wish.what {
            What::Thing(thing) => world.floor(thing),
            _ => world.generation_floor.load(Ordering::SeqCst),
        };
        wish
    }

    fn echo(&mut self, wish: &mut Wish) {
        wish.about(What::Echo, "/echo");
        wish.method = "POST";
        let length = self.dice.below(SENT_BYTES_MAX) / (1 + self.dice.below(200));
        let mut dice = self.dice.clone();
        let bytes = std::iter::repeat_with(|| dice.roll().to_le_bytes());
        wish.body = bytes.take(length.div_ceil(8)).flatten().take(length).collect();
        self.dice.roll();
    }

    fn thing(&mut self, kind: Kind, wish: &mut Wish) {
        let thing = Thing {
            kind,
            number: self.dice.wanted(),
        };
        wish.about(What::Thing(thing), &thing.path());
        let coding = ["gzip", "gzip, br, zstd", "identity", "br", "zstd"][self.dice.below(5)];
        let is_decodable = thing.least() < DECODED_BYTES_MAX;
        if kind == Kind::Coded || kind == Kind::Fresh && is_decodable && self.dice.percent(30) {
            wish.fields.push(("Accept-Encoding", coding.to_owned()));
        }
        let known = self.memory.get(&thing.place()).cloned();
        match self.dice.below(100) {
            0..12 => wish.method = "HEAD",
            12..40 if known.is_some() => {
                wish.known = known;
                let etag = wish.known.as_ref().map(|(etag, _)| etag.clone());
                wish.fields.push(("If-None-Match", etag.unwrap_or_default()));
            }
            40..60 if thing.least() > 0 && kind != Kind::Coded => {
                let first = self.dice.roll() % thing.least();
                let last = first + self.dice.roll() % (thing.least() - first);
                wish.range = Some((first, last));
                wish.fields.push(("Range", format!("bytes={first}-{last}")));
                if let Some((etag, _)) = known.filter(|_| self.dice.percent(30)) {
                    wish.fields.push(("If-Range", etag));
                }
            }
            _ => {}
        }
    }

    /// What is remembered of an answer that was right.
    pub fn remember(&mut self, wish: &Wish, got: &Got) {
        let version = got.value("x-version").and_then(|v| v.parse().ok());
        if let (What::Thing(thing), Some(etag), Some(version), 200) =
            (&wish.what, got.value("etag"), version, got.status)
        {
            self.memory.insert(thing.place(), (etag.to_owned(), version));
        }
    }
}

impl Wish {
    /// One that is not judged.
    pub fn plain(method: &'static str) -> Self {
        Self {
            what: What::Echo,
            method,
            path: String::new(),
            fields: Vec::new(),
            body: Vec::new(),
            gives_up: false,
            range: None,
            known: None,
            who: String::new(),
            floor: 0,
        }
    }

    fn about(&mut self, what: What, path: &str) {
        self.what = what;
        path.clone_into(&mut self.path);
    }

    /// In words.
    pub fn told(&self) -> String {
        format!("{} {} {:?}", self.method, self.path, self.fields)
    }

    /// Whether this is what it has to be; why it was not served if it was not and need not be.
    pub fn judge(&self, world: &World, got: &Got) -> Result<Option<Cause>, String> {
        let verdict = match &self.what {
            What::Thing(thing) => self.judge_thing(*thing, world, got).map(|()| None),
            What::Echo => self.judge_echo(got).map(|()| None),
            What::Generation => self.judge_generation(world, got).map(|()| None),
            What::Season => self.judge_season(world, got),
            What::Limited => match got.status {
                200 => Ok(None),
                429 => Ok(Some(Cause::Limited)),
                _ => Err("neither 200 nor 429".to_owned()),
            },
        };
        verdict.map_err(|how| format!("{how}: {}", got.told()))
    }

    fn judge_echo(&self, got: &Got) -> Result<(), String> {
        ensure(got.status == 200, "no echo")?;
        ensure(got.value("x-who") == Some(&self.who), "another one's answer")?;
        ensure(got.body == Body::of(&self.body), "not what was sent")
    }

    fn judge_generation(&self, world: &World, got: &Got) -> Result<(), String> {
        let newest = world.generation.load(Ordering::SeqCst);
        let used = got.body.text().parse::<u64>().ok();
        let used = used.filter(|_| got.status == 200);
        let used = used.ok_or("no number of a configuration")?;
        let allowed = self.floor..=newest;
        ensure(
            allowed.contains(&used),
            &format!("configuration {used} is not of {allowed:?}"),
        )
    }

    fn judge_season(&self, world: &World, got: &Got) -> Result<Option<Cause>, String> {
        let newest = world.generation.load(Ordering::SeqCst);
        let may_be = |is: bool| (self.floor..=newest).any(|generation| is_season(generation) == is);
        match got.status {
            200 if may_be(true) => Ok(None),
            404 if may_be(false) => Ok(Some(Cause::OutOfSeason)),
            _ => Err(format!("not as the configurations {}..={newest}", self.floor)),
        }
    }

    fn judge_thing(&self, thing: Thing, world: &World, got: &Got) -> Result<(), String> {
        let version = match (got.status, &self.known) {
            (304, Some((_, known))) => *known,
            (200 | 206, _) => {
                let told = got.value("x-version").and_then(|v| v.parse().ok());
                told.ok_or("no version")?
            }
            _ => return Err("not served".to_owned()),
        };
        let allowed = self.floor..=world.published(thing);
        if !allowed.contains(&version) {
            return Err(format!("version {version} is not of {allowed:?}"));
        }
        if thing.kind == Kind::Fresh && got.status != 304 {
            ensure(got.value("x-who") == Some(&self.who), "another one's answer")?;
        }
        let length = thing.length(version);
        let coding = got.value("content-encoding");
        match (got.status, self.method, self.range) {
            (304, ..) => ensure(got.body.length == 0, "a body"),
            (200, "HEAD", _) => {
                ensure(got.body.length == 0, "a body")?;
                let told = got.value("content-length").filter(|_| coding.is_none());
                ensure(told.is_none_or(|n| n == length.to_string()), "another length")
            }
            (206, "GET", Some((first, last))) => {
                let told = format!("bytes {first}-{last}/{length}");
                ensure(got.value("content-range") == Some(&told), "another range")?;
                let expected = thing.body(version, first..last + 1);
                ensure(got.body == expected, "other bytes of the range")
            }
            (200, "GET", _) => {
                let body = decoded(coding, &got.body)?;
                let expected = thing.body(version, 0..length);
                ensure(body == expected, "other bytes")
            }
            _ => Err("a status that was not asked for".to_owned()),
        }
    }

    /// Whether the beginning of a body that broke off is right. Coded ones cannot be told.
    pub fn judge_part(&self, got: &Got) -> Result<(), String> {
        let What::Thing(thing) = self.what else {
            return Ok(());
        };
        let version = got.value("x-version").and_then(|v| v.parse().ok());
        let (Some(version), None) = (version, got.value("content-encoding")) else {
            return Ok(());
        };
        let from = match got.status {
            206 => self.range.map_or(0, |(first, _)| first),
            _ => 0,
        };
        let until = from + got.body.kept.len() as u64;
        let is_part = until <= thing.length(version) && got.body.kept == thing.bytes(version, from..until);
        ensure(
            is_part,
            &format!("other bytes before it broke off: {}", got.told()),
        )
    }
}

/// Whether a configuration has the route of every second one.
pub fn is_season(generation: u64) -> bool {
    generation.is_multiple_of(2)
}

fn ensure(holds: bool, how: &str) -> Result<(), String> {
    holds.then_some(()).ok_or_else(|| how.to_owned())
}

fn decoded(coding: Option<&str>, body: &Body) -> Result<Body, String> {
    let Some(coding) = coding else {
        return Ok(body.clone());
    };
    let (mut plain, coded) = (Vec::new(), &body.kept[..]);
    let done = match coding {
        "gzip" => flate2::read::GzDecoder::new(coded)
            .read_to_end(&mut plain)
            .map(drop),
        "br" => brotli::Decompressor::new(coded, 4096)
            .read_to_end(&mut plain)
            .map(drop),
        "zstd" => zstd::stream::copy_decode(coded, &mut plain),
        _ => return Err(format!("a coding nobody asked for, {coding}")),
    };
    done.map_err(|error| format!("a broken {coding}: {error}"))?;
    Ok(Body::of(&plain))
}
