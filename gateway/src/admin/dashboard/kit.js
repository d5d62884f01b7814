"use strict";
// Small tools: elements, tables that change in place, numbers with their units. Names from outside become text nodes only.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
const byId = (id) => document.getElementById(id);

/** Writes only what has changed, so that a selection or a reader's place is not lost every second. */
function say(node, text) {
  const wanted = text == null ? "" : String(text);
  if (node.textContent !== wanted) node.textContent = wanted;
}

function mark(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** Puts children in this order with as few moves as possible. */
function arrange(parent, children) {
  children.forEach((child, i) => {
    if (parent.children[i] !== child) parent.insertBefore(child, parent.children[i] ?? null);
  });
  while (parent.children.length > children.length) parent.lastElementChild.remove();
}

/** Elements by key: made once, told of every change, gone when their item is. */
class Keyed {
  constructor(parent, make) {
    Object.assign(this, { parent, make, known: new Map() });
  }

  show(items, keyOf) {
    const next = new Map();
    for (const item of items) {
      const key = keyOf(item);
      const row = this.known.get(key) ?? this.make(item);
      row.update(item);
      next.set(key, row);
    }
    this.known = next;
    arrange(this.parent, [...next.values()].map((row) => row.node));
  }
}

/**
 * A card with a table. A column is { head, hint, number, width, text: (row) => words } or has
 * `make: (cell, row) => (row) => …`, which builds the cell once and returns what keeps it up to date.
 */
class Table {
  constructor(host, { title, columns, key, empty, isTitled = true }) {
    const heads = columns.map((c) =>
      el("th", { scope: "col", role: "columnheader", class: c.number ? "number" : c.kind, title: c.hint },
        c.head ? c.head : el("span", { class: "hidden" }, c.hidden ?? "")));
    const body = el("tbody", { role: "rowgroup" });
    this.title = el("h3", {}, title);
    this.note = el("p", { class: "muted note" });
    this.empty = el("p", { class: "empty" }, empty);
    const widths = columns.some((c) => c.width) ? el("colgroup", {}, ...columns.map((c) => el("col", { width: c.width }))) : null;
    this.table = el("table", { role: "table", "aria-label": title, class: widths && "fixed" }, widths,
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...heads)), body);
    this.card = el("div", { class: "card" },
      el("div", { class: "head", hidden: !isTitled }, this.title, this.note), el("div", { class: "scroll" }, this.table), this.empty);
    host.append(this.card);
    this.key = key;
    this.rows = new Keyed(body, (row) => this.row(columns, row));
  }

  row(columns, first) {
    const updates = [];
    const cells = columns.map((c) => {
      const cell = el("td", { role: "cell", class: c.number ? "number" : c.kind, "data-head": c.head || null });
      updates.push(c.make ? c.make(cell, first) : (row) => say(cell, c.text(row)));
      return cell;
    });
    return { node: el("tr", { role: "row" }, ...cells), update: (row) => updates.forEach((u) => u(row)) };
  }

  show(rows) {
    this.table.hidden = rows.length === 0;
    this.empty.hidden = rows.length !== 0;
    this.rows.show(rows, this.key);
  }
}

// --- numbers -----------------------------------------------------------------------------------------------------

const NONE = "–";
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const known = (value) => value != null && Number.isFinite(value);

const count = (n) => (known(n) ? whole.format(n) : NONE);

/** Three figures or so, without jumping between lengths: 0.4, 12.5, 1,234. */
function rate(perS) {
  if (!known(perS)) return NONE;
  if (perS === 0) return "0";
  if (perS < 0.095) return perS.toFixed(2);
  return perS < 99.95 ? perS.toFixed(1) : whole.format(perS);
}

/** At an axis: as few digits as it takes. */
const tick = (n) => new Intl.NumberFormat("en", { maximumFractionDigits: 2 }).format(n);

const perSecond = (n) => (known(n) ? `${rate(n)}/s` : NONE);

/** Bounds of the histogram's buckets in milliseconds: nothing finer is known. */
const BOUNDS_MS = [0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000];

function duration(ms) {
  if (!known(ms)) return NONE;
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${ms.toFixed(0)} ms`;
  return `${(ms / 1000).toFixed(ms < 9950 ? 2 : 0)} s`;
}

/** A latency out of a histogram. Below the first bound and from the last one on it says no more than it knows. */
function latency(ms) {
  if (!known(ms)) return NONE;
  if (ms <= BOUNDS_MS[0]) return "< 0.5 ms";
  return ms >= BOUNDS_MS.at(-1) ? "≥ 10 s" : duration(ms);
}

function bucketOf(ms) {
  if (!known(ms)) return "no requests in the last 5 seconds";
  const i = BOUNDS_MS.findIndex((bound) => ms <= bound);
  if (i < 0 || ms >= BOUNDS_MS.at(-1)) return "10 s or more";
  return i === 0 ? "less than 0.5 ms" : `between ${BOUNDS_MS[i - 1]} and ${BOUNDS_MS[i]} ms`;
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** A number that changes every second keeps its digits; one that stands still needs no zero behind the point. */
function bytes(n, isSteady = false) {
  if (!known(n)) return NONE;
  let unit = 0;
  let value = n;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  const text = value.toFixed(digits);
  return `${isSteady ? text : text.replace(/\.0$/, "")} ${UNITS[unit]}`;
}

/** Cut, not rounded: 100 % means all of them. */
function percent(share) {
  if (!known(share)) return NONE;
  return `${(Math.floor(share * 1000 + 1e-6) / 10).toFixed(1)} %`;
}

const ratio = (hits, misses) => (hits + misses > 0 ? hits / (hits + misses) : null);

function span(s) {
  if (!known(s)) return NONE;
  const [d, h, m] = [Math.floor(s / 86400), Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60];
  if (d > 0) return `${d} d ${h} h`;
  if (h > 0) return `${h} h ${m} min`;
  return m > 0 ? `${m} min` : `${Math.floor(s)} s`;
}

const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");

function moment(rfc3339) {
  const at = new Date(rfc3339);
  if (Number.isNaN(at.getTime())) return rfc3339 || NONE;
  const isToday = at.toDateString() === new Date().toDateString();
  const time = at.toLocaleTimeString("en-GB");
  return isToday ? `today, ${time}` : `${at.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" })}, ${time}`;
}
