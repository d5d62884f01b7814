// The page: asks for the history, follows the events, and sends what the operator decides.

const FIRST_WAIT_MS = 1000;
const LAST_WAIT_MS = 10000;
/** Events come every second; after so long without one the stream is taken for lost. */
const SILENCE_MS = 6000;
/** A page nobody looks at gives its stream back. */
const HIDDEN_MS = 60000;
const TOAST_MS = 6000;

const TOKEN = "sluice-token";
const THEME = "sluice-theme";

const root = document.documentElement;
const stored = (store, key) => {
  try { return store.getItem(key); } catch { return null; }
};
const keep = (store, key, value) => {
  try { store.setItem(key, value); } catch { /* the page works without */ }
};

// --- theme: before anything is painted ---------------------------------------------------------------------------

const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches);
const chosen = stored(localStorage, THEME);
if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;

function showTheme() {
  const button = byId("theme");
  say(button, isDark() ? "Light" : "Dark");
  mark(button, "aria-label", isDark() ? "Use light colours" : "Use dark colours");
}

function toggleTheme() {
  root.dataset.theme = isDark() ? "light" : "dark";
  keep(localStorage, THEME, root.dataset.theme);
  showTheme();
}

// --- asking ------------------------------------------------------------------------------------------------------

class Refused extends Error {
  constructor(status, body) {
    super(body?.detail ?? `The gateway answers ${status}.`);
    Object.assign(this, { status, body });
  }
}

function ask(path, { method = "GET", body, signal } = {}) {
  const headers = {};
  const token = stored(sessionStorage, TOKEN);
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  return fetch(path, {
    method, headers, signal, body: body && JSON.stringify(body), credentials: "omit", cache: "no-store",
  });
}

async function told(path, options) {
  const response = await ask(path, options);
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Refused(response.status, body);
  return body;
}

let toastTimer;
function toast(text, isBad = false) {
  const box = byId("toast");
  box.className = isBad ? "shown bad" : "shown";
  say(box, text);
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { box.className = ""; say(box, ""); }, TOAST_MS);
}

/** Asks before what cannot be taken back or leaves nobody to serve. */
function confirmed(title, text, yes) {
  const dialog = byId("confirm");
  say(byId("confirm-title"), title);
  say(byId("confirm-text"), text);
  const button = dialog.querySelector("[value=yes]");
  say(button, yes);
  dialog.showModal();
  return new Promise((resolve) => {
    const done = (answer) => { dialog.close(); resolve(answer); };
    button.onclick = () => done(true);
    dialog.querySelector("[value=no]").onclick = () => done(false);
    dialog.oncancel = () => resolve(false);
  });
}

/** Does one thing at a time with a button, and says what has become of it. */
async function act(button, work) {
  button.disabled = true;
  try {
    await work();
  } catch (error) {
    if (error.status === 401) askForToken(true);
    else toast(error instanceof Refused ? error.message : "The gateway cannot be reached.", true);
  } finally {
    button.disabled = false;
  }
}

// --- upstreams ---------------------------------------------------------------------------------------------------

const WORDS = { up: "up", down: "down", ejected: "ejected", drain: "draining", off: "off" };
const WHY = {
  up: "Gets requests.",
  ejected: "Left alone for a while because it failed real requests.",
  drain: "Gets no new clients; those bound to it by a cookie stay.",
  off: "down = true in the configuration.",
};
const ORDERS = [
  { order: "drain", word: "Drain", done: "is draining", hint: "No new clients; those bound to it by a cookie stay" },
  { order: "down", word: "Down", done: "is down", hint: "No requests at all; running ones end by themselves" },
  { order: "up", word: "Bring back", done: "is back", hint: "As configuration, probes and traffic say" },
];

/** Letters that may stand in a path stay readable; a Unix socket's slashes are part of the address. */
const serverPath = (upstream, address) =>
  `/upstreams/${encodeURIComponent(upstream)}/servers/${encodeURIComponent(address).replaceAll("%2F", "/").replaceAll("%3A", ":")}`;

function stateCell(cell) {
  const shape = el("span", { class: "mark", "aria-hidden": "true" });
  const word = el("span", { class: "word" });
  cell.append(el("span", { class: "state" }, shape, word));
  return ({ server }) => {
    const isOrdered = server.order === "down";
    mark(shape, "data-mark", server.state);
    say(word, server.state === "down" && isOrdered ? "taken down" : WORDS[server.state] ?? server.state);
    const why = server.state === "down" ? (isOrdered ? "Taken down by an operator." : "Its probes fail.") : WHY[server.state];
    mark(cell, "title", why ?? "");
  };
}

function weightCell(cell, { upstream, server }) {
  const input = el("input", { type: "number", min: 1, max: 65535, step: 1, required: true,
    "aria-label": `Weight of ${server.address}`, autocomplete: "off" });
  const button = el("button", { type: "submit", class: "small primary" }, "Set");
  const form = el("form", { class: "weight" }, input, button);
  let current = server.weight;
  input.value = String(current);
  const settle = () => { button.hidden = input.value === String(current); };
  settle();
  input.addEventListener("input", settle);
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    input.value = String(current);
    settle();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act(button, async () => {
      const weight = Number(input.value);
      const answer = await told(serverPath(upstream, server.address), { method: "POST", body: { weight } });
      current = answer.weight;
      settle();
      toast(`${upstream}: ${server.address} has weight ${answer.weight}.`);
    });
  });
  cell.append(form);
  return ({ server: now }) => {
    if (now.weight === current) return;
    const isEdited = input.value !== String(current);
    current = now.weight;
    if (!isEdited) input.value = String(current);
    settle();
  };
}

function orderCell(cell, { upstream, server }) {
  let present = server;
  let others = 0;
  const buttons = ORDERS.map(({ order, word, done, hint }) => {
    const button = el("button", { type: "button", class: "small", title: hint, "data-order": order,
      "aria-label": `${word}: ${server.address}` }, word);
    button.addEventListener("click", async () => {
      const isLast = order !== "up" && present.state === "up" && others === 0;
      const text = `${server.address} is the only server of ${upstream} that is up. Requests to it will be refused.`;
      if (isLast && !(await confirmed(`${word} the last server?`, text, word))) return;
      act(button, async () => {
        await told(serverPath(upstream, server.address), { method: "POST", body: { state: order } });
        toast(`${upstream}: ${server.address} ${done}.`);
      });
    });
    return button;
  });
  cell.append(el("div", { class: "actions" }, ...buttons));
  return ({ server: now, up }) => {
    present = now;
    others = up - (now.state === "up" ? 1 : 0);
    buttons.forEach((button, i) => { button.hidden = ORDERS[i].order === now.order || now.state === "off"; });
  };
}

const SERVERS = [
  { head: "Server", width: "19%", kind: "name", make: (cell) => {
    const address = el("span", {});
    const backup = el("span", { class: "tag" }, "backup");
    cell.append(address, backup);
    return ({ server }) => { say(address, server.address); backup.hidden = !server.backup; };
  } },
  { head: "State", width: "11%", make: stateCell },
  { head: "Breaker", width: "9%", hint: "closed: requests pass; half-open: a few try whether it is well; open: it is left alone",
    text: ({ server }) => server.breaker.replace("_", "-") },
  { head: "In flight", width: "8%", number: true, text: ({ server }) => count(server.in_flight) },
  { head: "Requests", width: "9%", number: true, hint: "Tries since the start", text: ({ server }) => count(server.requests) },
  { head: "Failures", width: "8%", number: true, hint: "No usable answer, a time-out, or 5xx", text: ({ server }) => count(server.failures) },
  { head: "Latency", width: "9%", number: true, hint: "Moving average of the time to the head of its answers",
    text: ({ server }) => duration(server.latency_ms) },
  { head: "Weight", width: "11%", number: true, kind: "number", make: weightCell },
  { head: "", width: "16%", hidden: "Orders", kind: "orders", make: orderCell },
];

function upstreamCard(upstream) {
  const box = el("div", {});
  const table = new Table(box, { title: upstream.name, columns: SERVERS, key: (row) => row.server.address, empty: "No servers." });
  return {
    node: box,
    update: ({ name, load_balancing, in_flight, retrying, servers }) => {
      const up = servers.filter((s) => s.state === "up").length;
      const retries = retrying > 0 ? ` · ${count(retrying)} retrying` : "";
      say(table.note, `${load_balancing.replaceAll("_", " ")} · ${up || "none"} of ${servers.length} up · ${count(in_flight)} in flight${retries}`);
      table.note.classList.toggle("bad", up === 0);
      table.show(servers.map((server) => ({ upstream: name, server, up })));
    },
  };
}

// --- caches ------------------------------------------------------------------------------------------------------

function usedCell(used, limit, fault) {
  return (cell) => {
    const words = el("span", {});
    const bar = el("span", { class: "bar", "aria-hidden": "true" }, el("span", {}));
    cell.append(words, bar);
    return (cache) => {
      const [u, l] = [cache[used], cache[limit]];
      const problem = fault && cache[fault];
      bar.hidden = !l || Boolean(problem);
      bar.firstChild.style.width = `${l ? Math.min(100, (u / l) * 100) : 0}%`;
      say(words, problem ? `out of use: ${problem}` : l ? `${bytes(u)} of ${bytes(l)}` : "none");
      cell.classList.toggle("bad", Boolean(problem));
    };
  };
}

const CACHES = [
  { head: "Cache", kind: "name", text: (c) => c.name + (c.is_rebuilding ? " (reading its folder)" : "") },
  { head: "Hit ratio", number: true, hint: "Hits of hits and misses, since the start", text: (c) => percent(ratio(c.hits, c.misses)) },
  { head: "Objects", number: true, text: (c) => count(c.objects) },
  { head: "Hits", number: true, text: (c) => count(c.hits) },
  { head: "Misses", number: true, text: (c) => count(c.misses) },
  { head: "Stale", number: true, hint: "Answers given beyond their time", text: (c) => count(c.stale) },
  { head: "Revalidated", number: true, hint: "Answers that the origin has confirmed", text: (c) => count(c.revalidated) },
  { head: "Memory", number: true, kind: "number", make: usedCell("memory_bytes", "memory_limit_bytes") },
  { head: "Disk", number: true, kind: "number", make: usedCell("disk_bytes", "disk_limit_bytes", "disk_fault") },
];

const PURGES = {
  urls: ["URL", "https://example.com/page?x=1"],
  prefixes: ["Beginning of the URLs", "https://example.com/images/"],
  hosts: ["Host", "example.com"],
  tags: ["Tag", "product-17"],
  all: ["Everything in every cache", ""],
};

function showPurgeKind() {
  const kind = byId("purge-kind").value;
  const [label, example] = PURGES[kind];
  const target = byId("purge-target");
  say(byId("purge-label"), label);
  target.placeholder = example;
  target.disabled = kind === "all";
  target.required = kind !== "all";
  if (kind === "all") target.value = "";
}

async function purge(event) {
  event.preventDefault();
  const kind = byId("purge-kind").value;
  const soft = byId("purge-soft").checked;
  const outcome = byId("purged");
  const text = soft ? "Every stored answer is marked as stale." : "Every stored answer of every cache is given up; the origins will feel it.";
  if (kind === "all" && !(await confirmed("Purge everything?", text, "Purge everything"))) return;
  const target = byId("purge-target").value.trim();
  const body = kind === "all" ? { all: true, soft } : { [kind]: [target], soft };
  say(outcome, "");
  act(byId("purge").querySelector("button"), async () => {
    try {
      const done = await told("/purge", { method: "POST", body });
      const word = done.soft ? "marked as stale" : "purged";
      const each = Object.entries(done.caches).map(([name, n]) => `${name}: ${count(n)}`).join(", ");
      const answers = done.objects === 1 ? "1 stored answer" : `${count(done.objects)} stored answers`;
      const reached = done.objects === 0 ? "No stored answer was reached" : `${answers} ${word}`;
      say(outcome, `${reached}${each ? ` (${each})` : ""}. ${done.problems.join(" ")}`.trim());
      outcome.classList.toggle("bad", done.problems.length > 0);
    } catch (error) {
      if (!(error instanceof Refused) || error.status === 401) throw error;
      say(outcome, error.message);
      outcome.classList.add("bad");
    }
  });
}

// --- configuration -----------------------------------------------------------------------------------------------

function facts(list, pairs) {
  const wanted = pairs.filter(([, value]) => value != null);
  if (list.children.length !== wanted.length * 2) {
    list.replaceChildren(...wanted.flatMap(([name]) => [el("dt", {}, name), el("dd", {})]));
  }
  wanted.forEach(([name, value, title], i) => {
    say(list.children[2 * i], name);
    const node = list.children[2 * i + 1];
    say(node, value);
    mark(node, "title", title ?? "");
  });
}

function problemItem() {
  const parts = ["severity", "place", "path", "message", "help"].map((name) => el(name === "place" ? "code" : "span", { class: name }));
  const [severity, place, path, message, help] = parts;
  return {
    node: el("li", {}, el("p", {}, severity, place), el("p", {}, message), path, help),
    update: (p) => {
      mark(severity, "data-severity", p.severity);
      say(severity, p.severity);
      say(place, `${p.file}:${p.line}:${p.column}`);
      say(path, p.path ? `at ${p.path}` : "");
      say(message, p.message);
      say(help, p.help ? `Help: ${p.help}` : "");
    },
  };
}

function reload(event) {
  const outcome = byId("reloaded");
  say(outcome, "");
  act(event.currentTarget, async () => {
    const response = await ask("/reload", { method: "POST" });
    const body = await response.json().catch(() => null);
    if (response.status !== 422 && !response.ok) throw new Refused(response.status, body);
    outcome.classList.toggle("bad", !response.ok);
    const problems = body.problems?.length ?? 0;
    const changes = (body.text ?? "").trim().split("\n").filter(Boolean).join("; ");
    say(outcome, response.ok ? `Reloaded: ${changes || "nothing has changed"}.`.replace(/\.\.$/, ".")
      : `Refused with ${problems === 1 ? "1 problem" : `${problems} problems`}: the configuration in use stays.`);
  });
}

// --- what is shown -----------------------------------------------------------------------------------------------

let view = null;

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
      return { node, update: (b) => { say(words, b.text); link.hidden = !b.isBad; node.classList.toggle("bad", b.isBad); } };
    }),
  };
}

const named = (map) => Object.entries(map).map(([name, value]) => ({ name, ...value }));

function banners(status) {
  const shown = [];
  if (status.draining) {
    shown.push({ text: "Draining: the gateway takes no more connections and ends when running requests have ended.", isBad: false });
  }
  if (!status.config.last_reload.ok) {
    shown.push({ text: `A reload was refused (${moment(status.config.last_reload.at)}). The configuration from before it stays in use.`, isBad: true });
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
  say(byId("version"), status.version);
  say(byId("uptime"), span(event.uptime_s));
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

/** One stream to its end. True if it has brought something. */
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
      byId("main").hidden = false;
      view ??= makeView();
      linkState(event.status.draining ? "Draining" : "Live", event.status.draining ? "drain" : "up");
      show(event);
      view.charts.forEach((chart) => chart.show(hour));
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
      linkState(error.status === 503 ? "Too many dashboards are open" : "Not connected", "down");
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
