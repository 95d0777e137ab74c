// What every part of the page needs: asking the server, telling errors, drawing pixels.

export const element = (id) => document.getElementById(id);

export function tell(message) {
  const line = element("error");
  line.textContent = message;
  line.hidden = !message;
}

// The JSON answer of a route; a refusal is told on the page and thrown.
export async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(`/api${path}`, options);
  } catch (error) {
    if (error.name !== "AbortError") tell("The lab does not answer: is it still running?");
    throw error;
  }
  const content = await answer.json();
  if (!answer.ok) {
    tell(content.error);
    throw new Error(content.error);
  }
  tell("");
  return content;
}

export const send = (path, body, options = {}) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), ...options });

export const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;

// base64 of rows of bytes, `channels` a pixel (1 grey, 3 colours), drawn at their own size into a canvas.
export function drawPixels(canvas, base64, width, height, channels = 3) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i += 1) {
    for (let c = 0; c < 3; c += 1) image.data[4 * i + c] = bytes[channels * i + (channels === 3 ? c : 0)];
    image.data[4 * i + 3] = 255;
  }
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// A new element with attributes and children (texts or elements).
export function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Fill a <select> with [value, text] pairs and keep what was chosen where it is still there.
export function fillSelect(select, pairs, chosen = select.value) {
  select.replaceChildren(...pairs.map(([value, text]) => make("option", { value }, text)));
  if (pairs.some(([value]) => value === chosen)) select.value = chosen;
}

// Only the last of overlapping calls gets its answer: `latest()` is a function that says whether its call still is.
export function sequence() {
  let last = 0;
  return () => {
    const mine = ++last;
    return () => mine === last;
  };
}
