// One training runs beside the page: this starts it, asks how it goes, and keeps what it made.
import { ask, element, make, percent, send, tell } from "./page.js";

const POLL = 400; // ms
const SVG = "http://www.w3.org/2000/svg";
let timer = 0;

export async function show(section, { first }) {
  if (first) listen();
  await refresh();
}

function listen() {
  element("train-form").addEventListener("submit", start);
  element("train-source").addEventListener("change", source);
  element("train-stop").addEventListener("click", async () => paint(await send("/train/stop", {})));
  element("train-save-form").addEventListener("submit", save);
  for (const kind of ["train", "test"]) {
    element(`train-file-${kind}`).addEventListener("change", (event) => upload(kind, event.target));
  }
}

const source = () => { element("train-alphabet-row").hidden = element("train-source").value !== "fonts"; };

async function start(event) {
  event.preventDefault();
  const asked = Object.fromEntries(new FormData(event.target));
  for (const name of ["channels", "epochs", "batch", "learning_rate", "augment", "seed"]) asked[name] = Number(asked[name]);
  try {
    paint(await send("/train", asked));
  } catch {
    return; // the page tells why
  }
  poll();
}

async function upload(kind, input) {
  const file = input.files[0];
  if (!file) return;
  const line = element("train-upload");
  line.textContent = `Reading ${file.name} …`;
  try {
    const table = await ask(`/train/file/${kind}?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file });
    line.textContent = `${table.name} is open: ${table.rows} rows.`;
    if (kind === "train") element("train-source").value = "file";
    source();
    paint(await ask("/train"));
  } catch (error) {
    line.textContent = "";
    tell(error.message);
  }
  input.value = "";
}

async function save(event) {
  event.preventDefault();
  try {
    const { name } = await send("/train/save", { name: element("train-name").value, overwrite: element("train-overwrite").checked });
    element("train-saved").replaceChildren(`Saved as ${name}. `, make("a", { href: `#paint?reader=${encodeURIComponent(name)}` }, "Paint with it"));
    await readers();
  } catch { /* the page tells why */ }
}

async function refresh() {
  const state = await ask("/train");
  element("train-study").textContent = `the study's glyphs (${state.study})`;
  paint(state);
  await readers(state);
  if (state.state === "running") poll();
}

function poll() {
  clearTimeout(timer);
  timer = setTimeout(async () => {
    let state;
    try {
      state = await ask("/train");
    } catch {
      return;
    }
    paint(state);
    if (state.state === "running") poll();
    else await readers(state);
  }, POLL);
}

function paint(state) {
  const running = state.state === "running", history = state.history;
  element("train-start").disabled = running;
  element("train-stop").disabled = !running;
  element("train-save").disabled = !state.savable;
  const titles = { idle: "Nothing is trained yet.", running: "Training …", stopped: "Stopped.", failed: "It failed.", done: "Trained." };
  const epochs = state.settings?.epochs ?? 1;
  const title = running && history.length + 1 <= epochs ? `Training, epoch ${history.length + 1} of ${epochs}` : titles[state.state];
  if (element("train-state").textContent !== title) element("train-state").textContent = title;
  element("train-progress").hidden = !running;
  element("train-progress").value = Math.min(1, (history.length + (state.epoch_share ?? 0)) / epochs);
  element("train-told").textContent = [
    state.error, state.weights && `${state.weights} weights learn from ${state.glyphs} glyphs`, state.seconds && `${state.seconds.toFixed(0)} s`,
    history.length && `validation ${percent(Math.max(...history.map((epoch) => epoch.validation_exact_match)))} at best`,
    state.test_glyphs && `test ${percent(state.test_accuracy)} (${percent(state.test_low)} to ${percent(state.test_high)}) of ${state.test_glyphs}`,
  ].filter(Boolean).join("; ");
  element("train-history").replaceChildren(...history.map((epoch) => make("tr", {}, make("td", {}, `${epoch.epoch}`), make("td", {}, epoch.train_loss.toFixed(4)),
    make("td", {}, epoch.validation_loss.toFixed(4)), make("td", {}, percent(epoch.validation_exact_match)))));
  curves("train-loss", epochs, { train: history.map((epoch) => epoch.train_loss), validation: history.map((epoch) => epoch.validation_loss) }, 0, (value) => value.toPrecision(2));
  const accuracy = history.map((epoch) => epoch.validation_exact_match);
  curves("train-accuracy", epochs, { validation: accuracy }, Math.max(0, Math.floor(10 * Math.min(1, ...accuracy)) / 10 - 0.1), (value) => percent(value, 0), 1);
  files(state.files);
}

function files(found) {
  element("train-files").replaceChildren(...Object.entries(found).map(([kind, table]) => {
    const close = make("button", { type: "button", id: `train-close-${kind}` }, "Close");
    close.addEventListener("click", async () => paint(await ask(`/train/file/${kind}`, { method: "DELETE" })));
    const classes = Object.entries(table.classes).map(([name, count]) => `${name}: ${count}`).join(", ");
    return make("p", {}, make("strong", {}, `${kind}: ${table.name}`), `, ${table.rows} rows, ${classes || "no labels"} `, close);
  }));
  element("train-submission").hidden = !found.test;
}

async function readers(state) {
  const saved = (await ask("/readers")).filter((reader) => reader.name.startsWith("lab/"));
  const tests = state ? Boolean(state.files.test) : !element("train-submission").hidden;
  element("train-readers").replaceChildren(...saved.map((reader) => {
    const remove = make("button", { type: "button" }, "Delete");
    remove.setAttribute("aria-label", `Delete ${reader.name}`);
    remove.addEventListener("click", async () => {
      if (!confirm(`Delete ${reader.name}?`)) return;
      await send("/train/delete", { name: reader.name.slice(4) });
      await readers();
    });
    const actions = [make("a", { href: `#paint?reader=${encodeURIComponent(reader.name)}` }, "Load and paint"), " "];
    if (tests) actions.push(make("a", { href: `/api/train/submission?reader=${encodeURIComponent(reader.name)}`, download: "" }, "Submission"), " ");
    return make("tr", {}, make("td", {}, reader.name), make("td", {}, reader.architecture ?? ""), make("td", {}, reader.alphabet ?? reader.error),
      make("td", {}, ...actions, remove));
  }));
}

function shape(name, attributes, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

// Lines by epoch; `bottom` and `top` bound the axis (top: the highest value where it is not given).
function curves(id, epochs, series, bottom, label, top = Math.max(0.01, ...Object.values(series).flat())) {
  const [left, right, high, low] = [46, 310, 10, 175], drawn = [];
  const x = (epoch) => left + (right - left) * (epochs > 1 ? (epoch - 1) / (epochs - 1) : 0.5), y = (value) => low - (low - high) * (value - bottom) / (top - bottom);
  for (const share of [0, 0.5, 1]) {
    const value = bottom + share * (top - bottom);
    drawn.push(shape("line", { x1: left, x2: right, y1: y(value), y2: y(value) }), shape("text", { x: left - 5, y: y(value) + 4, "text-anchor": "end" }, label(value)));
  }
  for (const epoch of new Set([1, Math.ceil(epochs / 2), epochs])) drawn.push(shape("text", { x: x(epoch), y: 192, "text-anchor": "middle" }, `${epoch}`));
  for (const [name, values] of Object.entries(series)) {
    drawn.push(shape("polyline", { class: name, points: values.map((value, i) => `${x(i + 1)},${y(value)}`).join(" ") }));
    if (values.length === 1 && name === "validation") drawn.push(shape("circle", { cx: x(1), cy: y(values[0]), r: 3 }));
  }
  element(id).replaceChildren(...drawn);
}
