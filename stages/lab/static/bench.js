// A captcha to a setting; the setting is the address, so that a link restores it.
import { ask, drawPixels, element, fillSelect, make, percent, send, sequence, tell } from "./page.js";

const TEXTS = ["text", "source", "alphabet", "scheme"];
const NUMBERS = ["length", "scale", "rotation", "shear", "gap", "jitter", "contrast", "width", "height", "seed"];
const COMPOSING = [...TEXTS.slice(1), ...NUMBERS.slice(0, -1), "per_character"]; // what an upload has no use for
const PAUSE = 500; // ms without a change before rates are measured
const SLOW = 300; // ms from which on the page says that it is drawing
const MOST_NOISES = 5;
const LIMIT = 2 * 2 ** 20; // bytes of a file
let known = null, upload = "";
let busy = false, wanted = null, timer = 0, measuring = new AbortController();
let shown = [], rates = {}, text = ""; // what stands on the page
const uploads = sequence();

const control = (name) => element(`bench-${name}`);
const words = (name) => name.replaceAll("_", " ");

export async function show(section, { setting: given }) {
  const again = known !== null;
  if (!again) {
    const found = await ask("/bench/start");
    if (known) return; // two starts overlapped
    known = found;
    prepare();
  }
  if (section.hidden) return;
  if (again && (!given || location.hash === link(setting()))) return change();
  upload = "";
  fill({ ...known.setting, ...parse(given) });
  change();
}

function prepare() {
  const names = { study: `the study's (${known.study})`, digits: "scikit-learn's digits", fonts: "typefaces" };
  fillSelect(control("source"), known.sources.map((source) => [source, names[source]]));
  fillSelect(control("scheme"), known.schemes.map((scheme) => [scheme, words(scheme)]));
  const wide = matchMedia("(min-width: 52rem)").matches;
  for (const part of ["characters", "colours"]) control(part).open = wide;
  listen();
}

function listen() {
  const form = control("form");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", change);
  const acts = {
    another: () => { control("seed").value = (Number(control("seed").value) + 1) % 2 ** 31; },
    reset: () => { upload = ""; fill(known.setting); },
    add: () => { addNoise({ type: known.noises[0], level: 0.3 }); number(); },
    unload: () => { upload = ""; control("text").value = ""; say(""); control("file").focus(); },
  };
  for (const [name, act] of Object.entries(acts)) {
    control(name).addEventListener("click", () => { act(); change(); });
  }
  control("download").addEventListener("click", download);
  control("link").addEventListener("click", copy);
  control("file").addEventListener("change", (event) => take(event.target.files[0]));
  const drop = control("drop"), over = (event) => { event.preventDefault(); drop.classList.add("over"); };
  drop.addEventListener("dragover", over);
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    take(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => {
    const file = event.clipboardData.files[0];
    if (!file || element("part-bench").hidden) return;
    event.preventDefault();
    take(file);
  });
}

function addNoise({ type, level }) {
  const select = make("select", {}), slider = make("input", { type: "range", min: 0, max: 1, step: 0.01 });
  fillSelect(select, known.noises.map((name) => [name, words(name)]), type);
  slider.value = level;
  const remove = make("button", { type: "button" }, "×");
  const box = make("div", { class: "noise" }, make("label", {}, "Type", select), remove,
    make("label", {}, "Level", make("span", { class: "slider" }, slider, make("output"))));
  remove.addEventListener("click", () => {
    box.remove();
    number();
    control("add").focus();
    change();
  });
  control("noises").append(box);
}

// Ids by place: bench-noise-1, bench-level-1, bench-remove-1 belong to the first noise.
function number() {
  [...control("noises").children].forEach((box, index) => {
    const place = index + 1, slider = box.querySelector("input"), output = box.querySelector("output");
    box.querySelector("select").id = `bench-noise-${place}`;
    slider.id = `bench-level-${place}`;
    output.id = `bench-level-${place}-shown`;
    output.setAttribute("for", slider.id);
    box.querySelector("button").id = `bench-remove-${place}`;
    box.querySelector("button").setAttribute("aria-label", `Remove noise ${place}`);
  });
}

function fill(asked) {
  for (const name of [...TEXTS, ...NUMBERS]) control(name).value = asked[name];
  control("per_character").checked = asked.per_character;
  control("noises").replaceChildren();
  asked.noises.slice(0, MOST_NOISES).forEach(addNoise);
  number();
}

function setting() {
  const asked = { upload, per_character: control("per_character").checked };
  for (const name of TEXTS) asked[name] = control(name).value;
  for (const name of NUMBERS) asked[name] = Number(control(name).value);
  asked.noises = [...control("noises").children].map((box) => ({
    type: box.querySelector("select").value, level: Number(box.querySelector("input").value),
  }));
  return asked;
}

// text=1234&noise=gaussian:0.4&noise=fog:0.2&seed=3; what is wrong is told, the rest is kept.
function parse(query) {
  const found = {}, wrong = [], given = new URLSearchParams(query);
  for (const [name, value] of given) {
    if (name === "noise") {
      found.noises ??= [];
      const [type, level, more] = value.split(":");
      const share = level && Number(level) >= 0 && Number(level) <= 1 && more === undefined;
      const fits = share && known.noises.includes(type) && found.noises.length < MOST_NOISES;
      if (fits) found.noises.push({ type, level: Number(level) });
      else if (value) wrong.push(`noise=${value}`);
    } else if (allowed(name, value)) {
      if (name === "per_character") found[name] = value === "true";
      else found[name] = NUMBERS.includes(name) ? Number(value) : value;
    } else wrong.push(`${name}=${value}`);
  }
  say(wrong.length ? `The link had what does not fit, ${wrong.join(", ").slice(0, 200)}; the rest is kept.` : "");
  return found;
}

function allowed(name, value) {
  if (name === "per_character") return ["true", "false"].includes(value);
  if (NUMBERS.includes(name)) {
    const { min, max, step } = control(name), found = Number(value);
    const whole = step !== "1" || Number.isInteger(found);
    return value.trim() !== "" && found >= Number(min) && found <= Number(max) && whole;
  }
  if (name === "source") return known.sources.includes(value);
  if (name === "scheme") return known.schemes.includes(value);
  if (!TEXTS.includes(name)) return false;
  return value.length <= control(name).maxLength && value.length >= Math.max(0, control(name).minLength);
}

function link(asked) {
  const query = new URLSearchParams();
  for (const name of [...TEXTS, ...NUMBERS, "per_character"]) {
    if (`${asked[name]}` !== `${known.setting[name]}`) query.set(name, asked[name]);
  }
  if (JSON.stringify(asked.noises) !== JSON.stringify(known.setting.noises)) {
    for (const { type, level } of asked.noises) query.append("noise", `${type}:${level}`);
    if (!asked.noises.length) query.set("noise", "");
  }
  return `#bench${`${query}` ? `?${query}` : ""}`;
}

// Everything on the page that follows from the controls alone.
function reflect(asked) {
  for (const output of control("form").querySelectorAll("output")) {
    output.textContent = `${Number(Number(element(output.getAttribute("for")).value).toFixed(2))}`;
  }
  for (const name of COMPOSING) control(name).disabled = Boolean(upload);
  control("text-label").textContent = upload ? "Its text, if you know it" : "Text (empty: a random one)";
  control("alphabet-row").hidden = asked.source !== "fonts";
  control("add").disabled = asked.noises.length >= MOST_NOISES;
  control("unload").hidden = !upload;
  control("link-row").hidden = true;
  if (!element("part-bench").hidden) history.replaceState(null, "", link(asked));
}

// One request at a time, then the last setting: while a slider moves, the picture follows as fast as it is drawn.
async function change() {
  wanted = setting();
  reflect(wanted);
  clearTimeout(timer);
  measuring.abort(); // it is overtaken
  if (busy) return;
  busy = true;
  while (wanted) {
    const asked = wanted;
    wanted = null;
    await compose(asked);
  }
  busy = false;
}

async function compose(asked) {
  const slow = setTimeout(() => { control("told").textContent = "drawing …"; }, SLOW);
  let found = null;
  try {
    found = await send("/bench", asked);
  } catch { /* the page tells why */ }
  clearTimeout(slow);
  if (!found) return wanted ? undefined : nothing();
  [text, shown, rates] = [found.text, found.readers, {}];
  draw(found);
  const measured = text && !(asked.upload && !asked.noises.some(({ level }) => level > 0));
  table(measured ? "measuring …" : "");
  if (measured && !wanted) timer = setTimeout(() => measure(asked), PAUSE);
}

// A picture of another setting must not stand beside these controls.
function nothing() {
  const canvas = control("image");
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
  canvas.setAttribute("aria-label", "No captcha: the setting was refused");
  for (const name of ["told", "summary", "time"]) control(name).textContent = "";
  control("download").disabled = true;
  [shown, rates, text] = [[], {}, ""];
  table("");
}

function draw(found) {
  drawPixels(control("image"), found.pixels, found.width, found.height);
  control("image").setAttribute("aria-label", `Captcha ${text || "of unknown text"}`);
  control("told").textContent = `${text ? `Text ${text}; ` : ""}${found.width} × ${found.height} px; luma changed by `
    + `${found.change.toFixed(3)} (root mean square, full scale 1)`;
  control("time").textContent = `Drawn and read in ${found.milliseconds.toFixed(0)} ms.`;
  control("summary").textContent = summary(found.readers.filter((reader) => reader.text !== undefined));
  control("download").disabled = false;
}

function summary(readers) {
  if (!readers.length) return "No reader at hand reads this.";
  if (!text) return readers.map((reader) => `${reader.name} reads ${reader.text || "nothing"}`).join("; ");
  const right = readers.filter((reader) => reader.right).map((reader) => reader.name);
  return `Read right by ${right.length} of ${readers.length}${right.length ? `: ${right.join(", ")}` : ""}.`;
}

async function measure(asked) {
  const mine = measuring = new AbortController();
  let found = { readers: [] };
  try {
    found = await send("/bench/rates", asked, { signal: mine.signal });
  } catch { /* the page tells why */ }
  if (mine.signal.aborted) return;
  rates = Object.fromEntries(found.readers.map((reader) => [reader.name, reader]));
  table("");
}

function table(waiting) {
  control("readers").replaceChildren(...shown.map((reader) => row(reader, rates[reader.name], waiting)));
}

function row(reader, rate, waiting) {
  const name = make("th", { scope: "row" }, reader.name);
  const notes = new Set([made(reader), reader.note, reader.error, rate?.note, rate?.error].filter(Boolean));
  for (const note of notes) name.append(make("small", {}, note));
  if (reader.text === undefined) return make("tr", {}, name, ...[1, 2, 3, 4].map(() => make("td", {}, "–")));
  const reading = make("td", {}, make("strong", {}, reader.text || "nothing"));
  if (reader.right !== null) {
    const said = reader.right ? "right" : "wrong";
    reading.append(make("span", { class: reader.right ? "good" : "bad", role: "img", "aria-label": said },
      reader.right ? " ✓" : " ✗"));
  }
  const sure = make("td", {}, percent(reader.confidence), reader.sure ? "" : make("small", {}, "not sure"));
  const measured = rate?.whole === undefined ? [make("td", {}, waiting || "–"), make("td", {}, waiting || "–")]
    : [share(rate.whole, rate.low, rate.high), share(rate.character, rate.character_low, rate.character_high)];
  return make("tr", {}, name, reading, sure, ...measured);
}

const share = (value, low, high) =>
  make("td", {}, percent(value), make("small", {}, `${(100 * low).toFixed(1)} to ${percent(high)}`));

function made({ width, height, alphabet, positions }) {
  if (alphabet === undefined) return "";
  const letters = alphabet.length > 24 ? `${alphabet.slice(0, 24)} … (${alphabet.length})` : alphabet;
  return `for ${width} × ${height} px, ${letters}${positions ? `, up to ${positions}` : ""}`;
}

async function take(file) {
  control("file").value = "";
  if (!file) return;
  if (file.size > LIMIT) return tell("upload: expected a picture of at most 2 MB, got more: make it smaller");
  const latest = uploads();
  try {
    const headers = { "Content-Type": "application/octet-stream" };
    const found = await ask("/bench/upload", { method: "POST", body: file, headers });
    if (!latest()) return;
    upload = found.upload;
    control("text").value = "";
    control("noises").replaceChildren();
    const name = file.name || "The picture";
    say(`${name}, ${found.width} × ${found.height} px here, is on the bench; no link carries it.`);
    change();
  } catch { /* the page tells why */ }
}

function download() {
  const noises = setting().noises.map(({ type, level }) => `_${type}-${level}`).join("");
  control("image").toBlob((blob) => {
    const address = URL.createObjectURL(blob);
    make("a", { href: address, download: `${text || "captcha"}${noises}.png` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  }, "image/png");
}

async function copy() {
  try {
    await navigator.clipboard.writeText(location.href);
    say("The link is copied.");
  } catch {
    control("link-row").hidden = false;
    control("link-text").value = location.href;
    control("link-text").select();
    say("The browser refused the clipboard: copy the link below.");
  }
}

function say(line) {
  control("status").textContent = line;
}
