// Shows one part of the page at a time, by the address's fragment, and starts each when it is first shown.
import { element, tell } from "./page.js";
import * as paint from "./paint.js";
import * as bench from "./bench.js";
import * as train from "./train.js";
import * as results from "./results.js";

const PARTS = { paint, bench, train, results };
const started = new Set();

// #bench?text=1234 shows the bench with its setting.
function show() {
  const [name, setting = ""] = location.hash.slice(1).split("?", 2);
  const chosen = name in PARTS ? name : "paint";
  for (const part of Object.keys(PARTS)) {
    element(`part-${part}`).hidden = part !== chosen;
    const link = document.querySelector(`nav a[data-part="${part}"]`);
    if (part === chosen) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  tell("");
  const first = !started.has(chosen);
  started.add(chosen);
  PARTS[chosen].show(element(`part-${chosen}`), { first, setting });
}

// The fragment is the part's; as a plain link this would leave it.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  element("main").focus();
});
window.addEventListener("hashchange", show);
show();
