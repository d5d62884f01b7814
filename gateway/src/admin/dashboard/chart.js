// Charts of the last minutes, up to an hour: lines over slots of equal length, drawn as SVG. A gap is drawn as a gap.

const PLOT = { height: 100, top: 14, bottom: 16 };

/** The next of 1, 2, 2.5, 5 and 10 times a power of ten: an axis that ends in a number one can read. */
function niceMax(max, floor) {
  const wanted = Math.max(max, floor);
  const power = 10 ** Math.floor(Math.log10(wanted));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((nice) => nice >= wanted * 0.999) ?? wanted;
}

/** The same for bytes: powers of two, so that half of it is a whole number too. */
const niceBytes = (max, floor) => 2 ** Math.ceil(Math.log2(Math.max(max, floor)));

/**
 * One chart. `series`: { figure, name, style }; `format` writes a value, `axis` one at the axis; `floor` is the least
 * top of the axis, `top` a fixed one; `nice` chooses the top.
 */
class Chart {
  constructor(host, options) {
    Object.assign(this, { format: rate, axis: options.format ?? rate, floor: 1, nice: niceMax,
      isWorse: (a, b) => a > b, ...options });
    this.time = el("span", { class: "time muted" });
    this.values = this.series.map((s) => el("dd", {}, NONE));
    this.extra = el("span", { class: "extra muted" });
    const legend = this.series.map((s, i) => {
      const line = svg("svg", { class: "swatch", viewBox: "0 0 16 4", "aria-hidden": "true" },
        svg("line", { x1: 0, y1: 2, x2: 16, y2: 2, class: `line ${s.style}` }));
      const isOnly = this.series.length === 1;
      return el("div", {}, el("dt", { class: isOnly ? "hidden" : null }, line, s.name), this.values[i]);
    });
    this.plot = svg("svg", { class: "plot", role: "img", height: PLOT.height });
    this.node = el("figure", { class: "card chart" },
      el("figcaption", { title: this.hint }, el("h3", {}, this.title), this.time),
      el("dl", { class: this.series.length === 1 ? "one" : "many" }, ...legend), this.extra, this.plot);
    host.append(this.node);
    this.width = 0;
    new ResizeObserver(([entry]) => this.resize(Math.floor(entry.contentRect.width))).observe(this.plot.parentNode);
    this.plot.addEventListener("pointermove", (event) => this.point(event.offsetX));
    this.plot.addEventListener("pointerleave", () => this.point(null));
  }

  resize() {
    const width = Math.floor(this.plot.getBoundingClientRect().width);
    if (width === this.width || width === 0) return;
    this.width = width;
    this.draw();
  }

  show(hour) {
    this.hour = hour;
    this.draw();
  }

  point(x) {
    this.at = x == null || !this.hour ? null : this.from() + Math.round((x / Math.max(this.width, 1)) * (this.hour.span - 1));
    this.draw();
  }

  /** The first slot that is drawn. */
  from() {
    return SLOTS - this.hour.span;
  }

  top() {
    if (this.fixedTop) return this.fixedTop;
    const max = this.series.flatMap((s) => this.hour.values[s.figure].slice(this.from())).reduce((a, b) => Math.max(a, b ?? 0), 0);
    return this.nice(max, this.floor);
  }

  draw() {
    if (!this.hour) return;
    this.tell();
    if (!this.width) return;
    const top = this.top();
    const bottom = PLOT.height - PLOT.bottom;
    const x = (i) => ((i - this.from()) / (this.hour.span - 1)) * (this.width - 2) + 1;
    const y = (v) => bottom - (Math.min(v, top) / top) * (bottom - PLOT.top);
    const parts = [];
    for (const share of [0, 0.5, 1]) {
      const level = Math.round(y(top * share)) + 0.5;
      parts.push(svg("line", { class: share === 0 ? "base" : "grid", x1: 0, x2: this.width, y1: level, y2: level }));
    }
    for (const s of this.series) parts.push(...this.line(s, x, y, bottom));
    for (const share of [0.5, 1]) {
      const label = svg("text", { class: "tick", x: 0, y: Math.round(y(top * share)) - 3 }, this.axis(top * share));
      parts.push(label);
    }
    const minutes = this.hour.minutes();
    const ticks = [["start", 0, `${minutes} min ago`], ["middle", this.width / 2, minutes / 2], ["end", this.width, "now"]];
    ticks.forEach(([anchor, at, text]) =>
      parts.push(svg("text", { class: "tick", x: at, y: PLOT.height - 3, "text-anchor": anchor }, text)));
    if (this.at != null) {
      const at = Math.round(x(this.at)) + 0.5;
      parts.push(svg("line", { class: "cross", x1: at, x2: at, y1: PLOT.top, y2: bottom }));
    }
    mark(this.plot, "viewBox", `0 0 ${this.width} ${PLOT.height}`);
    this.plot.replaceChildren(...parts);
  }

  /**
   * What is drawn of a figure: [slot, value], null for a gap. Where there are more slots than pixels, the worst of a few
   * neighbours stands for them, so that no peak is lost; neighbours are counted from the first slot of all, so that the
   * line moves with the time and does not shimmer.
   */
  drawn(figure) {
    const together = this.together();
    const groups = new Map();
    this.hour.values[figure].forEach((value, i) => {
      if (i < this.from()) return;
      const group = Math.floor((this.hour.slot + i) / together);
      const before = groups.get(group);
      if (value == null) return groups.set(group, before ?? null);
      return groups.set(group, !before || this.isWorse(value, before[1]) ? [i, value] : before);
    });
    return [...groups.values()];
  }

  together() {
    return Math.max(1, Math.ceil((this.hour.span * 1.5) / Math.max(this.width, 1)));
  }

  /** The value that is drawn at a slot. */
  drawnAt(figure, at) {
    const together = this.together();
    const first = at - ((this.hour.slot + at) % together);
    const values = this.hour.values[figure].slice(Math.max(0, first), first + together).filter((v) => v != null);
    return values.reduce((worst, v) => (worst == null || this.isWorse(v, worst) ? v : worst), null);
  }

  /** A path for the line, and one for the area below it where it is the only one. A value between gaps is a dot. */
  line(series, x, y, bottom) {
    const points = this.drawn(series.figure).map((point) => point && `${x(point[0]).toFixed(1)} ${y(point[1]).toFixed(1)}`);
    let path = "";
    let area = "";
    points.forEach((place, i) => {
      if (!place) return;
      const [isFirst, isLast] = [!points[i - 1], !points[i + 1]];
      const across = place.split(" ")[0];
      path += `${isFirst ? "M" : "L"}${place}${isFirst && isLast ? "h0.01" : ""}`;
      area += `${isFirst ? `M${across} ${bottom}L` : "L"}${place}${isLast ? `L${across} ${bottom}Z` : ""}`;
    });
    const line = svg("path", { class: `line ${series.style}`, d: path });
    return this.series.length === 1 ? [svg("path", { class: `area ${series.style}`, d: area }), line] : [line];
  }

  /** The numbers: what is drawn where it is pointed at, else the present ones. */
  tell() {
    const at = this.at ?? SLOTS - 1;
    const values = this.series.map((s) => (this.at == null ? this.hour.now[s.figure] : this.drawnAt(s.figure, at)));
    values.forEach((value, i) => {
      say(this.values[i], this.format(value));
      if (this.explain) mark(this.values[i], "title", this.explain(value));
    });
    const ms = this.hour.atMs - (SLOTS - 1 - at) * this.hour.stepMs;
    say(this.time, this.at == null ? "" : clock(ms));
    say(this.extra, this.more && this.at == null ? this.more(this.hour.now) : "");
    const words = this.series.map((s, i) => `${s.name} ${this.format(values[i])}`).join(", ");
    mark(this.plot, "aria-label", `${this.title}, last ${this.hour.minutes()} minutes; now: ${words}`);
  }
}

/** Values of each figure in the last hour: as many slots as the gateway keeps. */
const SLOTS = 720;

/** How many of them are drawn: a gateway that has just started would else show an hour of nothing. */
const SPANS = [48, 240, SLOTS];

class Hour {
  constructor(told) {
    this.slot = told.slot;
    this.stepMs = told.step_s * 1000;
    this.atMs = told.at_ms;
    this.values = {};
    this.now = {};
    for (const [figure, values] of Object.entries(told.figures)) {
      this.values[figure] = [...Array(Math.max(0, SLOTS - values.length)).fill(null), ...values.slice(-SLOTS)];
    }
    this.fit();
  }

  /** Chooses the span that all there is has room in. */
  fit() {
    const firsts = Object.values(this.values).map((values) => values.findIndex((value) => value != null));
    const known = SLOTS - Math.min(SLOTS, ...firsts.filter((first) => first >= 0));
    this.span = SPANS.find((span) => known <= span) ?? SLOTS;
  }

  minutes() {
    return Math.round((this.span * this.stepMs) / 60_000);
  }

  /** False if the event does not follow: the gateway has started anew. */
  add(event) {
    if (event.slot < this.slot) return false;
    const steps = Math.min(event.slot - this.slot, SLOTS);
    for (const [figure, values] of Object.entries(this.values)) {
      for (let i = 0; i < steps; i += 1) {
        values.shift();
        values.push(null);
      }
      values[SLOTS - 1] = event.figures[figure] ?? null;
    }
    this.slot = event.slot;
    this.atMs = event.at_ms;
    this.now = event.figures;
    this.fit();
    return true;
  }
}
