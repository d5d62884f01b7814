//! cache: what is stored, on its way to the client.

use std::sync::Arc;

use super::{Next, Visit};
use crate::cache::fill::Follower;
use crate::cache::policy::{self, CacheStatus, Forward, Selected};
use crate::cache::{Body, Meta, Object};
use crate::config::plan::Edits;
use crate::exchange::{Exchange, Stored};
use crate::facts::write_number;
use crate::kit::byteranges::{Byteranges, content_range};
use crate::kit::range::ByteRange;
use crate::observe::CacheResult;
use crate::relay::follow::{FollowFault, Outlet};
use crate::reply::Refusal;
use crate::reply::head::{self, Announced, Delivery, Shown, finish, is_edited, write_stored};
use crate::snapshot::Service;
use crate::upstream::Failure;
use crate::wire::edit::write_line;
use crate::wire::{Length, Method, Name};

/// Fields that describe the content, and are not said where none is sent (RFC 9110 §15.4.5).
const CONTENT_FIELDS: &[Name] = &[
    Name::ContentEncoding,
    Name::ContentType,
    Name::ContentRange,
    Name::LastModified,
];

/// Why a stored answer is what the client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// It was just asked for, and is stored while it is sent.
    Miss,
    /// Another request had asked for it.
    Collapsed,
    /// The origin was asked, and said that it holds.
    Confirmed,
    /// It is fresh.
    Fresh,
    /// It is stale, and the client takes it.
    StaleAllowed,
    /// It is stale, and a newer one is being fetched.
    StaleMeanwhile,
    /// It is stale, and the origin fails.
    StaleOnError,
}

/// A stored answer for one client.
pub(super) struct Chosen {
    pub(super) source: Source,
    age_secs: u64,
    how: How,
    why: Forward,
    /// Whether the head has to say that other clients get it in a coding.
    pub(super) varies: bool,
}

pub(super) enum Source {
    Object(Arc<Object>),
    Fill(Follower),
}

impl How {
    fn result(self) -> CacheResult {
        match self {
            Self::Miss | Self::Collapsed => CacheResult::Miss,
            Self::Confirmed => CacheResult::Revalidated,
            Self::Fresh => CacheResult::Hit,
            Self::StaleAllowed | Self::StaleMeanwhile | Self::StaleOnError => CacheResult::Stale,
        }
    }
}

impl Chosen {
    pub(super) fn object(object: Arc<Object>, age_secs: u64, how: How) -> Self {
        Self {
            source: Source::Object(object),
            age_secs,
            how,
            why: Forward::Miss,
            varies: false,
        }
    }

    pub(super) fn fill(follower: Follower, now_ms: u64, how: How) -> Self {
        let age_secs = policy::age_secs(&follower.fill().meta.freshness, now_ms);
        Self {
            source: Source::Fill(follower),
            age_secs,
            how,
            why: Forward::Miss,
            varies: false,
        }
    }

    /// Why the origin was asked, for those that it was asked for.
    pub(super) fn because(mut self, why: Forward) -> Self {
        self.why = why;
        self
    }

    /// RFC 9211: what the client is told.
    fn status(&self, now_ms: u64) -> CacheStatus {
        let ttl_secs = policy::ttl_secs(&self.meta().freshness, now_ms);
        // What a soft purge has made stale has time left by its own account.
        let stale = |detail| CacheStatus {
            detail: Some(detail),
            ..CacheStatus::hit(ttl_secs.min(0))
        };
        match self.how {
            How::Miss => CacheStatus {
                is_stored: true,
                ..CacheStatus::forwarded(self.why)
            },
            How::Collapsed => CacheStatus {
                is_collapsed: true,
                ..CacheStatus::forwarded(self.why)
            },
            How::Confirmed => CacheStatus {
                forward_status: Some(304),
                is_stored: true,
                ..CacheStatus::forwarded(self.why)
            },
            How::Fresh => CacheStatus::hit(ttl_secs),
            How::StaleAllowed => stale("max-stale"),
            How::StaleMeanwhile => stale("stale-while-revalidate"),
            How::StaleOnError => stale("stale-if-error"),
        }
    }

    pub(super) fn meta(&self) -> &Meta {
        match &self.source {
            Source::Object(object) => &object.meta,
            Source::Fill(follower) => &follower.fill().meta,
        }
    }

    /// Bytes of the body, where they are known beforehand.
    pub(super) fn size(&self) -> Option<u64> {
        match &self.source {
            Source::Object(object) => Some(object.body.length()),
            Source::Fill(follower) => follower.fill().length,
        }
    }

    /// What of it this request gets.
    pub(super) fn selected(&self, x: &Exchange) -> Selected {
        let now_secs = x.began.wall.as_secs();
        // Of a body whose length nobody knows yet there are no parts.
        match self.size() {
            Some(size) => policy::select(self.meta(), size, &x.request, now_secs),
            None => match policy::select(self.meta(), u64::MAX, &x.request, now_secs) {
                Selected::Ranges(_) | Selected::Unsatisfiable => Selected::Whole,
                other => other,
            },
        }
    }

    fn stored(&self) -> Stored {
        match &self.source {
            Source::Object(object) => Stored::Object(Arc::clone(object)),
            Source::Fill(follower) => Stored::Fill(Arc::clone(follower.fill())),
        }
    }
}

/// What of the body goes out.
enum Portion {
    Nothing,
    Whole,
    One(ByteRange),
    Several(Byteranges),
}

impl Visit<'_> {
    /// Answers with what is stored: whole, in part, or with the word that the client has it already.
    pub(super) async fn serve(&mut self, chosen: Chosen, service: &Arc<Service>) -> Next {
        // What comes from the store is nothing its upstream has to do with any more.
        self.x.guarded.room = None;
        let chosen = self.in_form(chosen).await;
        let x = &mut self.x;
        x.cache_result = Some(chosen.how.result());
        x.cache_status = Some(chosen.status(x.began.unix_ms()));
        x.stored = Some(chosen.stored());
        match chosen.selected(x) {
            Selected::Whole => self.send_stored(chosen, Portion::Whole, service).await,
            Selected::NotModified => self.send_stored(chosen, Portion::Nothing, service).await,
            Selected::PreconditionFailed => self.ask_alone(service).await,
            Selected::Ranges(ranges) => {
                let portion = self.portion(&chosen, &ranges);
                self.send_stored(chosen, portion, service).await
            }
            Selected::Unsatisfiable => {
                let whole = format!("bytes */{}", chosen.size().unwrap_or_default());
                let fields = vec![("Content-Range", whole)];
                self.refuse(Refusal::RangeNotSatisfiable, fields).await
            }
        }
    }

    /// A condition is about what the origin has now, and what is stored does not meet it: only the origin knows.
    async fn ask_alone(&mut self, service: &Arc<Service>) -> Next {
        self.x.stored = None;
        let detail = Some("precondition");
        self.alone(service, CacheResult::Bypass, Forward::Request, detail)
            .await
    }

    fn portion(&self, chosen: &Chosen, ranges: &[ByteRange]) -> Portion {
        if let [range] = ranges {
            return Portion::One(*range);
        }
        let meta = chosen.meta();
        let text = |name| meta.fields.first(name).and_then(|v| std::str::from_utf8(v).ok());
        let identity = format!("{:?} {:?}", text(Name::Etag), text(Name::LastModified));
        let size = chosen.size().unwrap_or_default();
        Portion::Several(Byteranges::new(ranges, size, text(Name::ContentType), &identity))
    }

    async fn send_stored(&mut self, chosen: Chosen, portion: Portion, service: &Arc<Service>) -> Next {
        let is_head = self.x.request.method == Method::Head;
        let delivery = self.delivery(&chosen, &portion);
        let head = self.stored_head(&chosen, &portion, delivery);
        let x = &mut self.x;
        let now = self.worker.mono();
        x.timings.first_byte = Some(now.since(x.began.mono));
        x.cache_is_done(now);
        x.status = match portion {
            Portion::Nothing => 304,
            Portion::Whole => chosen.meta().status,
            Portion::One(_) | Portion::Several(_) => 206,
        };
        let is_chunked = delivery.length == Announced::Chunked && !is_head;
        // Neither a length nor chunks: only a reset tells a body that breaks off from a whole one.
        let has_body = !is_head && !matches!(portion, Portion::Nothing);
        let ends_with_connection =
            has_body && delivery.length == Announced::Nothing && chosen.size() != Some(0);
        if ends_with_connection {
            self.stream.close_by_reset();
        }
        let limit = x.snapshot.plan.server.limits.body_timeout;
        let mut outlet = Outlet::new(self.stream, head, is_chunked, limit);
        let sent = if has_body {
            send(&mut outlet, chosen.source, portion).await
        } else {
            outlet.flush().await
        };
        x.bytes_sent = outlet.sent;
        match sent {
            Ok(()) => {
                if ends_with_connection {
                    self.stream.close_in_order();
                }
                if delivery.closes { Next::Close } else { Next::Keep }
            }
            Err(FollowFault::Disk(text)) => {
                self.forget_damaged(&text);
                if outlet.has_begun {
                    self.x.broken_off = Some(Failure::Reset);
                    self.stream.close_by_reset();
                    return Next::Abandon;
                }
                // Found out in time: the client has not been told anything.
                self.x.status = 0;
                match self.x.stored.take() {
                    Some(Stored::Fill(_)) | None => self.unreadable(service).await,
                    // It is forgotten: the next look finds something else.
                    Some(Stored::Object(_)) => Box::pin(self.ask(service)).await,
                }
            }
            Err(fault @ (FollowFault::Client(_) | FollowFault::Broken)) => {
                match &fault {
                    FollowFault::Client(fault) => self.x.cut_off(fault),
                    FollowFault::Broken | FollowFault::Disk(_) => self.x.broken_off = Some(Failure::Reset),
                }
                // A client that has a part must not take it for the whole.
                self.stream.close_by_reset();
                Next::Abandon
            }
        }
    }

    /// What is still coming would be found again, and be as unreadable as it was: this client asks for itself.
    async fn unreadable(&mut self, service: &Arc<Service>) -> Next {
        let detail = Some("unreadable");
        self.alone(service, CacheResult::Miss, Forward::UriMiss, detail)
            .await
    }

    fn forget_damaged(&self, text: &str) {
        let id = &self.x.request_id;
        log::error!("a stored answer cannot be read and is forgotten: {text}, request {id}");
        if let (Some(Stored::Object(object)), Some(site)) = (&self.x.stored, &self.x.site)
            && let Some(zone) = &site.zone
        {
            zone.store.remove_damaged(object);
        }
    }

    fn delivery(&self, chosen: &Chosen, portion: &Portion) -> Delivery {
        let keeps = self.x.keeps && !self.door.is_closing();
        let version = self.x.request.version;
        match (portion, chosen.size()) {
            (Portion::Nothing, _) => head::deliver(Length::None, version, keeps, None),
            (Portion::One(range), _) => head::deliver(Length::Known(range.length()), version, keeps, None),
            (Portion::Several(frame), _) => {
                head::deliver(Length::Known(frame.length()), version, keeps, None)
            }
            // RFC 9110 §8.6: no Content-Length in a 204.
            (Portion::Whole, Some(0)) if chosen.meta().status == 204 => {
                head::deliver(Length::None, version, keeps, None)
            }
            (Portion::Whole, Some(n)) => head::deliver(Length::Known(n), version, keeps, None),
            // HEAD announces nothing that it does not know.
            (Portion::Whole, None) if self.x.request.method == Method::Head => {
                head::deliver(Length::None, version, keeps, None)
            }
            (Portion::Whole, None) => head::deliver(Length::Chunked, version, keeps, None),
        }
    }

    fn stored_head(&self, chosen: &Chosen, portion: &Portion, delivery: Delivery) -> Vec<u8> {
        let x = &self.x;
        let nothing = Edits::default();
        let edits = x.site.as_ref().map_or(&nothing, |s| &s.response_headers);
        let is_hit = !matches!(chosen.how, How::Miss | How::Collapsed);
        let age_secs = (is_hit || chosen.age_secs > 0).then_some(chosen.age_secs);
        let mut shown = shown(chosen.meta(), matches!(portion, Portion::Nothing));
        let mut place = None;
        match portion {
            Portion::Whole | Portion::Nothing => {}
            Portion::One(range) => {
                (shown.status, shown.reason) = (206, b"Partial Content");
                let size = chosen.size().unwrap_or_default();
                place = Some((&b"Content-Range"[..], content_range(*range, size)));
            }
            Portion::Several(frame) => {
                (shown.status, shown.reason) = (206, b"Partial Content");
                shown.hides = &[Name::ContentType];
                place = Some((&b"Content-Type"[..], frame.media()));
            }
        }
        let mut head = Vec::with_capacity(1024);
        write_stored(&mut head, shown, edits);
        write_hit_lines(&mut head, edits, age_secs, chosen.status(x.began.unix_ms()));
        if chosen.varies {
            write_line(&mut head, b"Vary", b"Accept-Encoding");
        }
        if let Some((name, value)) = place {
            write_line(&mut head, name, value.as_bytes());
        }
        finish(&mut head, &x.facts(), edits, delivery);
        head
    }
}

/// A stored answer's head, or what of it a 304 says.
pub(super) fn shown(meta: &Meta, is_304: bool) -> Shown<'_> {
    let shown = Shown {
        status: meta.status,
        reason: &meta.reason,
        version: meta.version,
        fields: &meta.fields,
        hides: &[],
    };
    if !is_304 {
        return shown;
    }
    // RFC 9110 §15.4.5: Last-Modified only where there is no ETag to tell by.
    let has_tag = meta.fields.first(Name::Etag).is_some();
    Shown {
        status: 304,
        reason: b"Not Modified",
        hides: if has_tag {
            CONTENT_FIELDS
        } else {
            &CONTENT_FIELDS[..3]
        },
        ..shown
    }
}

/// The lines that only caches write.
pub(super) fn write_hit_lines(out: &mut Vec<u8>, edits: &Edits, age_secs: Option<u64>, status: CacheStatus) {
    if let Some(age_secs) = age_secs.filter(|_| !is_edited(edits, b"age")) {
        out.extend_from_slice(b"Age: ");
        write_number(age_secs, out);
        out.extend_from_slice(b"\r\n");
    }
    if !is_edited(edits, b"cache-status") {
        out.extend_from_slice(b"Cache-Status: ");
        status.write(out);
        out.extend_from_slice(b"\r\n");
    }
}

async fn send(outlet: &mut Outlet<'_>, source: Source, portion: Portion) -> Result<(), FollowFault> {
    match (source, portion) {
        (_, Portion::Nothing) => outlet.flush().await,
        (Source::Object(object), Portion::Whole) => match &object.body {
            Body::Memory(bytes) => outlet.send(bytes).await,
            Body::File(_) if object.body.length() == 0 => outlet.flush().await,
            Body::File(file) => {
                let all = ByteRange {
                    first: 0,
                    last: object.body.length() - 1,
                };
                outlet.send_file(file, all).await
            }
        },
        (Source::Object(object), Portion::One(range)) => send_range(outlet, &object.body, range).await,
        (Source::Object(object), Portion::Several(frame)) => {
            for (head, range) in &frame.parts {
                outlet.precede(head.as_bytes());
                send_range(outlet, &object.body, *range).await?;
            }
            outlet.precede(frame.end.as_bytes());
            outlet.flush().await
        }
        (Source::Fill(mut follower), Portion::Whole) => {
            outlet.follow(&mut follower, 0, None).await?;
            outlet.end().await
        }
        (Source::Fill(mut follower), Portion::One(range)) => {
            outlet.follow(&mut follower, range.first, Some(range.last)).await
        }
        (Source::Fill(mut follower), Portion::Several(frame)) => {
            for (head, range) in &frame.parts {
                outlet.precede(head.as_bytes());
                outlet
                    .follow(&mut follower, range.first, Some(range.last))
                    .await?;
            }
            outlet.precede(frame.end.as_bytes());
            outlet.flush().await
        }
    }
}

async fn send_range(outlet: &mut Outlet<'_>, body: &Body, range: ByteRange) -> Result<(), FollowFault> {
    match body {
        Body::File(file) => outlet.send_file(file, range).await,
        Body::Memory(bytes) => {
            let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
            let stretch = bytes.get(at(range.first)..=at(range.last));
            outlet.send(stretch.ok_or(FollowFault::Broken)?).await
        }
    }
}
