// The table of all rows: one page of a hundred at a time.
const names = { labels: Object.keys(rows.labels), numbers: Object.keys(rows.numbers), checks: Object.keys(rows.checks) };
const state = { text: "", labels: {}, sort: null, direction: 1, page: 0 };
const table = rows.keys.length ? buildRows() : null;

function held(at) {
  let [good, all] = [0, 0];
  for (const name of names.checks) {
    const mark = rows.checks[name][at];
    all += mark !== "-";
    good += mark === "1";
  }
  return [good, all];
}

function chosen() {
  const wanted = state.text.toLowerCase().split(/\s+/).filter(Boolean);
  const fixed = Object.entries(state.labels);
  let found = [];
  for (let at = 0; at < rows.keys.length; at++) {
    if (!fixed.every(([name, value]) => rows.labels[name] && label(name, at) === value)) continue;
    if (wanted.length) {
      const said = [rows.keys[at], ...names.labels.map((name) => `${name} ${label(name, at) ?? ""}`)].join(" ").toLowerCase();
      if (!wanted.every((word) => said.includes(word))) continue;
    }
    found.push(at);
  }
  return state.sort ? sorted(found, state.sort, state.direction) : found;
}

function buildRows() {
  const place = document.getElementById("rows-table");
  const status = make("span", { role: "status", class: "note" });
  const field = make("input", { type: "search", "aria-label": "Filter rows by label or key", placeholder: "Filter rows" });
  field.addEventListener("input", () => show({ text: field.value }));
  const choices = new Map();
  for (const name of names.labels) {
    const known = rows.labels[name].known.filter((value) => value !== null);
    if (known.length < 2 || known.length > MOST_CHOICES) continue;
    const select = make("select", {}, make("option", { value: "" }, "any"));
    known.slice().sort(compare).forEach((value) => select.append(make("option", { value: "=" + value }, value)));
    select.addEventListener("change", () => {
      const labels = { ...state.labels };
      delete labels[name];
      if (select.value) labels[name] = select.value.slice(1);
      show({ labels });
    });
    choices.set(name, make("label", {}, spoken(name) + " ", select));
  }
  const clear = make("button", { type: "button", onclick: () => show({ text: "", labels: {} }) }, "Clear");
  const columns = [
    ...names.labels.map((name) => [spoken(name), (at) => label(name, at), (at) => label(name, at) ?? "–"]),
    ...names.numbers.map((name) => [spoken(name), (at) => rows.numbers[name][at], (at) => numberText(rows.numbers[name][at])]),
  ];
  if (names.checks.length) {
    columns.push(["checks", (at) => held(at)[0] - held(at)[1], (at) => `${held(at)[0] === held(at)[1] ? "✓" : "✗"} ${held(at)[0]} of ${held(at)[1]}`]);
  }
  columns.splice(names.labels.length, 0, ["key", (at) => rows.keys[at], (at) => make("code", {}, link(rows.keys[at]))]);
  const headings = columns.map(([name]) => make("th", { scope: "col" }, name));
  headings.forEach((heading, column) => {
    sortable(heading, () => headings, (direction) => show({ sort: columns[column][1], direction }));
  });
  const body = make("tbody");
  const scroll = make("div", { class: "scroll box", tabindex: "0", role: "region", "aria-label": "All rows" });
  scroll.append(make("table", { class: "rows" }, make("thead", {}, make("tr", {}, ...headings)), body));
  const back = make("button", { type: "button", onclick: () => show({ page: state.page - 1 }) }, "Previous");
  const next = make("button", { type: "button", onclick: () => show({ page: state.page + 1 }) }, "Next");
  place.append(
    make("p", { class: "filters" }, field, ...choices.values(), clear),
    make("p", { class: "filters" }, back, next, status),
    scroll,
  );
  place.hidden = false;
  document.getElementById("rows-static").hidden = true;

  function show(change) {
    Object.assign(state, { page: 0 }, change);
    const found = chosen();
    const last = Math.max(0, Math.ceil(found.length / PAGE) - 1);
    state.page = Math.min(Math.max(state.page, 0), last);
    const from = state.page * PAGE;
    const part = found.slice(from, from + PAGE);
    body.replaceChildren(
      ...part.map((at) => make("tr", {}, ...columns.map(([, , cell]) => make("td", {}, cell(at))))),
    );
    field.value = state.text;
    for (const [name, choice] of choices) {
      choice.lastChild.value = name in state.labels ? "=" + state.labels[name] : "";
    }
    const hidden = Object.entries(state.labels).filter(([name]) => !choices.has(name));
    const also = hidden.map(([name, value]) => ` with ${spoken(name)} ${value}`).join("");
    const all = rows.keys.length.toLocaleString("en");
    status.textContent = part.length
      ? `rows ${(from + 1).toLocaleString("en")} to ${(from + part.length).toLocaleString("en")} of ${found.length.toLocaleString("en")}${also}` +
        (found.length < rows.keys.length ? ` (${all} in all)` : "")
      : `no row${also} (${all} in all)`;
    back.disabled = state.page === 0;
    next.disabled = state.page === last;
    clear.hidden = !state.text && !Object.keys(state.labels).length;
  }
  show({});
  return { show, scroll };
}
