// What every page does: theme, times, search, staying current, wishes. Text from the zone is only ever set as text.
"use strict";

// The theme, before anything is drawn.
const THEMES = ["system", "light", "dark"];
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

function theme() {
  try {
    return localStorage.getItem("zw-theme") || "system";
  } catch {
    return "system";
  }
}

function applyTheme() {
  const chosen = theme();
  const shown = chosen === "system" ? (systemIsDark.matches ? "dark" : "light") : chosen;
  document.documentElement.dataset.theme = shown;
  const button = document.getElementById("theme");
  if (button) {
    button.textContent = `Theme: ${chosen}`;
  }
  document.dispatchEvent(new Event("zw-theme"));
}

applyTheme();
systemIsDark.addEventListener("change", applyTheme);

// How long ago, in the words of the command line.
function ago(at, now) {
  const seconds = Math.round((now - at) / 1000);
  const whole = Math.abs(seconds);
  const text =
    whole < 60 ? `${whole} s`
    : whole < 3600 ? `${Math.floor(whole / 60)} min ${whole % 60} s`
    : whole < 86400 ? `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`
    : `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
  return seconds >= 0 ? `${text} ago` : `in ${text}`;
}

function writeTimes() {
  const now = Date.now();
  for (const time of document.querySelectorAll("time[data-at]")) {
    const at = Number(time.dataset.at);
    const text = ago(at, now);
    if (time.textContent !== text) {
      time.textContent = text;
    }
    if (!time.title) {
      const date = new Date(at);
      time.dateTime = date.toISOString();
      time.title = date.toLocaleString();
    }
  }
}

// Whoever is signed out is sent to sign in by the page itself, and what is gone says so; a stream cannot tell why it was
// refused, so that it is asked for once more by hand.
async function lookAgain(path) {
  const away = document.getElementById("away");
  const ask = new AbortController();
  const refused = await fetch(path, { signal: ask.signal }).catch(() => null);
  ask.abort();
  if (refused?.status === 503) {
    away.textContent = "Too many are watching. What is shown may be old; this page goes on trying.";
    return;
  }
  away.textContent = UNANSWERED;
  const answer = await fetch(location.href, { redirect: "manual", headers: { Accept: "text/html" } }).catch(() => null);
  if (answer && (answer.type === "opaqueredirect" || answer.status === 403 || answer.status === 404)) {
    location.reload();
  }
}

// Whose page it is, as the server says with each stream: sessions end with the server, and roles change.
function showHead(html) {
  const head = document.querySelector("body > header");
  const before = head.dataset.who;
  const fresh = new DOMParser().parseFromString(html, "text/html").querySelector("header");
  if (!fresh || fresh.dataset.who === before) {
    return;
  }
  layElement(head, fresh);
  applyTheme();
  const now = head.dataset.who;
  const said = document.getElementById("identity");
  said.hidden = !before;
  if (now) {
    said.textContent = `You are ${now} now. What is shown, and what may be asked for, follows.`;
  } else if (before) {
    const place = encodeURIComponent(location.pathname);
    said.replaceChildren("You are signed out, and only looking. ", linkTo(`/sign-in?next=${place}`, "Sign in again"));
  }
}

const UNANSWERED = "The controller does not answer. What is shown may be old.";

// A stream that is closed while nobody looks: a browser has six connections to a server, and each tab takes one.
function stream(path, events) {
  events = { ...events, head: showHead };
  let source = null;
  const away = document.getElementById("away");
  const open = () => {
    source = new EventSource(path);
    source.addEventListener("open", () => { away.hidden = true; });
    source.addEventListener("error", () => {
      if (away.hidden) {
        away.textContent = UNANSWERED;
        away.hidden = false;
      }
      // The server refused it: signed out, or too many streams. The browser does not try again by itself then.
      if (source && source.readyState === EventSource.CLOSED) {
        source = null;
        lookAgain(path);
        setTimeout(() => { if (!document.hidden && !source) { open(); } }, 5000);
      }
    });
    for (const [name, take] of Object.entries(events)) {
      source.addEventListener(name, (event) => {
        away.hidden = true;
        take(JSON.parse(event.data));
      });
    }
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      source?.close();
      source = null;
    } else if (!source) {
      open();
    }
  });
  open();
}

// How far apart two lists of nodes may be until they meet again.
const AHEAD = 12;

const isSame = (one, other) =>
  one.nodeType === other.nodeType && one.nodeName === other.nodeName &&
  (one.nodeType !== Node.ELEMENT_NODE || (one.id === other.id && (one.id !== "" || one.className === other.className)));

// Lays fresh content over what is there, so that focus, selection and what is typed stay: what is there in both is kept,
// also where something comes or goes before it.
function lay(old, fresh) {
  const news = [...fresh.childNodes];
  let at = old.firstChild;
  for (let index = 0; index < news.length; index += 1) {
    const node = news[index];
    if (at && !isSame(at, node) && !news.slice(index + 1, index + AHEAD).some((later) => isSame(at, later))) {
      // What is there is in no fresh content: it goes, if what is wanted comes after it.
      let ahead = at;
      for (let step = 0; ahead && step < AHEAD && !isSame(ahead, node); step += 1) {
        ahead = ahead.nextSibling;
      }
      while (ahead && isSame(ahead, node) && at !== ahead) {
        const gone = at;
        at = at.nextSibling;
        gone.remove();
      }
    }
    if (!at || !isSame(at, node)) {
      old.insertBefore(document.importNode(node, true), at);
      continue;
    }
    if (node.nodeType === Node.TEXT_NODE && at.data !== node.data) {
      at.data = node.data;
    } else if (node.nodeType === Node.ELEMENT_NODE) {
      layElement(at, node);
    }
    at = at.nextSibling;
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function layElement(old, fresh) {
  // What a script or a person wrote there is not the server's.
  if (old.nodeName === "OUTPUT" || old.nodeName === "INPUT") {
    return;
  }
  if (old.nodeName === "TIME" && old.dataset.at !== fresh.dataset.at) {
    old.title = "";
  }
  for (const { name } of [...old.attributes]) {
    const isOwn = old.nodeName === "TIME" || (old.nodeName === "DETAILS" && name === "open") ||
      (old.nodeName === "BUTTON" && name === "disabled");
    if (!fresh.hasAttribute(name) && !isOwn) {
      old.removeAttribute(name);
    }
  }
  for (const { name, value } of [...fresh.attributes]) {
    if (old.getAttribute(name) !== value) {
      old.setAttribute(name, value);
    }
  }
  if (old.nodeName !== "TIME") {
    lay(old, fresh);
  }
}

// Lays HTML of the server over an element.
function layHtml(element, html) {
  lay(element, new DOMParser().parseFromString(html, "text/html").body);
  writeTimes();
}

function stayCurrent(main) {
  stream(`/page/live?path=${encodeURIComponent(location.pathname)}`, {
    content: (html) => layHtml(main, html),
  });
}

// Searching, with the keyboard.
function search() {
  const form = document.getElementById("search");
  if (!form) {
    return;
  }
  const query = document.getElementById("query");
  const list = document.getElementById("found");
  let chosen = -1;
  let asked = 0;
  const choose = (at) => {
    const items = [...list.querySelectorAll("[data-location]")];
    chosen = items.length ? (at + items.length) % items.length : -1;
    items.forEach((item, index) => item.setAttribute("aria-selected", String(index === chosen)));
    if (chosen >= 0) {
      query.setAttribute("aria-activedescendant", items[chosen].id);
    } else {
      query.removeAttribute("aria-activedescendant");
    }
  };
  const show = (found) => {
    list.replaceChildren(...found.map((one, index) => {
      const item = document.createElement("li");
      item.id = `found-${index}`;
      item.setAttribute("role", "option");
      item.dataset.location = one.location;
      const more = document.createElement("span");
      more.textContent = [one.name, one.by].filter(Boolean).join(" · ");
      item.append(one.location, more);
      return item;
    }));
    list.hidden = found.length === 0;
    query.setAttribute("aria-expanded", String(found.length > 0));
    choose(found.length ? 0 : -1);
  };
  // Why there is nothing to choose.
  const tell = (...text) => {
    show([]);
    const item = document.createElement("li");
    item.setAttribute("role", "option");
    item.setAttribute("aria-disabled", "true");
    item.append(...text);
    list.append(item);
    list.hidden = false;
    query.setAttribute("aria-expanded", "true");
  };
  const ask = async () => {
    const turn = ++asked;
    const text = query.value.trim();
    const answer = text && await fetch(`/page/search?q=${encodeURIComponent(text)}`).catch(() => null);
    const found = answer?.ok ? await answer.json().catch(() => []) : [];
    // A later question has been asked meanwhile.
    if (turn !== asked) {
      return found;
    }
    if (found.length || !text) {
      show(found);
    } else if (answer?.ok) {
      tell("Nothing found.");
    } else if (answer?.status === 401) {
      tell("You are signed out. ", linkTo(`/sign-in?next=${encodeURIComponent(location.pathname)}`, "Sign in again"));
    } else {
      tell(answer ? "The search failed." : "The controller does not answer.");
    }
    return found;
  };
  const open = (place) => {
    location.href = `/machines/${place.split("/").map(encodeURIComponent).join("/")}`;
  };
  let pause = 0;
  query.addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(ask, 80);
  });
  query.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      choose(chosen + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Escape") {
      show([]);
    }
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    clearTimeout(pause);
    const item = list.querySelector("[aria-selected=true]");
    if (item && !list.hidden) {
      open(item.dataset.location);
      return;
    }
    const found = await ask();
    if (found.length) {
      open(found[0].location);
    }
  });
  list.addEventListener("mousedown", (event) => {
    const item = event.target.closest("[data-location]");
    if (event.target.closest("a")) {
      event.preventDefault();
      location.href = event.target.closest("a").href;
    } else if (item) {
      event.preventDefault();
      open(item.dataset.location);
    }
  });
  query.addEventListener("blur", () => show([]));
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest("input, textarea, select");
    if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      query.focus();
      query.select();
    }
  });
}

function linkTo(path, text) {
  const link = document.createElement("a");
  link.href = path;
  link.textContent = text;
  return link;
}

// How long the controller may take for an answer, in milliseconds; it waits for its store that long at most.
const ANSWER_MAX = 30000;

// What is asked of the controller goes by its own API.
function wishes() {
  // No button is the first one: Enter where the reason is written asks for nothing.
  document.addEventListener("submit", (event) => {
    const form = event.target.closest("form[data-wish]");
    if (form) {
      event.preventDefault();
      const said = form.querySelector("output");
      said.textContent = "Press the button of what you ask for.";
      said.className = "";
    }
  });
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("form[data-wish] button");
    if (!button) {
      return;
    }
    const form = button.closest("form");
    const said = form.querySelector("output");
    // A restart is a change of its own.
    const isRestart = button.name === "restart";
    const path = isRestart ? "/v1/restart" : form.dataset.wish;
    const body = isRestart ? { targets: [button.value] } : { wish: button.value };
    if (button.hasAttribute("data-reason")) {
      body.reason = form.elements.reason.value.trim();
      if (!body.reason) {
        said.textContent = "Say why, in a few words.";
        said.className = "alarm";
        form.elements.reason.focus();
        return;
      }
    }
    said.textContent = "…";
    said.className = "";
    // One at a time: a second click would ask for it again.
    const buttons = [...form.querySelectorAll("button")];
    buttons.forEach((one) => { one.disabled = true; });
    let text = ["The controller does not answer: whether it was done is not known. See what is shown here before you ask again."];
    let isDone = false;
    try {
      const answer = await fetch(path, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(ANSWER_MAX),
      });
      const told = await answer.json();
      isDone = answer.ok;
      text =
        answer.status === 401 ? ["You are signed out. ", linkTo(`/sign-in?next=${encodeURIComponent(location.pathname)}`, "Sign in again")]
        : !answer.ok ? [told.error]
        : isRestart ? ["Done: ", linkTo(`/changes/${told.id}`, `change ${told.id}`), " restarts it when its turn comes."]
        : [`Done: it is ${told.state}.`];
    } catch {
      // Said above.
    }
    said.replaceChildren(...text);
    said.className = isDone ? "good" : "alarm";
    buttons.forEach((one) => { one.disabled = false; });
    if (document.activeElement === document.body) {
      button.focus();
    }
    if (isDone) {
      form.elements.reason.value = "";
    }
  });
}

document.addEventListener("DOMContentLoaded", () => {
  applyTheme();
  document.getElementById("theme").addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
    try {
      localStorage.setItem("zw-theme", next);
    } catch {
      // It lasts as long as this page then.
    }
    applyTheme();
  });
  writeTimes();
  setInterval(writeTimes, 1000);
  search();
  wishes();
  const main = document.getElementById("main");
  if (main.hasAttribute("data-live")) {
    stayCurrent(main);
  }
});
