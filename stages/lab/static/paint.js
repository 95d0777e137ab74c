// The drawing canvas: strokes are kept as points and sent while they are drawn; one request is under way at a time.
import { ask, element, fillSelect, make, percent, send } from "./page.js";

const PEN = 20; // px of the canvas: a digit of usual size is drawn as thick as MNIST's
const STEP = 8; // px that an arrow key moves the pen
const FOR = [209, 87, 27], AGAINST = [47, 111, 208];
const strokes = [];
let active = null; // the stroke that is being drawn
let keyboard = null; // {x, y, down} while the keys draw
let busy = false, wanted = false;

export async function show(section, { first, setting }) {
  if (first) listen();
  const readers = (await ask("/readers")).filter((reader) => !reader.error);
  const single = (reader) => reader.height === 28 && reader.width === 28 && reader.positions === 1;
  const told = (reader) => `${reader.name} (${single(reader) ? "single characters" : `captchas of ${reader.width} × ${reader.height} px`}, ${reader.architecture})`;
  const select = element("paint-reader");
  const asked = new URLSearchParams(setting).get("reader");
  const best = readers.findLast(single) ?? readers[0];
  fillSelect(select, readers.map((reader) => [reader.name, told(reader)]), asked ?? (select.value || best?.name));
  if (!select.value && best) select.value = best.name;
  element("paint-hint").hidden = readers.some(single);
  if (!readers.length) element("paint-empty").textContent = "No reader is at hand: train one here, or run dvc repro.";
  draw();
  request();
}

function listen() {
  const canvas = element("paint-canvas");
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || active) return;
    canvas.setPointerCapture(event.pointerId);
    begin([place(event)], event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!active || active.pointer !== event.pointerId) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const one of events.length ? events : [event]) active.points.push(place(one));
    changed();
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => {
      if (active?.pointer === event.pointerId) end();
    });
  }
  canvas.addEventListener("keydown", key);
  canvas.addEventListener("blur", () => { lift(); keyboard = null; draw(); });
  element("paint-undo").addEventListener("click", undo);
  element("paint-clear").addEventListener("click", clear);
  element("paint-reader").addEventListener("change", request);
  element("paint-saliency").addEventListener("change", request);
}

function place(event) {
  const canvas = element("paint-canvas"), box = canvas.getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width * canvas.width, y = (event.clientY - box.top) / box.height * canvas.height;
  return [Math.round(10 * Math.min(Math.max(x, 0), canvas.width)) / 10, Math.round(10 * Math.min(Math.max(y, 0), canvas.height)) / 10];
}

function begin(points, pointer) {
  active = { points, pointer };
  strokes.push(points);
  changed();
}

function end() {
  active = null;
  changed();
}

function undo() {
  active = null;
  strokes.pop();
  changed();
}

function clear() {
  active = null;
  strokes.length = 0;
  changed();
}

function lift() {
  if (keyboard?.down) {
    keyboard.down = false;
    end();
  }
}

function key(event) {
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const canvas = element("paint-canvas");
  if (event.key in moves) {
    keyboard ??= { x: canvas.width / 2, y: canvas.height / 2, down: false };
    const step = STEP * (event.shiftKey ? 4 : 1), [x, y] = moves[event.key];
    keyboard.x = Math.min(Math.max(keyboard.x + step * x, 0), canvas.width);
    keyboard.y = Math.min(Math.max(keyboard.y + step * y, 0), canvas.height);
    if (keyboard.down) {
      active.points.push([keyboard.x, keyboard.y]);
      changed();
    } else draw();
  } else if (event.key === " ") {
    keyboard ??= { x: canvas.width / 2, y: canvas.height / 2, down: false };
    if (keyboard.down) lift();
    else {
      keyboard.down = true;
      begin([[keyboard.x, keyboard.y]], "keyboard");
    }
  } else if (event.key === "Delete" || event.key === "Escape") {
    keyboard = null;
    clear();
  } else if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey)) {
    if (keyboard) keyboard.down = false;
    undo();
  } else return;
  event.preventDefault();
}

function changed() {
  draw();
  request();
}

function draw() {
  const canvas = element("paint-canvas"), pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.strokeStyle = "#fff";
  pen.lineWidth = PEN;
  pen.lineCap = pen.lineJoin = "round";
  for (const points of strokes) {
    pen.beginPath();
    pen.moveTo(...points[0]);
    for (const point of points.length > 1 ? points.slice(1) : points) pen.lineTo(...point);
    pen.stroke();
  }
  if (keyboard) {
    pen.strokeStyle = keyboard.down ? "#ffb27d" : "#86bdf2";
    pen.lineWidth = 3;
    pen.beginPath();
    pen.arc(keyboard.x, keyboard.y, 14, 0, 2 * Math.PI);
    pen.stroke();
  }
  const strokesTold = strokes.length === 1 ? "1 stroke" : `${strokes.length} strokes`;
  const pens = keyboard ? `, the pen is ${keyboard.down ? "down" : "up"}` : "";
  const told = (strokes.length ? strokesTold : "The canvas is empty") + pens + ".";
  if (element("paint-state").textContent !== told) element("paint-state").textContent = told;
  element("paint-undo").disabled = element("paint-clear").disabled = !strokes.length;
}

// Ask for what is drawn now; while an answer is awaited, only the newest drawing is remembered.
async function request() {
  wanted = true;
  if (busy) return;
  busy = true;
  while (wanted) {
    wanted = false;
    const reader = element("paint-reader").value;
    if (!strokes.length || !reader) {
      answer({ text: "", characters: [], note: "" });
      continue;
    }
    try {
      const found = await send("/paint", { reader, strokes, saliency: element("paint-saliency").checked });
      if (strokes.length) answer(found);
    } catch {
      answer({ text: "", characters: [], note: "" }); // the page tells why
    }
  }
  busy = false;
}

function answer(found) {
  const drawn = strokes.length > 0;
  element("paint-empty").hidden = drawn;
  element("paint-answer").textContent = found.text || (drawn && found.confidence !== undefined ? "nothing" : "");
  element("paint-confidence").textContent = found.confidence === undefined ? "" : `${percent(found.confidence)} sure of all of it`;
  element("paint-note").textContent = found.note;
  element("paint-legend").hidden = !found.characters.some((one) => one.picture.saliency);
  element("paint-time").textContent = found.milliseconds ? `${found.milliseconds.toFixed(0)} ms in the reader` : "";
  const box = element("paint-characters");
  while (box.children.length > found.characters.length) box.lastChild.remove();
  found.characters.forEach((one, i) => fill(box.children[i] ?? box.appendChild(figure()), one, [...found.alphabet, ""]));
}

const figure = () => make("figure", {}, make("canvas", { class: "pixels", role: "img" }), make("figcaption"), make("ol"));

// Classes stay in the order of the alphabet, so that bars do not jump.
function fill(figure, one, alphabet) {
  const [canvas, caption, list] = figure.children;
  overlay(canvas, one.picture);
  canvas.setAttribute("aria-label", `What the reader saw as ${one.character}${one.picture.saliency ? ", and what it looked at" : ""}`);
  caption.textContent = `${one.character}  ${percent(one.confidence)}`;
  const classes = alphabet.filter((name) => name in one.probabilities).map((name) => [name, one.probabilities[name]]);
  while (list.children.length > classes.length) list.lastChild.remove();
  classes.forEach(([name, share], i) => {
    const row = list.children[i] ?? list.appendChild(make("li", {}, make("span"), make("meter", { min: 0, max: 1 }), make("span")));
    const [letter, bar, number] = row.children;
    letter.textContent = name || "∅";
    letter.title = name ? "" : "no character";
    bar.value = share;
    bar.setAttribute("aria-label", `probability of ${name || "no character"}`);
    number.textContent = percent(share);
    row.classList.toggle("chosen", name === one.character);
  });
}

function overlay(canvas, picture) {
  const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const grey = bytes(picture.pixels), map = picture.saliency && bytes(picture.saliency);
  const image = new ImageData(picture.width, picture.height);
  for (let i = 0; i < grey.length; i += 1) {
    const weight = map ? (map[i] - 128) / 127 : 0, colour = weight > 0 ? FOR : AGAINST, share = Math.min(1, Math.abs(weight)) * 0.85;
    for (let c = 0; c < 3; c += 1) image.data[4 * i + c] = grey[i] * (1 - share) + colour[c] * share;
    image.data[4 * i + 3] = 255;
  }
  canvas.width = picture.width;
  canvas.height = picture.height;
  canvas.getContext("2d").putImageData(image, 0, 0);
}
