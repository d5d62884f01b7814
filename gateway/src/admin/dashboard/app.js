// The page: asks for the history, follows the events, and shows them.

// --- what is shown -----------------------------------------------------------------------------------------------

let view = null;
let lastAtMs = 0;

const CHARTS = [
  { title: "Requests", series: [{ figure: "requests_per_s", name: "requests", style: "s1" }], format: perSecond, axis: tick,
    hint: "Requests that have ended, per second", more: (now) => `${bytes(now.sent_bytes_per_s, true)}/s sent` },
  { title: "Latency", format: latency, axis: (ms) => (ms >= 1000 ? `${tick(ms / 1000)} s` : `${tick(ms)} ms`), explain: bucketOf,
    series: [{ figure: "latency_p50_ms", name: "p50", style: "s1" }, { figure: "latency_p95_ms", name: "p95", style: "s2" },
      { figure: "latency_p99_ms", name: "p99", style: "s3" }],
    hint: "From a histogram: it is known in which bucket a request fell, and a value within it is interpolated as if requests were "
      + "spread evenly. Bounds: 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500 ms, 1, 2.5, 5, 10 s" },
  { title: "Answers", format: perSecond, axis: tick, hint: "Answers per second by the first digit of their status",
    series: ["2xx", "3xx", "4xx", "5xx"].map((c) => ({ figure: `status_${c}_per_s`, name: c, style: `c${c}` })) },
  { title: "Refusals", series: [{ figure: "refusals_per_s", name: "refusals", style: "s4" }], format: perSecond, axis: tick,
    hint: "Requests the gateway answered itself because it would not or could not serve them, per second" },
  { title: "Cache hit ratio", series: [{ figure: "hit_ratio", name: "hit ratio", style: "s1" }], format: percent, fixedTop: 1, isWorse: (a, b) => a < b,
    axis: (v) => `${tick(v * 100)} %`, hint: "Hits of hits and misses in all caches", more: (now) => (now.hit_ratio == null ? "no look-ups" : "") },
  { title: "Connections", series: [{ figure: "connections", name: "open", style: "s1" }, { figure: "in_flight", name: "requests in flight", style: "s2" }],
    format: count, axis: tick, floor: 10, hint: "Client connections, and requests being answered" },
  { title: "Processor", series: [{ figure: "cpu_cores", name: "processor", style: "s1" }], format: percent,
    axis: (v) => `${tick(v * 100)} %`, floor: 0.1, hint: "Processor time of this process; 100 % is one core" },
  { title: "Memory", series: [{ figure: "memory_bytes", name: "memory", style: "s1" }], format: (n) => bytes(n, true), axis: bytes, nice: niceBytes, floor: 1 << 20,
    hint: "Resident memory of this process" },
];

const ROUTES = [
  { head: "Route", kind: "name", text: (r) => (r.name === "-" ? "no route" : r.name) },
  { head: "Requests/s", number: true, text: (r) => rate(r.per_s) },
  { head: "4xx/s", number: true, text: (r) => rate(r.status_4xx_per_s) },
  { head: "5xx/s", number: true, text: (r) => rate(r.status_5xx_per_s) },
  ...["p50", "p95", "p99"].map((p) => ({ head: p, number: true, hint: "Interpolated within the histogram's buckets",
    make: (cell) => (r) => { say(cell, latency(r[`latency_${p}_ms`])); mark(cell, "title", bucketOf(r[`latency_${p}_ms`])); } })),
  { head: "Total", number: true, hint: "Requests since the start", text: (r) => count(r.total) },
];

function makeView() {
  const table = (id, options) => new Table(byId(id), { key: (row) => row.name, ...options });
  const plain = (head, of, more) => ({ head, number: true, text: of, ...more });
  return {
    charts: CHARTS.map((options) => new Chart(byId("charts"), options)),
    upstreams: new Keyed(byId("upstreams"), upstreamCard),
    routes: table("routes", { title: "Routes", isTitled: false, columns: ROUTES, empty: "No requests yet." }),
    caches: table("caches", { title: "Caches", isTitled: false, columns: CACHES, empty: "No caches are configured." }),
    refusals: table("refusals", { title: "Refusals by reason", empty: "No request was refused.", columns: [
      { head: "Reason", kind: "name", text: (r) => r.name.replaceAll("_", " ") },
      plain("Per second", (r) => rate(r.per_s)), plain("Total", (r) => count(r.total))] }),
    rates: table("rates", { title: "Rate limits", empty: "No rate limits are configured.", columns: [
      { head: "Limit", kind: "name", text: (r) => r.name },
      { head: "Counted", hint: "Where requests are counted", text: (r) => (r.counted === "redis" ? "in Redis" : "here") },
      plain("Keys", (r) => count(r.keys), { hint: "Keys that owe something; the idlest are forgotten beyond max_keys" }),
      plain("Forgotten", (r) => count(r.forgotten), { hint: "Keys dropped although they owed something, because there were too many" }),
      plain("Refused", (r) => count(r.refused))] }),
    places: table("places", { title: "Concurrency limits", empty: "No concurrency limits are configured.", columns: [
      { head: "Limit", kind: "name", text: (r) => r.name },
      plain("At once", (r) => count(r.max), { hint: "Requests with the same key" }), plain("Inside", (r) => count(r.in_use)),
      plain("Waiting", (r) => count(r.waiting)), plain("Refused", (r) => count(r.refused))] }),
    overload: table("overload", { title: "Overload protection", empty: "No upstream has overload protection.", columns: [
      { head: "Upstream", kind: "name", text: (r) => r.name },
      plain("Limit", (r) => (known(r.limit) ? `${count(r.limit)}${r.adaptive ? " (learnt)" : ""}` : NONE), { hint: "Requests in flight at once" }), plain("In flight", (r) => count(r.in_flight)),
      plain("Waiting", (r) => count(r.waiting)), plain("Shed", (r) => count(r.shed))] }),
    redis: table("redis", { title: "Redis", empty: "Redis is not configured.", columns: [
      { head: "Address", kind: "name", text: (r) => r.address },
      { head: "State", make: (cell) => {
        const [shape, word] = [el("span", { class: "mark", "aria-hidden": "true" }), el("span", {})];
        cell.append(el("span", { class: "state" }, shape, word));
        return (r) => { mark(shape, "data-mark", r.state === "slow" ? "drain" : r.state); say(word, r.state); mark(cell, "title", r.fault ?? ""); };
      } },
      plain("Asked", (r) => count(r.asks)), plain("Failures", (r) => count(r.failures))] }),
    listeners: table("listeners", { title: "Listeners", key: (l) => l.address, empty: "There are no listeners.", columns: [
      { head: "Address", kind: "name", text: (l) => l.address },
      { head: "Name", text: (l) => l.name ?? NONE },
      plain("Connections", (l) => count(l.connections)), plain("Idle", (l) => count(l.idle))] }),
    problems: new Keyed(byId("problems").appendChild(el("ul", { class: "problems" })), problemItem),
    banners: new Keyed(byId("banners"), () => {
      const words = el("span", {});
      const link = el("a", { href: "#config" }, "Show its problems");
      const node = el("p", { class: "banner" }, words, " ", link);
      return { node, update: (b) => { say(words, b.text); link.hidden = !b.hasProblems; node.classList.toggle("bad", b.isBad); } };
    }),
  };
}

/** What is shown is not of now any more. */
function showLost() {
  if (!view) return;
  byId("main").classList.add("lost");
  byId("up").hidden = true;
  const text = `The gateway does not answer. What is shown is of ${clock(lastAtMs)}.`;
  view.banners.show([{ text, isBad: true }], (b) => b.text);
}

const named = (map) => Object.entries(map).map(([name, value]) => ({ name, ...value }));

function banners(status) {
  const shown = [];
  if (status.draining) {
    shown.push({ text: "Draining: the gateway takes no more connections and ends when running requests have ended.", isBad: false });
  }
  if (!status.config.last_reload.ok) {
    shown.push({ text: `A reload was refused (${moment(status.config.last_reload.at)}). The configuration from before it stays in use.`, isBad: true, hasProblems: true });
  }
  view.banners.show(shown, (b) => b.text);
}

function showConfig(config, alive) {
  facts(byId("config-facts"), [
    ["File", config.path], ["Hash", config.hash, "Equal when no byte has changed"],
    ["In use since", moment(config.loaded_at), config.loaded_at],
    ["Last reload", `${config.last_reload.ok ? "taken over" : "refused"}, ${moment(config.last_reload.at)}`, config.last_reload.at],
    ["Still in use", alive > 1 ? `${alive - 1} older, by requests that run` : null],
  ]);
  view.problems.show(config.last_reload.problems, (p) => JSON.stringify([p.file, p.line, p.column, p.message]));
}

function show(event) {
  const { status } = event;
  lastAtMs = event.at_ms;
  byId("main").classList.remove("lost");
  say(byId("version"), status.version);
  say(byId("uptime"), span(event.uptime_s));
  byId("up").hidden = false;
  banners(status);
  view.upstreams.show(named(status.upstreams), (u) => u.name);
  byId("h-upstreams").closest("section").classList.toggle("none", Object.keys(status.upstreams).length === 0);
  view.routes.show(event.routes.filter((r) => r.total > 0 || r.per_s > 0));
  say(byId("routes-note"), event.routes_left_out > 0 ? `The busiest ${event.routes.length}; ${count(event.routes_left_out)} more have served` : "");
  view.caches.show(named(status.caches));
  byId("purge").hidden = Object.keys(status.caches).length === 0;
  view.refusals.show(event.refusals.map((r) => ({ ...r, name: r.reason })));
  say(view.refusals.note, event.connections_refused > 0 ? `${count(event.connections_refused)} connections refused` : "");
  view.rates.show(named(status.rate_limits));
  view.places.show(named(status.concurrency_limits));
  view.overload.show(named(status.upstreams).filter((u) => u.overload).map((u) => ({ name: u.name, ...u.overload })));
  view.redis.show(status.redis ? [{ name: "redis", ...status.redis }] : []);
  view.listeners.show(status.listeners);
  showConfig(status.config, status.snapshots_alive);
}

// --- following ---------------------------------------------------------------------------------------------------

const FIRST_WAIT_MS = 1000;
const LAST_WAIT_MS = 10000;
/** Events come every second; after so long without one the stream is taken for lost. */
const SILENCE_MS = 6000;
/** A page nobody looks at gives its stream back. */
const HIDDEN_MS = 60000;

function linkState(word, shape) {
  const link = byId("link");
  say(link.querySelector(".word"), word);
  mark(link.querySelector(".mark"), "data-mark", shape);
}

/** Each event of a stream; the lines of one end with an empty one. */
async function* eventsOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const line = text.slice(0, end);
      text = text.slice(end + 2);
      if (line.startsWith("data: ")) yield JSON.parse(line.slice(6));
    }
  }
}

function display(event, hour) {
  byId("main").hidden = false;
  view ??= makeView();
  const isDraining = event.status.draining;
  linkState(isDraining ? "Draining" : "Live", isDraining ? "drain" : "up");
  show(event);
  view.charts.forEach((chart) => chart.show(hour));
}

/** One stream to its end. */
async function follow(stop) {
  const hour = new Hour(await told("/history", { signal: stop.signal }));
  const response = await ask("/events", { signal: stop.signal });
  if (!response.ok) throw new Refused(response.status, await response.json().catch(() => null));
  let silence;
  const listen = () => {
    clearTimeout(silence);
    silence = setTimeout(() => stop.abort(), SILENCE_MS);
  };
  listen();
  try {
    for await (const event of eventsOf(response)) {
      listen();
      if (!hour.add(event)) return;
      try {
        display(event, hour);
      } catch (error) {
        // A fault of the page is no fault of the connection.
        reportError(error);
      }
    }
  } finally {
    clearTimeout(silence);
  }
}

let stream = null;
let isStopped = false;

async function stay() {
  let wait = FIRST_WAIT_MS;
  while (!isStopped) {
    stream = new AbortController();
    const began = performance.now();
    try {
      await follow(stream);
    } catch (error) {
      if (error.status === 401) return askForToken(stored(sessionStorage, TOKEN) !== null);
      if (error.status === 503) {
        linkState("Too many dashboards are open", "down");
      } else {
        linkState("Not connected", "down");
        showLost();
      }
    }
    if (isStopped) break;
    wait = performance.now() - began > LAST_WAIT_MS ? FIRST_WAIT_MS : Math.min(wait * 1.5, LAST_WAIT_MS);
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
  return linkState("Paused", "wait");
}

function askForToken(isWrong) {
  isStopped = true;
  stream?.abort();
  linkState("Locked", "off");
  byId("main").hidden = true;
  byId("ask-token").hidden = false;
  byId("token-wrong").hidden = !isWrong;
  byId("token").value = "";
  byId("token").focus();
}

function begin() {
  isStopped = false;
  byId("ask-token").hidden = true;
  linkState("Connecting", "wait");
  stay();
}

let hiddenTimer;
function watchVisibility() {
  clearTimeout(hiddenTimer);
  if (document.hidden) {
    hiddenTimer = setTimeout(() => { isStopped = true; stream?.abort(); }, HIDDEN_MS);
  } else if (isStopped && byId("ask-token").hidden) {
    begin();
  }
}

document.addEventListener("DOMContentLoaded", () => {
  showTheme();
  prefersDark.addEventListener("change", showTheme);
  byId("theme").addEventListener("click", toggleTheme);
  byId("purge").addEventListener("submit", purge);
  byId("purge-kind").addEventListener("change", showPurgeKind);
  byId("reload").addEventListener("click", reload);
  showPurgeKind();
  byId("ask-token").addEventListener("submit", (event) => {
    event.preventDefault();
    keep(sessionStorage, TOKEN, byId("token").value.trim());
    begin();
  });
  document.addEventListener("visibilitychange", watchVisibility);
  if (root.dataset.token === "asked" && !stored(sessionStorage, TOKEN)) askForToken(false);
  else begin();
});
