// The zone's map: a canvas for each pod, a cell for each machine. The plan's layout comes once, states as letters.
"use strict";

(() => {
  // In the order of the letters that the controller tells; a capital one wants attention.
  const STATES = ["expected", "seen", "booting", "installing", "validating", "ready", "draining", "maintenance", "failed", "retired"];
  // How large a cell is, by how many machines there are.
  const SIZES = [
    { most: 400, width: 52, height: 20, gap: 3, isLabelled: true },
    { most: 3000, width: 24, height: 9, gap: 2, isLabelled: false },
    { most: Infinity, width: 15, height: 6, gap: 1, isLabelled: false },
  ];
  // Machines that stand in no rack are many in one; a column is no higher than this.
  const COLUMN_MAX = 60;
  const RACK_LABEL = 16;

  const map = document.getElementById("map");
  const here = document.getElementById("here");
  const counts = document.getElementById("counts");
  const legend = document.getElementById("legend");
  const aside = document.getElementById("beside");

  let layout = null;
  let size = SIZES[0];
  // By machine, in the layout's order.
  let units = [];
  let letters = [];
  let pods = [];
  let dirty = new Set();
  let isAllDirty = false;
  let isDue = false;
  let cursor = -1;
  let only = null;
  let colours = {};
  // What is written on each colour.
  let inks = {};
  let isFirst = true;

  function readColours() {
    const style = getComputedStyle(document.documentElement);
    for (const name of [...STATES, "panel", "text", "faint", "attention", "focus"]) {
      colours[name] = style.getPropertyValue(`--${name}`).trim();
    }
    for (const name of STATES) {
      // Relative luminance (WCAG 2.2): whichever of black and white is further away.
      const parts = [1, 3, 5].map((from) => parseInt(colours[name].slice(from, from + 2), 16) / 255);
      const [red, green, blue] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
      inks[name] = 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000" : "#fff";
    }
  }

  const stateOf = (at) => (letters[at] ?? "a").toLowerCase().charCodeAt(0) - 97;
  const wantsAttention = (at) => (letters[at] ?? "a") < "a";

  // Where everything stands on the screen.
  function place() {
    const total = layout.pods.reduce((sum, pod) => sum + pod.racks.reduce((all, rack) => all + rack.units.length, 0), 0);
    size = SIZES.find((one) => total <= one.most);
    const style = getComputedStyle(map);
    const room = map.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) - 26;
    const step = size.width + size.gap;
    const most = Math.max(1, Math.floor((room + size.gap) / step));
    const focused = document.activeElement === map;
    units = [];
    pods = [];
    map.replaceChildren();
    for (const pod of layout.pods) {
      const columns = [];
      for (const rack of pod.racks) {
        for (let from = 0; from < rack.units.length; from += COLUMN_MAX) {
          const name = from === 0 ? rack.rack || "—" : "";
          columns.push({ name, at: rack.at, units: rack.units.slice(from, from + COLUMN_MAX) });
        }
      }
      const own = { canvas: document.createElement("canvas"), labels: [], first: units.length };
      let top = 0;
      let width = 0;
      for (let from = 0; from < columns.length; from += most) {
        const row = columns.slice(from, from + most);
        const highest = Math.max(...row.map((column) => column.units.length));
        const cellStep = size.height + size.gap;
        row.forEach((column, index) => {
          const x = index * step;
          own.labels.push({ text: column.name, x: x + size.width / 2, y: top + RACK_LABEL - 5 });
          column.units.forEach((unit, at) => {
            // The lowest unit is at the bottom, as in a rack.
            const y = top + RACK_LABEL + (highest - 1 - at) * cellStep;
            units.push({ location: column.at + unit, unit, pod: pods.length, x, y, column: columns.indexOf(column), at });
          });
        });
        width = Math.max(width, row.length * step - size.gap);
        top += RACK_LABEL + highest * cellStep + 4;
      }
      own.last = units.length;
      own.columns = columns.length;
      own.width = Math.max(width, 24);
      own.height = Math.max(top - 4, 8);
      const ratio = devicePixelRatio || 1;
      own.canvas.width = Math.ceil(own.width * ratio);
      own.canvas.height = Math.ceil(own.height * ratio);
      // A script may set what a style attribute of the document may not.
      own.canvas.style.width = `${own.width}px`;
      own.canvas.style.height = `${own.height}px`;
      own.canvas.setAttribute("aria-hidden", "true");
      own.context = own.canvas.getContext("2d", { alpha: false });
      own.context.scale(ratio, ratio);
      const section = document.createElement("section");
      section.className = "pod";
      const title = document.createElement("h2");
      title.textContent = pod.pod || "outside pods";
      section.append(title, own.canvas);
      own.canvas.dataset.pod = String(pods.length);
      map.append(section);
      pods.push(own);
    }
    if (cursor >= units.length) {
      cursor = -1;
    }
    if (focused) {
      map.focus();
    }
    everything();
  }

  function everything() {
    isAllDirty = true;
    due();
  }

  function due() {
    if (!isDue) {
      isDue = true;
      requestAnimationFrame(draw);
    }
  }

  function draw() {
    isDue = false;
    if (!layout) {
      return;
    }
    if (isAllDirty) {
      for (const pod of pods) {
        const { context } = pod;
        context.globalAlpha = 1;
        context.fillStyle = colours.panel;
        context.fillRect(0, 0, pod.width, pod.height);
        context.fillStyle = colours.faint;
        context.font = "11px system-ui, sans-serif";
        context.textAlign = "center";
        for (const { text, x, y } of pod.labels) {
          context.fillText(text, x, y, size.width + size.gap);
        }
      }
      units.forEach((_, at) => cell(at));
    } else {
      for (const at of dirty) {
        cell(at);
      }
    }
    if (cursor >= 0) {
      ring(cursor);
    }
    dirty.clear();
    isAllDirty = false;
    count();
    tell();
    if (isFirst && units.length && letters.length) {
      isFirst = false;
      performance.mark("zw-first-map");
    }
  }

  function cell(at) {
    const { pod, x, y, unit } = units[at];
    const { context } = pods[pod];
    const { width, height, gap } = size;
    const state = STATES[stateOf(at)];
    context.globalAlpha = 1;
    context.fillStyle = colours.panel;
    context.fillRect(x - gap / 2, y - gap / 2, width + gap, height + gap);
    context.globalAlpha = only === null || only === state || (only === "attention" && wantsAttention(at)) ? 1 : 0.15;
    const colour = colours[state] || colours.faint;
    if (state === "expected" || state === "retired") {
      // Nothing is there, or is to be.
      context.strokeStyle = colour;
      context.lineWidth = 1;
      context.strokeRect(x + 0.5, y + 0.5, width - 1, height - 1);
    } else {
      context.fillStyle = colour;
      context.fillRect(x, y, width, height);
    }
    // Not by colour alone: a mark of its own, beside what is written or on all of a small cell.
    const ink = state === "retired" ? colour : size.isLabelled ? inks[state] : colours.panel;
    context.strokeStyle = ink;
    context.fillStyle = ink;
    if (size.isLabelled) {
      context.lineWidth = 2;
      mark(context, state, x + 4, y + 5, 10, height - 10);
      context.fillStyle = state === "expected" || state === "retired" ? colours.faint : ink;
      context.font = "600 12px system-ui, sans-serif";
      context.textAlign = "center";
      context.fillText(unit, x + width / 2 + 6, y + height / 2 + 4, width - 20);
    } else {
      context.lineWidth = 1;
      mark(context, state, x, y, width, height);
    }
    if (wantsAttention(at)) {
      // A small cell keeps its colour inside.
      const border = size.isLabelled ? 2 : 1;
      context.strokeStyle = colours.attention;
      context.lineWidth = border;
      context.strokeRect(x + border / 2, y + border / 2, width - border, height - border);
    }
  }

  // The legend has the same: bars for how far a start is, a square for what is looked at, a line through what is taken
  // out, a cross through what is out; nothing on what is as it should be.
  function mark(context, state, x, y, width, height) {
    const bars = { seen: 1, booting: 2, installing: 3 }[state] ?? 0;
    for (let bar = 1; bar <= bars; bar += 1) {
      const at = Math.round(x + (width * bar) / (bars + 1)) + (context.lineWidth % 2) / 2;
      line(context, at, y, at, y + height);
    }
    if (state === "validating") {
      context.fillRect(x + Math.round(width * 0.3), y + Math.round(height * 0.25), Math.round(width * 0.4), Math.round(height * 0.5));
    }
    if (state === "draining" || state === "maintenance") {
      line(context, x, y + height / 2, x + width, y + height / 2);
    }
    if (state === "maintenance") {
      line(context, x + width / 2, y, x + width / 2, y + height);
    }
    if (state === "failed" || state === "retired") {
      line(context, x, y + height, x + width, y);
    }
    if (state === "failed") {
      line(context, x, y, x + width, y + height);
    }
  }

  function line(context, fromX, fromY, toX, toY) {
    context.beginPath();
    context.moveTo(fromX, fromY);
    context.lineTo(toX, toY);
    context.stroke();
  }

  function ring(at) {
    const { pod, x, y } = units[at];
    const { context } = pods[pod];
    context.globalAlpha = 1;
    context.strokeStyle = colours.text;
    context.lineWidth = 2;
    context.strokeRect(x, y, size.width, size.height);
    context.strokeStyle = colours.panel;
    context.lineWidth = 1;
    context.strokeRect(x + 1.5, y + 1.5, size.width - 3, Math.max(1, size.height - 3));
  }

  // The legend is how many there are of each.
  const buttons = new Map();
  for (const name of [...STATES, "attention"]) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.only = name;
    button.dataset.count = "";
    button.setAttribute("aria-pressed", "false");
    const label = document.createElement("span");
    if (name !== "attention") {
      label.className = "state";
      label.dataset.state = name;
    }
    label.textContent = name === "attention" ? "machines that want attention" : name;
    const number = document.createElement("b");
    button.append(label, " ", number);
    button.addEventListener("click", () => {
      only = only === name ? null : name;
      for (const [other, { button: one }] of buttons) {
        one.setAttribute("aria-pressed", String(other === only));
      }
      everything();
    });
    item.append(button);
    legend.append(item);
    buttons.set(name, { button, number });
  }

  function count() {
    const found = new Array(STATES.length).fill(0);
    let attention = 0;
    for (let at = 0; at < letters.length; at += 1) {
      found[stateOf(at)] += 1;
      attention += wantsAttention(at) ? 1 : 0;
    }
    const write = (name, number) => {
      const { button, number: text } = buttons.get(name);
      if (button.dataset.count !== String(number)) {
        button.dataset.count = String(number);
        text.textContent = number.toLocaleString("en");
      }
    };
    STATES.forEach((name, at) => write(name, found[at]));
    write("attention", attention);
    const machines = letters.length.toLocaleString("en");
    const text = `Plan #${layout.generation} · ${machines} machines`;
    if (counts.textContent !== text) {
      counts.textContent = text;
    }
  }

  // What is under the cursor, in words.
  let told = "";
  function tell() {
    let text = "Arrow keys or the pointer choose a machine, Enter opens it, N goes to the next that wants attention.";
    if (cursor >= 0) {
      const attention = wantsAttention(cursor) ? ", wants attention" : "";
      text = `${units[cursor].location}: ${STATES[stateOf(cursor)]}${attention}`;
    }
    if (text !== told) {
      told = text;
      here.textContent = text;
    }
  }

  function moveTo(at, isScrolled) {
    if (at < 0 || at >= units.length) {
      return;
    }
    if (cursor >= 0) {
      dirty.add(cursor);
      // The ring lies over its neighbours' edges.
      [cursor - 1, cursor + 1].filter((near) => units[near]).forEach((near) => dirty.add(near));
    }
    cursor = at;
    due();
    if (isScrolled) {
      const { canvas } = pods[units[at].pod];
      const box = canvas.getBoundingClientRect();
      const top = box.top + units[at].y;
      if (top < 90 || top > innerHeight - 90) {
        scrollBy({ top: top - innerHeight / 2 });
      }
    }
  }

  const open = (at) => {
    location.href = `/machines/${units[at].location.split("/").map(encodeURIComponent).join("/")}`;
  };

  // The machine beside another: the same height in the next column, of the next pod if there is none.
  function beside(at, by) {
    const from = units[at];
    const ofPod = (pod, column) => {
      const { first, last } = pods[pod];
      const all = units.slice(first, last);
      const height = all.filter((unit) => unit.column === column).length;
      return first + all.findIndex((unit) => unit.column === column && unit.at === Math.min(from.at, height - 1));
    };
    const column = from.column + by;
    if (column >= 0 && column < pods[from.pod].columns) {
      return ofPod(from.pod, column);
    }
    const pod = from.pod + by;
    return pods[pod] ? ofPod(pod, by > 0 ? 0 : pods[pod].columns - 1) : at;
  }

  map.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !units.length) {
      return;
    }
    const at = Math.max(cursor, 0);
    const nextAttention = () => {
      for (let step = 1; step <= units.length; step += 1) {
        const candidate = (Math.max(cursor, -1) + step) % units.length;
        if (wantsAttention(candidate)) {
          return candidate;
        }
      }
      return at;
    };
    const to = {
      ArrowUp: () => (cursor < 0 ? 0 : Math.min(at + 1, units.length - 1)),
      ArrowDown: () => (cursor < 0 ? 0 : Math.max(at - 1, 0)),
      ArrowRight: () => (cursor < 0 ? 0 : beside(at, 1)),
      ArrowLeft: () => (cursor < 0 ? 0 : beside(at, -1)),
      Home: () => 0,
      End: () => units.length - 1,
      n: nextAttention,
      N: nextAttention,
    }[event.key];
    if (to) {
      event.preventDefault();
      moveTo(to(), true);
    } else if (event.key === "Enter" && cursor >= 0) {
      event.preventDefault();
      open(cursor);
    }
  });

  function under(event) {
    const canvas = event.target.closest("canvas");
    if (!canvas) {
      return -1;
    }
    const { first, last } = pods[Number(canvas.dataset.pod)];
    const box = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    for (let at = first; at < last; at += 1) {
      const unit = units[at];
      if (x >= unit.x && x < unit.x + size.width + size.gap && y >= unit.y && y < unit.y + size.height + size.gap) {
        return at;
      }
    }
    return -1;
  }

  map.addEventListener("pointermove", (event) => {
    const at = under(event);
    if (at >= 0 && at !== cursor) {
      moveTo(at, false);
    }
  });
  map.addEventListener("click", (event) => {
    const at = under(event);
    if (at >= 0) {
      open(at);
    }
  });

  document.addEventListener("zw-theme", () => {
    readColours();
    everything();
  });
  let width = 0;
  new ResizeObserver(() => {
    if (layout && map.clientWidth !== width) {
      width = map.clientWidth;
      place();
    }
  }).observe(map);

  // The zone as it is drawn; asked for until it comes: the server may end between its stream and this.
  async function drawn() {
    for (;;) {
      const answer = await fetch("/page/zone.json").catch(() => null);
      if (answer?.ok) {
        const fresh = await answer.json().catch(() => null);
        if (fresh) {
          return fresh;
        }
      }
      await new Promise((again) => { setTimeout(again, 2000); });
    }
  }

  async function all({ generation, units: told }) {
    if (!layout || layout.generation !== generation) {
      const fresh = await drawn();
      // Another plan came meanwhile, and its states are on their way.
      if (fresh.generation !== generation) {
        return;
      }
      layout = fresh;
      letters = [...told];
      width = map.clientWidth;
      place();
      return;
    }
    letters = [...told];
    everything();
  }

  function some({ generation, units: told }) {
    if (!layout || layout.generation !== generation) {
      return;
    }
    for (const one of told.split(" ")) {
      const at = Number(one.slice(0, -1));
      letters[at] = one.slice(-1);
      dirty.add(at);
    }
    due();
  }

  readColours();
  // One after the other: a layout that is fetched must not be overtaken.
  let turn = Promise.resolve();
  const inTurn = (take) => (data) => { turn = turn.then(() => take(data)); };
  stream("/page/map", { all: inTurn(all), some: inTurn(some), beside: (html) => layHtml(aside, html) });
})();
