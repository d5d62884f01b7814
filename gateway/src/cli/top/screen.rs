//! What stands where: figures as lines, never more of them than there is room for.

use super::figures::{Figures, Rates, RouteFigures};
use crate::cli::status::rough_bytes;
use crate::cli::table::{Side, Table};
use crate::cli::terminal::printable;

/// What the view depends on besides the figures.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Which routes come first.
    pub order: Order,
    /// Whether the figures stand still.
    pub is_paused: bool,
    /// Whether the keys are explained.
    pub has_help: bool,
    /// Whether there may be colour.
    pub colour: bool,
}

/// Which routes come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Those with the most requests.
    #[default]
    Requests,
    /// Those with the most answers of 5xx.
    Errors,
    /// The slowest.
    P95,
    /// By name.
    Name,
}

impl Order {
    /// The one that follows.
    pub fn next(self) -> Self {
        match self {
            Self::Requests => Self::Errors,
            Self::Errors => Self::P95,
            Self::P95 => Self::Name,
            Self::Name => Self::Requests,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Errors => "5xx",
            Self::P95 => "p95",
            Self::Name => "name",
        }
    }
}

const HELP: [&str; 9] = [
    "q        quit",
    "space    let the figures stand still, and go on",
    "s        order the routes by requests, 5xx, p95, name",
    "?        this, and back",
    "",
    "All rates are of the last interval. p50, p95, p99: what so many of a hundred requests have not exceeded,",
    "from the histogram of the metrics, so within a bucket it is a guess. Of a route \"-\" are requests that no",
    "route was for. A hit is an answer that no origin was asked for, a stale one too.",
    "To change something: sluice server, sluice purge, sluice reload.",
];

/// A screen of so many columns and rows. `fault` is what has kept the newest figures away.
pub fn screen(
    figures: &Figures,
    view: View,
    [columns, rows]: [usize; 2],
    fault: Option<&str>,
) -> Vec<String> {
    let mut lines = head(figures, view.colour);
    if let Some(fault) = fault {
        lines.push(painted("1;31", &format!("no answer: {fault}"), view.colour));
    }
    let foot = foot(view);
    let room = rows.saturating_sub(lines.len() + 1);
    if view.has_help {
        lines.push(String::new());
        lines.extend(HELP.map(str::to_owned));
        lines.truncate(rows.saturating_sub(1));
    } else {
        lines.extend(fitted(sections(figures, view), room));
    }
    lines.truncate(rows.saturating_sub(1));
    lines.resize(rows.saturating_sub(1), String::new());
    lines.push(foot);
    lines.truncate(rows);
    lines.iter().map(|line| cut(line, columns)).collect()
}

/// The same with everything, for whoever reads it later.
pub fn report(figures: &Figures) -> String {
    let view = View {
        order: Order::default(),
        is_paused: false,
        has_help: false,
        colour: false,
    };
    let mut lines = head(figures, false);
    for section in sections(figures, view) {
        lines.push(String::new());
        lines.extend(section);
    }
    lines.join("\n") + "\n"
}

fn head(figures: &Figures, colour: bool) -> Vec<String> {
    let Figures {
        version,
        config,
        total,
        ..
    } = figures;
    let mut lines = vec![printable(&format!("sluice {version}, by {config}"))];
    if figures.draining {
        lines[0].push_str(&painted("1;33", ", draining", colour));
    }
    if figures.reload_failed {
        let words = ", the last reload was refused: see sluice status";
        lines[0].push_str(&painted("1;31", words, colour));
    }
    let share = |class: f64| match total.per_s {
        0.0 => "-".to_owned(),
        all => format!("{:.1} %", 100.0 * class / all),
    };
    let [ok, moved, wrong, failed] = total.classes_per_s;
    let failures = format!("5xx {}", share(failed));
    let failures = match failed > 0.0 {
        true => painted("1;31", &failures, colour),
        false => failures,
    };
    lines.push(format!(
        "requests {}/s   2xx {}   3xx {}   4xx {}   {failures}   {}",
        rate(total.per_s),
        share(ok),
        share(moved),
        share(wrong),
        quantiles(total).map_or(String::new(), |[a, b, c]| format!("p50 {a}   p95 {b}   p99 {c}")),
    ));
    let mut usage = format!(
        "in flight {}   connections {}   sent {}/s   cpu {:.0} %   memory {}",
        figures.in_flight,
        figures.connections,
        rough_bytes(total.bytes_per_s as u64),
        figures.cpu_percent,
        rough_bytes(figures.memory_bytes)
    );
    if figures.log_dropped_per_s > 0.0 {
        let words = format!("   access log loses {} lines/s", rate(figures.log_dropped_per_s));
        usage.push_str(&painted("1;31", &words, colour));
    }
    lines.push(usage);
    lines
}

fn foot(view: View) -> String {
    let paused = if view.is_paused { "   paused" } else { "" };
    let text = format!(
        "q quit   space pause   s order: {}   ? help{paused}",
        view.order.words()
    );
    painted("7", &text, view.colour)
}

/// Each with its heads first.
fn sections(figures: &Figures, view: View) -> Vec<Vec<String>> {
    let tables = [
        routes(figures, view.order),
        servers(figures),
        caches(figures),
        limits(figures),
    ];
    let lines = |table: Table| table.text(view.colour).lines().map(str::to_owned).collect();
    let sections = tables.into_iter().map(lines);
    sections.filter(|lines: &Vec<String>| lines.len() > 1).collect()
}

/// The sections below each other with a line between them, those with the most rows shortened until all fit, and the last
/// ones left out if they cannot.
fn fitted(mut sections: Vec<Vec<String>>, room: usize) -> Vec<String> {
    // Its line between, its heads, one row.
    const LEAST: usize = 3;
    sections.truncate(room / LEAST);
    let mut rows: Vec<usize> = sections.iter().map(|s| s.len() - 1).collect();
    let mut excess = (rows.iter().sum::<usize>() + 2 * rows.len()).saturating_sub(room);
    while excess > 0 {
        let Some(most) = rows.iter_mut().max() else { break };
        *most -= 1;
        excess -= 1;
    }
    let mut lines = Vec::new();
    for (section, rows) in sections.iter().zip(rows) {
        lines.push(String::new());
        let all = section.len() - 1;
        let shown = if rows < all { rows.saturating_sub(1) } else { all };
        lines.extend_from_slice(&section[..=shown]);
        if shown < all {
            lines.push(format!("… {} more", all - shown));
        }
    }
    lines
}

fn routes(figures: &Figures, order: Order) -> Table {
    let mut table = Table::new([
        ("ROUTE", Side::Left),
        ("REQ/S", Side::Right),
        ("2XX", Side::Right),
        ("3XX", Side::Right),
        ("4XX", Side::Right),
        ("5XX", Side::Right),
        ("P50", Side::Right),
        ("P95", Side::Right),
        ("P99", Side::Right),
        ("SENT/S", Side::Right),
    ]);
    let mut routes: Vec<&RouteFigures> = figures.routes.iter().collect();
    let most = |a: f64, b: f64| b.total_cmp(&a);
    routes.sort_by(|a, b| {
        let (x, y) = (&a.rates, &b.rates);
        let first = match order {
            Order::Requests => most(x.per_s, y.per_s),
            Order::Errors => most(x.classes_per_s[3], y.classes_per_s[3]),
            Order::P95 => most(
                x.quantiles_ms[1].unwrap_or(-1.0),
                y.quantiles_ms[1].unwrap_or(-1.0),
            ),
            Order::Name => std::cmp::Ordering::Equal,
        };
        first.then_with(|| a.name.cmp(&b.name))
    });
    for route in routes {
        let [p50, p95, p99] = quantiles(&route.rates).unwrap_or(["-", "-", "-"].map(str::to_owned));
        let [ok, moved, wrong, failed] = route.rates.classes_per_s.map(rate);
        table.row([
            route.name.clone(),
            rate(route.rates.per_s),
            ok,
            moved,
            wrong,
            failed,
            p50,
            p95,
            p99,
            rough_bytes(route.rates.bytes_per_s as u64),
        ]);
    }
    table
}

fn servers(figures: &Figures) -> Table {
    let mut table = Table::new([
        ("UPSTREAM", Side::Left),
        ("SERVER", Side::Left),
        ("STATE", Side::Left),
        ("IN FLIGHT", Side::Right),
        ("REQ/S", Side::Right),
        ("FAILED/S", Side::Right),
        ("LATENCY", Side::Right),
    ]);
    for server in &figures.servers {
        table.row([
            server.upstream.clone(),
            server.address.clone(),
            server.state.clone(),
            server.in_flight.to_string(),
            rate(server.per_s),
            rate(server.failures_per_s),
            server.latency_ms.map_or("-".to_owned(), milliseconds),
        ]);
    }
    table
}

fn caches(figures: &Figures) -> Table {
    let mut table = Table::new([
        ("CACHE", Side::Left),
        ("REQ/S", Side::Right),
        ("HIT", Side::Right),
        ("OBJECTS", Side::Right),
        ("MEMORY", Side::Right),
        ("DISK", Side::Right),
    ]);
    let used = |[used, limit]: [u64; 2]| match limit {
        0 => "-".to_owned(),
        limit => format!("{} of {}", rough_bytes(used), rough_bytes(limit)),
    };
    for cache in &figures.caches {
        table.row([
            cache.name.clone(),
            rate(cache.per_s),
            cache.hit_percent.map_or("-".to_owned(), |p| format!("{p:.1} %")),
            cache.objects.to_string(),
            used(cache.memory_bytes),
            match cache.disk_failed {
                true => "down".to_owned(),
                false => used(cache.disk_bytes),
            },
        ]);
    }
    table
}

fn limits(figures: &Figures) -> Table {
    let mut table = Table::new([
        ("LIMIT", Side::Left),
        ("OF", Side::Left),
        ("REFUSED/S", Side::Right),
        ("KEYS OR INSIDE", Side::Right),
        ("WAITING", Side::Right),
    ]);
    for limit in &figures.limits {
        table.row([
            limit.name.clone(),
            limit.kind.to_owned(),
            rate(limit.refused_per_s),
            limit.used.to_string(),
            limit.waiting.to_string(),
        ]);
    }
    table
}

fn quantiles(rates: &Rates) -> Option<[String; 3]> {
    let [a, b, c] = rates.quantiles_ms;
    Some([milliseconds(a?), milliseconds(b?), milliseconds(c?)])
}

fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms.is_infinite() => "> 10 s".to_owned(),
        ms if ms >= 1_000.0 => format!("{:.2} s", ms / 1_000.0),
        ms if ms >= 10.0 => format!("{ms:.0} ms"),
        ms => format!("{ms:.1} ms"),
    }
}

/// Seldom things still are something: 0.01 a second is not "0".
fn rate(per_s: f64) -> String {
    match per_s {
        0.0 => "0".to_owned(),
        n if n < 0.1 => "< 0.1".to_owned(),
        n if n < 100.0 => format!("{n:.1}"),
        n => format!("{n:.0}"),
    }
}

fn painted(style: &str, text: &str, colour: bool) -> String {
    match colour {
        true => format!("\x1b[{style}m{text}\x1b[0m"),
        false => text.to_owned(),
    }
}

/// The first characters of a line; the escapes of its colours take no room, and end with it.
fn cut(line: &str, columns: usize) -> String {
    let mut out = String::new();
    let (mut shown, mut is_escape) = (0, false);
    for c in line.chars() {
        if is_escape {
            is_escape = c != 'm';
        } else if c == '\x1b' {
            is_escape = true;
        } else if shown == columns {
            continue;
        } else {
            shown += 1;
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests;
