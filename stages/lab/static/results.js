// What the pipeline found, from its artifacts; a piece that is not there is a line that says which command makes it.
import { ask, element, fillSelect, make } from "./page.js";
import * as comparing from "./results-compare.js";
import { number, percent, scroll, table, whole } from "./results-tables.js";

const SECTIONS = ["answer", "data", "readers", "dose", "regression", "why"];
const SCALE = 1.62; // CSS pixels a point at which a figure is as large as it gets, as in the report
const part = (name) => element(`results-${name}`);
const words = (name) => name.replaceAll("_", " ");
const spoken = (pieces) => pieces.map(([kind, text]) => (kind ? make(kind, {}, text) : text));
let started = null;

export async function show(section, { setting }) {
  started ??= start();
  await started;
  const given = new URLSearchParams(setting), reader = given.get("reader"), wanted = given.get("section");
  if (reader && reader !== part("reader").value && [...part("reader").options].some(({ value }) => value === reader)) {
    part("reader").value = reader;
    await readOne();
  }
  if (section.hidden) return;
  if (wanted && part(wanted)?.tagName === "H3") goTo(wanted);
  await comparing.show(given);
}

async function start() {
  part("reader").addEventListener("change", readOne);
  part("contents").addEventListener("click", (event) => {
    const wanted = event.target.dataset.section;
    if (wanted && event.target.getAttribute("href") === location.hash) goTo(wanted); // no hashchange will come
  });
  const running = ask("/results/run").then(run, () => { /* the page tells why */ });
  await fill(await ask("/results"));
  await running;
  watch();
}

// The section that is being read is marked in the contents.
function watch() {
  const links = new Map([...part("contents").querySelectorAll("a")].map((link) => [part(link.dataset.section).closest("section"), link]));
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const link = links.get(target);
      if (!isIntersecting) link.removeAttribute("aria-current");
      else {
        link.setAttribute("aria-current", "true");
        link.closest("ul").scrollLeft = link.offsetLeft - 48;
      }
    }
  }, { rootMargin: "-20% 0px -79% 0px" });
  for (const section of links.keys()) watcher.observe(section);
}

function goTo(name) {
  part(name).focus({ preventScroll: true });
  part(name).scrollIntoView();
}

function fill(found) {
  answer(found.answer);
  for (const name of SECTIONS) section(name, found.sections[name]);
  facts(found.facts);
  piece("classes", found.classes, classes);
  piece("metrics", found.readers, metrics);
  piece("table", found.table, regression);
  piece("thresholds", found.thresholds, thresholds);
  part("files").hidden = !found.files.length;
  part("files-told").replaceChildren(...found.files.map((name) => make("li", {}, fileLink(name, name))));
  fillSelect(part("reader"), (found.readers.names ?? []).map((name) => [name, name]));
  part("reader").closest("label").hidden = !part("reader").value;
  return readOne();
}

const line = (error) => make("p", { class: "missing" }, error);
const fileLink = (file, text) => make("a", { href: `/api/results/file/${file.split("/").map(encodeURIComponent).join("/")}`, download: "" }, text);

// Fill a place with what `draw` makes of a piece, or with the line that says why there is none.
function piece(place, found, draw) {
  part(place).replaceChildren(...(found.error ? [line(found.error)] : draw(found)));
}

function answer(found) {
  piece("answer-told", found, () => found.answer.map((paragraph) => make("p", {}, ...spoken(paragraph))));
  part("doubts").hidden = !found.doubts?.length;
  part("doubts-told").replaceChildren(...(found.doubts ?? []).map((doubt) => make("li", {}, ...spoken(doubt))));
  part("report").hidden = Boolean(found.error);
}

function section(name, { groups, missing }) {
  part(`${name}-missing`).textContent = missing;
  part(`${name}-missing`).hidden = !missing;
  part(`${name}-figures`).replaceChildren(...groups.filter(({ figures, notes }) => figures.length || notes.length)
    .flatMap(({ title, lead, figures, notes }) => [
      ...(title ? [make("h4", {}, title)] : []), ...(lead ? [make("p", {}, lead)] : []),
      ...figures.map(figure), ...notes.map((note) => make("p", { class: "muted" }, ...spoken(note)))]));
}

function figure({ name, file, title, shows, found, alternative, width, height, numbers }) {
  const address = `/api/results/figure/${encodeURIComponent(file)}`;
  const picture = make("img", { src: address, alt: alternative || title, loading: "lazy", decoding: "async" });
  if (width) {
    for (const [side, points] of [["width", width], ["height", height]]) picture.setAttribute(side, Math.round(points * SCALE));
    Object.assign(picture.style, { width: "100%", minWidth: `${width}px`, maxWidth: `${width * SCALE}px` });
  }
  const large = make("a", { href: `${address}?large=1`, target: "_blank", rel: "noopener", "aria-label": `Open large: ${title}` }, "Open large");
  const caption = make("figcaption", {}, make("strong", {}, `${title}${title.endsWith("?") ? "" : "."}`), " ", ...spoken(shows), " ", ...spoken(found),
    make("p", { class: "links" }, large));
  return make("figure", { id: `results-figure-${name}` }, scroll(picture, title), caption, ...numbers.map((table) => numbersOf(table, title)));
}

// The table behind a figure, fetched when it is opened.
function numbersOf(name, title) {
  const fold = make("details", {}, make("summary", {}, `The numbers: ${name}.csv`));
  fold.addEventListener("toggle", async () => {
    if (fold.dataset.asked) return;
    fold.dataset.asked = "yes";
    try {
      const { columns, rows, total } = await ask(`/results/table/${name}`);
      const more = total > rows.length ? `, the first ${rows.length} of ${total} rows` : "";
      fold.append(table({ caption: `${title}: ${name}.csv${more}`, head: [columns.map(words)], body: rows }), make("p", {}, fileLink(`${name}.csv`, `Download ${name}.csv`)));
    } catch {
      delete fold.dataset.asked; // the page tells why
    }
  });
  return fold;
}

function facts(found) {
  part("facts").replaceChildren(...(found.error ? [make("dt", {}, "Parameters"), make("dd", { class: "missing" }, found.error)]
    : found.facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])));
}

function classes({ glyphs, texts, rows }) {
  const columns = [...glyphs.map((split) => `glyphs, ${split}`), ...texts.map((split) => `in texts, ${split}`)];
  const most = columns.map((_, place) => Math.max(1, ...rows.map((row) => row[place + 1] ?? 0)));
  const body = rows.map(([name, ...counted]) => [name, ...counted.map((count, place) => ({ text: whole(count), bar: (count ?? 0) / most[place] }))]);
  return [table({ caption: "Class histogram: how often each character is there, by split; bars are against the most of a column", head: [["Character", ...columns]], body })];
}

// "46.5 to 49.1 %"; an end that was not reached lies beyond the strongest level.
const interval = ({ low, high }, tell) => (low === null && high === null ? "" : `${low === null ? "beyond" : tell(low).replace(" %", "")} to ${high === null ? "beyond" : tell(high)}`);

function metrics({ names, stages, notes }) {
  const titles = { predict: "What each reader reads of the test captchas, with 95 % intervals", train: "How its training went" };
  const drawn = Object.entries(stages).filter(([, rows]) => rows.length).map(([stage, rows]) => table({
    caption: titles[stage], head: [["Metric", ...names]], body: rows.map(({ metric, readers, interval: has }) => [words(metric), ...names.map((name) => {
      const tell = has ? percent : number, value = readers[name];
      return !value || value.value === null ? "" : { text: tell(value.value), small: interval(value, tell) };
    })]) }));
  return [...notes.map(line), ...drawn];
}

async function readOne() {
  const name = part("reader").value;
  comparing.keep({ reader: name });
  if (!name) return;
  const found = await ask(`/results/reader?name=${encodeURIComponent(name)}`);
  if (name !== part("reader").value) return; // overtaken
  piece("reader-told", {}, () => [
    make("h4", {}, `What ${name} takes for what`), ...(found.confusion.error ? [line(found.confusion.error)] : confusion(name, found.confusion)),
    make("h4", {}, `Classification report of ${name}`), ...(found.classification.error ? [line(found.classification.error)] : classification(name, found.classification))]);
}

const shown = (character) => (character === " " ? "space" : character);

function confusion(name, { actual, predicted, cells }) {
  const body = actual.map((truth, row) => [shown(truth), ...predicted.map((guess, column) => {
    const [count, share] = cells[row][column];
    return { text: share >= 0.0005 ? (100 * share).toFixed(1) : count ? "<0.1" : "", heat: Math.sqrt(share), right: truth === guess, title: `${shown(truth)} read as ${guess}: ${whole(count)}` };
  })]);
  return [table({ kind: "heat", caption: `Of each character (a row) the percentage that ${name} read as each (a column), all renderings together; shade grows with the root of the share`,
    head: [["", ...predicted.map(shown)]], body })];
}

function classification(name, { rows }) {
  const sets = [...new Set(rows.map((row) => row.renderings))], characters = [...new Set(rows.map((row) => row.character))];
  const cells = (row) => (row ? [percent(row.precision), percent(row.recall), { text: percent(row.f1), small: interval({ low: row.f1_low, high: row.f1_high }, percent), bar: row.f1 }, whole(row.support)] : ["", "", "", ""]);
  const body = characters.map((character) => [character === "macro" ? "mean over characters" : shown(character),
    ...sets.flatMap((set) => cells(rows.find((row) => row.renderings === set && row.character === character)))]);
  return [table({ caption: `Precision, recall and F1 of ${name}, per cent, by character`, groups: sets.map((set) => [`${set} renderings`, 4]),
    head: [["Character", ...sets.flatMap(() => ["precision", "recall", "F1", "support"])]], body })];
}

function regression({ caption, head, body, foot, notes }) {
  const links = ["csv", "md", "tex"].map((kind) => fileLink(`regress/${kind === "csv" ? "coefficients" : "table"}.${kind}`, kind === "csv" ? "coefficients.csv" : `table.${kind}`));
  return [table({ caption, head, body, foot }), make("details", {}, make("summary", {}, "How to read the table"), ...notes.map((note) => make("p", {}, note))),
    make("p", { class: "links" }, ...links)];
}

function thresholds({ rows, confidence }) {
  const readers = [...new Set(rows.map((row) => row.reader))], noises = [...new Set(rows.map((row) => row.noise))];
  const cell = (row) => {
    if (!row) return "";
    if (row.level === null) return { text: "not reached", small: row.reached ? `in ${percent(row.reached)} of draws it is` : "" };
    return { text: row.level.toFixed(2), small: interval(row, (value) => value.toFixed(2)) };
  };
  return [...new Set(rows.map((row) => row.share))].map((share) => table({
    caption: `Thresholds: the level of noise at which a reader still reads ${percent(share, 0)} of the captchas whole, with ${confidence ? `${percent(confidence, 0)} ` : ""}intervals; 0.00: not read that well even when clean`,
    head: [["Noise", ...readers]], body: noises.map((noise) => [words(noise), ...readers.map((reader) =>
      cell(rows.find((row) => row.reader === reader && row.noise === noise && row.share === share)))]) }));
}

function run({ commit, recorded }) {
  piece("commit", commit, ({ commit: name, date, subject, lock, changed }) => [
    make("p", {}, "Commit ", make("code", {}, name.slice(0, 10)), ` of ${date.slice(0, 10)}, “${subject}”. `, lock && lock !== name
      ? `dvc.lock, the record of the run, was last committed in ${lock.slice(0, 10)}.` : lock ? "It changed dvc.lock, the record of the run." : "dvc.lock is in no commit."),
    make("p", {}, changed.length ? `Tracked files that differ from it: ${listed(changed)}.` : "No tracked file differs from it.")]);
  piece("recorded", recorded, ({ results, code, params }) => [
    judged(results, "results", "Run `dvc repro`."), judged(code, "files of code", "Run `dvc repro` to bring the results up to date."),
    make("p", {}, params.some(([, , now]) => now !== null) ? "params.yaml has changed since the run, see below. Run `dvc repro`." : "params.yaml is as the run had it.")]);
  piece("params", recorded, ({ params }) => tree(params));
  if (recorded.error) part("params").replaceChildren();
}

const listed = (names, most = 8) => names.slice(0, most).join(", ") + (names.length > most ? ` and ${names.length - most} more` : "");

function judged({ same, differ, missing, large }, what, remedy) {
  const told = [differ.length && `other than dvc.lock recorded: ${listed(differ)}`, missing.length && `not here: ${listed(missing)}`].filter(Boolean);
  const unread = large.length ? ` There, but too large to compare: ${listed(large)}.` : "";
  return make("p", told.length ? { class: "missing" } : {}, `${same} ${what} are as dvc.lock recorded them${told.length ? `; ${told.join("; ")}. ${remedy}` : "."}${unread}`);
}

// A table a section of the parameters; those of the readers stand side by side, below.
function tree(params) {
  const sections = new Map();
  for (const [name, value, now] of params) {
    const [first, ...rest] = name.split(".");
    const key = rest.length ? first : "";
    sections.set(key, [...(sections.get(key) ?? []), [rest.join(".") || first, value, now]]);
  }
  const last = [...sections].sort(([one], [other]) => (one === "readers") - (other === "readers"));
  return last.map(([title, rows]) => (title === "readers" ? beside(title, rows) : table({ caption: title || "params.yaml",
    body: rows.map(([name, value, now]) => [name, parameter(value, now)]) })));
}

const parameter = (value, now) => ({ text: value ?? "(none)", kind: "left", small: now === null ? "" : `now ${now}` });

function beside(title, rows) {
  const names = [...new Set(rows.map(([name]) => name.split(".")[0]))], keys = [...new Set(rows.map(([name]) => name.split(".").slice(1).join(".")))];
  const values = new Map(rows.map(([name, value, now]) => [name, parameter(value, now)]));
  const made = table({ caption: title, head: [["", ...names.map((name) => ({ text: name, kind: "left" }))]], body: keys.map((key) => [key, ...names.map((name) => values.get(`${name}.${key}`) ?? "")]) });
  made.classList.add("wide");
  return made;
}
