// Everything is built with textContent: no text of a study is ever read as markup.
const PAGE = 100;
const MOST_CHOICES = 60;
const MOST_BEHIND = 200;
const data = JSON.parse(document.getElementById("data").textContent);
const { rows, steps } = data;
const rowsOf = new Map();
rows.keys.forEach((key, at) => rowsOf.set(key, [...(rowsOf.get(key) ?? []), at]));
const stepAt = new Map(steps.keys.map((key, at) => [key, at]));

function make(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && typeof value !== "string") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

const linkTo = (key) => "#" + encodeURIComponent(key).replaceAll("%3A", ":");
const link = (key) => make("a", { href: linkTo(key) }, key);
const label = (name, at) => rows.labels[name].known[rows.labels[name].at[at]];
const spoken = (name) => name.replaceAll("_", " ").replace("flops", "FLOPs");

function numberText(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") return value;
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return String(Number(value.toPrecision(5)));
}

function duration(seconds) {
  if (seconds < 59.95) return seconds.toFixed(1) + " s";
  const whole = Math.round(seconds);
  if (whole < 3600) return Math.floor(whole / 60) + " min " + (whole % 60) + " s";
  return Math.floor(whole / 3600) + " h " + Math.round((whole % 3600) / 60) + " min";
}

// Sorting: a button in each heading, the direction in aria-sort, what is not there always last.
function compare(a, b) {
  const [x, y] = [Number(a), Number(b)];
  if (a !== "" && b !== "" && !Number.isNaN(x) && !Number.isNaN(y)) return x - y;
  return String(a).localeCompare(String(b), "en");
}

const empty = (value) => value === null || value === undefined || value === "" || value === "–";

function sorted(items, value, direction) {
  const keyed = items.map((item, at) => [value(item), at, item]);
  keyed.sort((a, b) => {
    if (empty(a[0]) || empty(b[0])) return empty(a[0]) - empty(b[0]) || a[1] - b[1];
    return direction * compare(a[0], b[0]) || a[1] - b[1];
  });
  return keyed.map((entry) => entry[2]);
}

function sortable(heading, others, apply) {
  const text = heading.textContent.trim();
  const button = make("button", { type: "button", class: "sort" }, text);
  button.addEventListener("click", () => {
    const up = heading.getAttribute("aria-sort") !== "ascending";
    others().forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", up ? "ascending" : "descending");
    apply(up ? 1 : -1);
  });
  heading.replaceChildren(button);
}

for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  headings.forEach((heading, column) => {
    const value = (row) => row.cells[column].dataset.v ?? plain(row.cells[column]);
    sortable(heading, () => headings, (direction) => body.replaceChildren(...sorted([...body.rows], value, direction)));
  });
  if (body.rows.length > 15) body.closest(".scroll").before(finder(body));
}

function plain(cell) {
  const text = cell.firstChild && cell.firstChild.nodeType === 3 && cell.firstChild.data.trim();
  return (text || cell.textContent.trim()).replace(/^([\d.,]+) %$/, "$1").replaceAll(",", "");
}

function finder(body) {
  const status = make("span", { role: "status", class: "note" });
  const field = make("input", { type: "search", "aria-label": "Filter the lines of this table", placeholder: "Filter" });
  field.addEventListener("input", () => {
    const wanted = field.value.toLowerCase();
    const lines = [...body.rows];
    lines.forEach((line) => (line.hidden = !line.textContent.toLowerCase().includes(wanted)));
    status.textContent = wanted ? `${lines.filter((line) => !line.hidden).length} of ${lines.length} lines` : "";
  });
  return make("p", { class: "filters" }, field, status);
}
