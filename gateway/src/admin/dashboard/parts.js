// The parts an operator can change something with: servers, caches, the configuration.

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
    const state = server.state === "down" && isOrdered ? "taken down" : WORDS[server.state] ?? server.state;
    say(word, server.order === "drain" && server.state !== "drain" ? `${state}, to drain` : state);
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
