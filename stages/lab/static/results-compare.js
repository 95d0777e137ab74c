// Two revisions side by side; the choice stands in the address, so that a link restores it.
import { ask, element, fillSelect, make, sequence } from "./page.js";
import { number, table } from "./results-tables.js";

const part = (name) => element(`results-${name}`);
const asked = sequence();
const ORDERS = ["name", "difference", "intervals"];
const state = { section: "", reader: "", a: "", b: "", order: "name" };
let names = null, found = null, pair = "", strays = [];

export async function show(given) {
  names ??= await start();
  if (!names.length) return;
  strays = [];
  for (const side of ["a", "b"]) {
    const name = given.get(side);
    if (name && names.includes(name)) part(side).value = name;
    else if (name) strays.push(`The link names ${name.slice(0, 60)}, which is not here.`);
  }
  part("all").checked = given.get("all") === "1" || (!given.has("all") && part("all").checked);
  if (given.has("filter")) part("filter").value = given.get("filter").slice(0, 80);
  if (ORDERS.includes(given.get("order"))) state.order = given.get("order");
  state.section = given.get("section") ?? "";
  await compare();
}

async function start() {
  const { revisions, error } = await ask("/results/revisions");
  part("compare-none").hidden = !error && revisions.length > 2;
  part("compare-none").className = error ? "missing" : "";
  part("compare-none").textContent = error ?? "There is no experiment yet. Make one, such as `dvc exp run -S noise.level=0.4`, and reload the page; until then the files as they are can be compared with the last commit.";
  part("compare-form").hidden = Boolean(error);
  if (error) return [];
  for (const side of ["a", "b"]) fillSelect(part(side), revisions.map(({ name, told }) => [name, told]));
  part("a").value = "HEAD";
  part("b").value = revisions[2]?.name ?? "workspace";
  listen();
  return revisions.map(({ name }) => name);
}

function listen() {
  part("compare-form").addEventListener("submit", (event) => event.preventDefault());
  for (const side of ["a", "b"]) part(side).addEventListener("change", choose);
  for (const name of ["all", "filter"]) part(name).addEventListener("input", draw);
  part("swap").addEventListener("click", () => {
    [part("a").value, part("b").value] = [part("b").value, part("a").value];
    choose();
  });
}

function choose() {
  strays = [];
  compare();
}

// Write the choice into the address, and keep what else stands there.
export function keep(change = {}) {
  Object.assign(state, change);
  const query = new URLSearchParams();
  const chosen = { section: state.section, reader: state.reader, a: part("a").value, b: part("b").value, all: part("all").checked ? "1" : "", filter: part("filter").value, order: state.order === "name" ? "" : state.order };
  for (const [name, value] of Object.entries(chosen)) if (value) query.set(name, value);
  if (names && !element("part-results").hidden) history.replaceState(null, "", `#results?${query}`);
  for (const link of part("contents").querySelectorAll("a")) {
    query.set("section", link.dataset.section);
    link.setAttribute("href", `#results?${query}`);
  }
}

async function compare() {
  const latest = asked(), [a, b] = ["a", "b"].map((side) => part(side).value);
  keep();
  if (pair === `${a} ${b}`) return draw();
  let answer;
  try {
    answer = await ask(`/results/compare?${new URLSearchParams({ a, b })}`);
  } catch {
    return; // the page tells why
  }
  if (!latest()) return;
  found = answer;
  pair = `${a} ${b}`;
  parameters(a, b);
  draw();
}

function parameters(a, b) {
  const told = found.params.length ? [table({ caption: "Parameters that differ", head: [["Parameter", { text: `before: ${a}`, kind: "left" }, { text: `after: ${b}`, kind: "left" }]],
    body: found.params.map(([name, ...values]) => [name, ...values.map((value) => ({ text: value ?? "(none)", kind: "wrap" }))]) })]
    : [make("p", {}, a === b ? "Both are the same revision: choose two." : "No parameter differs.")];
  part("compare-params").replaceChildren(...told);
}

const VERDICTS = { apart: "intervals apart", overlap: "overlap: may be chance" };
const RANK = { apart: 0, overlap: 1 };
const LABELS = { name: "Metric", difference: "Difference", intervals: "95 % intervals" };
const label = ({ file, name }) => `${file}: ${name.replaceAll("_", " ")}`;
const relative = ({ difference, before, after }) => (difference === null ? -1 : Math.abs(difference) / Math.max(Math.abs(before.value), Math.abs(after.value), 1e-12));
const BY = {
  name: () => 0,
  difference: (one, other) => relative(other) - relative(one),
  intervals: (one, other) => (RANK[one.intervals] ?? 2) - (RANK[other.intervals] ?? 2),
};

function draw() {
  keep();
  if (!found) return;
  part("compare-notes").replaceChildren(...[...strays, ...found.notes].map((text) => make("li", {}, text)));
  const wanted = part("filter").value.trim().toLowerCase();
  const moved = found.metrics.filter((row) => row.moved);
  const rows = (part("all").checked ? found.metrics : moved).filter((row) => label(row).toLowerCase().includes(wanted) || `${row.file}: ${row.name}`.includes(wanted))
    .toSorted(BY[state.order]);
  const count = (verdict) => moved.filter(({ intervals }) => intervals === verdict).length;
  part("compare-summary").textContent = `${moved.length} of ${found.metrics.length} metrics moved: ${count("apart")} with intervals apart, ${count("overlap")} with intervals that overlap, ${count(null)} without intervals. ${rows.length} are shown.`;
  part("compare-metrics").replaceChildren(...(rows.length ? [metrics(rows), honest()] : []));
}

function metrics(rows) {
  const made = table({ caption: "Metrics before and after; small print: 95 % intervals, or standard errors (±)",
    head: [[sorting("name"), "Before", "After", sorting("difference"), sorting("intervals")]], body: rows.map(line) });
  const heads = made.querySelectorAll("thead th");
  heads[{ name: 0, difference: 3, intervals: 4 }[state.order]].setAttribute("aria-sort", state.order === "difference" ? "descending" : "ascending");
  return made;
}

function sorting(order) {
  const button = make("button", { type: "button", id: `results-order-${order}`, title: order === "difference" ? "Sort by the relative change, the largest first" : "Sort by this" }, LABELS[order]);
  button.addEventListener("click", () => {
    state.order = order;
    draw();
    part(`order-${order}`).focus();
  });
  return { child: button };
}

function line(row) {
  const { difference, intervals } = row;
  return [label(row), value(row.before), value(row.after), difference === null ? "" : `${difference > 0 ? "+" : ""}${number(difference)}`, { text: row.moved ? VERDICTS[intervals] ?? "" : "", kind: "left" }];
}

function value({ value: one, low, high, se }) {
  if (one === null) return "(none)";
  return { text: number(one), small: low !== null && high !== null ? `${number(low)} to ${number(high)}` : se !== null ? `± ${number(se)}` : "" };
}

const honest = () => make("p", { class: "muted" }, "Intervals that overlap settle nothing: a real difference can hide in them, above all where both revisions read the same captchas. Nor do intervals that are apart, where many metrics are looked at: some of them come apart by chance. A few seeds of each (dvc exp run --queue -S 'seed=range(1,6)') say more.");
