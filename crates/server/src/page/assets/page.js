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

// Whoever is signed out is sent to sign in by the page itself, and what is gone says so; the stream alone cannot tell.
async function lookAgain() {
  const answer = await fetch(location.href, { redirect: "manual", headers: { Accept: "text/html" } }).catch(() => null);
  if (answer && (answer.type === "opaqueredirect" || answer.status === 404)) {
    location.reload();
  }
}

// A stream that is closed while nobody looks: a browser has six connections to a server, and each tab takes one.
function stream(path, events) {
  let source = null;
  const away = document.getElementById("away");
  const open = () => {
    source = new EventSource(path);
    source.addEventListener("open", () => { away.hidden = true; });
    source.addEventListener("error", () => {
      away.hidden = false;
      // The server refused it: signed out, or too many streams. The browser does not try again by itself then.
      if (source && source.readyState === EventSource.CLOSED) {
        source = null;
        lookAgain();
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
    const isOwn = old.nodeName === "TIME" || (old.nodeName === "DETAILS" && name === "open");
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
    const items = [...list.children];
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
  const ask = async () => {
    const turn = ++asked;
    const text = query.value.trim();
    let found = [];
    if (text) {
      const answer = await fetch(`/page/search?q=${encodeURIComponent(text)}`);
      found = answer.ok ? await answer.json() : [];
    }
    // A later question has been asked meanwhile.
    if (turn === asked) {
      show(found);
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
    const item = list.children[chosen];
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
    const item = event.target.closest("li");
    if (item) {
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

// What is asked of the controller goes by its own API.
function wishes() {
  document.addEventListener("submit", async (event) => {
    const form = event.target.closest("form[data-wish]");
    if (!form) {
      return;
    }
    event.preventDefault();
    const button = event.submitter;
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
    let text = ["The controller does not answer."];
    let isDone = false;
    try {
      const answer = await fetch(path, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      });
      const told = await answer.json();
      isDone = answer.ok;
      text =
        !answer.ok ? [told.error]
        : isRestart ? ["Done: ", linkTo(`/changes/${told.id}`, `change ${told.id}`), " restarts it when its turn comes."]
        : [`Done: it is ${told.state}.`];
    } catch {
      // Said above.
    }
    said.replaceChildren(...text);
    said.className = isDone ? "good" : "alarm";
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
