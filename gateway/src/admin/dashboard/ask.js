// What every part of the page needs: the theme, questions to the gateway, and words to the operator.

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
