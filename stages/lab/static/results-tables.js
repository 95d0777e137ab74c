// Tables of the results: cells are texts, or { text, small, bar, heat, kind, title, scope, span }.
import { make } from "./page.js";

export const whole = (value) => value?.toLocaleString("en") ?? "";
export const number = (value) => (value === null ? "" : Number.isInteger(value) ? whole(value) : String(Number(value.toPrecision(4)))).replace("-", "−");
export const percent = (share, digits = 1) => (share === null ? "" : `${(100 * share).toFixed(digits)} %`);

const watcher = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const box = target.parentElement;
    if (box) box.tabIndex = box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1 ? 0 : -1;
  }
});

// A box in which what is wider or higher than it scrolls; by keyboard as well where there is something to scroll.
export function scroll(content, label, kind = "scroll") {
  watcher.observe(content);
  return make("div", { class: kind, role: "group", "aria-label": label }, content);
}

function cell(given, place, heading) {
  const { text, small = "", bar, heat, right, kind = "", title, scope = "", span = 1, child } = typeof given === "object" ? given : { text: given };
  const named = scope || (heading ? "col" : place === 0 ? "row" : "");
  const made = make(named && (text || child) ? "th" : "td", named && (text || child) ? { scope: named } : {}, child ?? text);
  if (small) made.append(make("small", {}, small));
  if (span > 1) made.setAttribute("colspan", span);
  if (title) made.title = title;
  const kinds = [kind, bar === undefined ? "" : "bar", right ? "right" : ""].filter(Boolean);
  if (kinds.length) made.className = kinds.join(" ");
  const share = bar ?? heat;
  if (share !== undefined) made.style.setProperty("--share", share.toFixed(4));
  return made;
}

const rows = (lines, heading) => lines.map((line) => make("tr", {}, ...line.map((one, place) => cell(one, place, heading))));

// A table with a caption in a box that scrolls; `groups` are [name, columns] above the columns, after the first.
export function table({ caption, head = [], body, foot = [], groups = [], kind = "" }) {
  const over = groups.length ? [make("tr", {}, make("td"), ...groups.map(([name, span]) => make("th", { scope: "colgroup", colspan: span }, name)))] : [];
  const made = make("table", kind ? { class: kind } : {}, make("caption", {}, make("span", {}, caption)));
  if (head.length || over.length) made.append(make("thead", {}, ...over, ...rows(head, true)));
  made.append(make("tbody", {}, ...rows(body, false)));
  if (foot.length) made.append(make("tfoot", {}, ...rows(foot, false)));
  return scroll(made, caption, "scroll boxed");
}
