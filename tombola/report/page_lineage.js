// Lineage: what a key was called with, what it was made of, back to the first step.
const panel = document.getElementById("lineage");

function withLinks(text) {
  const pieces = text.split(/([A-Za-z_][\w.-]*:[0-9a-f]{8,64})/);
  return make("code", {}, ...pieces.map((piece) => (stepAt.has(piece) || rowsOf.has(piece) ? link(piece) : piece)));
}

const inputsOf = (at) => steps.inputs[at].map((input) => (typeof input === "number" ? steps.keys[input] : input));

function behind(key) {
  const seen = new Set([key]);
  const order = [];
  const open = [[key, false]];
  while (open.length) {
    const [at, done] = open.pop();
    if (done) {
      order.push(at);
      continue;
    }
    open.push([at, true]);
    for (const input of stepAt.has(at) ? inputsOf(stepAt.get(at)).reverse() : []) {
      if (!seen.has(input)) seen.add(input) && open.push([input, false]);
    }
  }
  return order.slice(0, -1);
}

function pairs(entries) {
  const list = make("dl", { class: "made" });
  entries.forEach(([name, value]) => list.append(make("dt", {}, name), make("dd", {}, value)));
  return list;
}

function smallTable(name, lines) {
  const columns = [...new Set(lines.flatMap((line) => Object.keys(line)))];
  const head = make("tr", {}, ...columns.map((column) => make("th", { scope: "col" }, spoken(column))));
  const cell = (value) => make("td", {}, typeof value === "boolean" ? (value ? "yes" : "no") : numberText(value));
  const body = lines.map((line) => make("tr", {}, ...columns.map((column) => cell(line[column]))));
  const scroll = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name });
  scroll.append(make("table", {}, make("thead", {}, head), make("tbody", {}, ...body)));
  return make("details", {}, make("summary", {}, spoken(name)), scroll);
}

function listed(keys) {
  const item = (key) => make("li", {}, link(key), " ", stepAt.has(key) ? withLinks(steps.calls[stepAt.get(key)]) : "");
  return make("ol", { class: "steps" }, ...keys.map(item));
}

function showLineage(key) {
  const [step, same] = [stepAt.get(key), rowsOf.get(key) ?? []];
  const row = same[0];
  const close = make("button", { type: "button", class: "close", onclick: () => panel.close() }, "Close");
  const parts = [close, make("h2", { id: "lineage-title", tabindex: "-1" }, key)];
  for (const at of same) {
    const labels = names.labels.filter((name) => label(name, at) !== null);
    parts.push(make("p", { class: "note" }, labels.map((name) => `${spoken(name)} ${label(name, at)}`).join(", ")));
  }
  if (step !== undefined) {
    parts.push(make("h3", {}, "The call"), make("pre", {}, withLinks(steps.calls[step])));
    const facts = [];
    if (steps.seconds[step] !== null) facts.push(["took", duration(Number(steps.seconds[step]))]);
    if (steps.finished[step]) facts.push(["finished", steps.finished[step]]);
    facts.push(...Object.entries(steps.sets[steps.versions[step]]));
    parts.push(pairs(facts));
  } else {
    parts.push(make("p", { class: "note" }, "How this was made is not recorded on this page; the store knows it."));
  }
  if (row !== undefined) {
    const numbers = names.numbers.filter((name) => rows.numbers[name][row] !== null);
    parts.push(make("h3", {}, "What it gave"), pairs(numbers.map((name) => [spoken(name), numberText(rows.numbers[name][row])])));
    const broken = names.checks.filter((name) => rows.checks[name][row] === "0");
    const [good, all] = held(row);
    if (all) parts.push(make("p", {}, `${good === all ? "✓" : "✗"} ${good} of ${all} checks held.`));
    if (broken.length) parts.push(make("p", { class: "fails" }, `Did not hold: ${broken.join(", ")}.`));
    for (const [name, lines] of Object.entries(rows.tables[key] ?? {})) parts.push(smallTable(name, lines));
  }
  const inputs = step === undefined ? [] : inputsOf(step);
  if (inputs.length) {
    parts.push(make("h3", {}, "Made of"), listed(inputs));
    const all = behind(key);
    const shown = all.slice(0, MOST_BEHIND);
    const title = `All ${all.length} steps behind it, from the first`;
    const rest = all.length > shown.length ? make("p", { class: "note" }, `${all.length - shown.length} more are left out.`) : null;
    const behindIt = make("details", { open: all.length <= 12 }, make("summary", {}, title), listed(shown), ...(rest ? [rest] : []));
    if (all.length > inputs.length) parts.push(behindIt);
  }
  panel.replaceChildren(...parts);
  if (!panel.open) panel.showModal();
  panel.scrollTop = 0;
  document.getElementById("lineage-title").focus();
}

panel.addEventListener("close", () => {
  if (keyInAddress() !== null) history.pushState(null, "", location.pathname + location.search);
});
panel.addEventListener("click", (event) => event.target === panel && panel.close());

function address() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

function keyInAddress() {
  const key = address();
  return stepAt.has(key) || rowsOf.has(key) ? key : null;
}

function follow() {
  const key = keyInAddress();
  if (key !== null) return showLineage(key);
  if (panel.open) panel.close();
  if (location.hash.startsWith("#rows?") && table) {
    const wanted = new URLSearchParams(location.hash.slice("#rows?".length).replaceAll("+", "%2B"));
    table.show({ text: "", labels: Object.fromEntries(wanted) });
    document.getElementById("rows").scrollIntoView();
    table.scroll.focus({ preventScroll: true });
  }
  const claim = /^claim-\d+$/.test(address()) && document.getElementById(address());
  if (claim) {
    claim.querySelector("details").open = true;
    const more = claim.closest("details");
    if (more) more.open = true;
    claim.scrollIntoView();
  }
}
addEventListener("hashchange", follow);
addEventListener("popstate", follow);

// Values on the plots: shown beside what the pointer or the keyboard is at.
const tip = document.getElementById("tip");
for (const title of document.querySelectorAll("svg.plot title, svg.layers g > title")) {
  title.parentNode.dataset.tip = title.textContent;
  title.remove();
}
function point(event) {
  const at = event.target.closest && event.target.closest("[data-tip]");
  tip.hidden = !at;
  if (!at) return;
  tip.textContent = at.dataset.tip;
  const box = (at.querySelector(".mark, rect, circle") ?? at).getBoundingClientRect();
  const left = Math.min(Math.max(8, box.left + box.width / 2 - tip.offsetWidth / 2), innerWidth - tip.offsetWidth - 8);
  const above = box.top - tip.offsetHeight - 10;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > 4 ? above : box.bottom + 10}px`;
}
document.addEventListener("pointerover", point);
document.addEventListener("focusin", point);
document.addEventListener("keydown", (event) => event.key === "Escape" && (tip.hidden = true));
document.addEventListener("scroll", () => (tip.hidden = true), { passive: true, capture: true });

follow();
