"""The skeleton and the style sheet of the report: one page, no script, nothing to load."""

from string import Template

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fbfaf7; --raised: #ffffff; --ink: #1d2430; --muted: #566070; --line: #e2dfd6; --accent: #0a5a9c;
  --code: #f1efe8; --bar-shade: #d3e4f3; --serif: Charter, "Bitstream Charter", "Sitka Text", Cambria, Georgia, serif;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif;
  --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171c; --raised: #1b2027; --ink: #e7e9ec; --muted: #a7b0bd; --line: #323944; --accent: #86bdf2;
          --code: #222831; --bar-shade: #24405c; }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1.0625rem/1.6 var(--serif); }
main, header.cover, footer { max-width: 60rem; margin: 0 auto; padding: 0 1.25rem; }
p, ul, ol, dl, .wide-text { max-width: 42rem; }
a { color: var(--accent); text-underline-offset: .15em; }
h1, h2, h3 { line-height: 1.2; text-wrap: balance; }
h1 { font-size: clamp(1.75rem, 1.2rem + 2.4vw, 2.75rem); font-weight: 600; letter-spacing: -.015em;
     margin: .5rem 0 1.75rem; max-width: 48rem; }
h2 { font-size: 1.6rem; font-weight: 600; letter-spacing: -.01em; margin: 4rem 0 .75rem; padding-top: 1.25rem;
     border-top: 1px solid var(--line); }
h3 { font: 600 1.02rem/1.35 var(--sans); margin: 2.25rem 0 .5rem; }
code { font: .88em/1.4 var(--mono); background: var(--code); border-radius: .25em; padding: .1em .3em; }
.eyebrow { font: 600 .8rem/1.4 var(--sans); letter-spacing: .09em; text-transform: uppercase; color: var(--muted);
           margin: 3.25rem 0 0; }
.answer { border-left: 4px solid var(--accent); padding: .1rem 0 .1rem 1.25rem; margin: 0 0 2rem; }
.answer p { font-size: 1.22rem; line-height: 1.55; margin: 0 0 .9rem; max-width: 46rem; }
.answer p:last-child { margin-bottom: 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(12.5rem, 1fr)); gap: 1px;
         background: var(--raised); border: 1px solid var(--line); border-radius: .5rem; overflow: hidden;
         margin: 2rem 0; padding: 0; max-width: none; }
.tiles > div { box-shadow: 0 0 0 1px var(--line); padding: 1rem 1.1rem; display: flex; flex-direction: column-reverse;
               justify-content: flex-end; }
.tiles dt { font: .88rem/1.4 var(--sans); color: var(--muted); }
.tiles dd { margin: 0 0 .15rem; font: 600 1.7rem/1.2 var(--sans); font-variant-numeric: tabular-nums;
            letter-spacing: -.02em; }
.tiles dd small { display: block; font-size: .82rem; font-weight: 400; letter-spacing: 0; color: var(--muted); }
nav { font: .95rem/1.5 var(--sans); margin: 2rem 0 0; }
nav ol { display: flex; flex-wrap: wrap; gap: .25rem 1.4rem; list-style: none; padding: 0; margin: 0; max-width: none; }
figure { margin: 1.75rem 0 2.5rem; }
.plate { background: #ffffff; color: #1d2430; border: 1px solid var(--line); border-radius: .5rem; padding: 1rem;
         overflow-x: auto; }
.plate:focus-visible, .scroll:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.plate svg { display: block; height: auto; margin: 0 auto; }
.plate svg text { font-family: var(--sans) !important; }
figcaption { font: .92rem/1.5 var(--sans); color: var(--muted); margin-top: .75rem; max-width: 46rem; }
figcaption strong { color: var(--ink); font-weight: 600; }
figcaption .finding { color: var(--ink); }
.scroll { overflow-x: auto; margin: 1.25rem 0 .75rem; }
table { border-collapse: collapse; font: .9rem/1.4 var(--sans); font-variant-numeric: tabular-nums; }
.scroll tbody th, .scroll tfoot th, .scroll thead td:first-child { position: sticky; left: 0;
                                                                   background: var(--paper); }
caption { text-align: left; font-weight: 600; padding: 0 0 .6rem; }
th, td { padding: .38rem .9rem .38rem 0; text-align: right; vertical-align: top; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
th { font-weight: 600; }
thead th { color: var(--muted); font-weight: 600; vertical-align: bottom; }
td small { color: var(--muted); font-size: .82em; }
tbody th { font-weight: 500; }
table.regression tr.group th { color: var(--muted); padding-top: 1.1rem; font-weight: 600; text-align: left; }
table.regression { font-size: .86rem; }
table.regression th, table.regression td { white-space: nowrap; padding-block: .2rem; }
table.regression td br { display: none; }
table.regression td small { display: inline-block; min-width: 4.9em; margin-left: .4em; }
table.regression tfoot tr:first-child > * { border-top: 2px solid var(--line); }
table.compact th, table.compact td { padding-block: .22rem; }
table.compact th, table.compact td { white-space: nowrap; }
table.compact thead th { white-space: normal; }
table.metrics { min-width: 38rem; font-size: .86rem; }
table.metrics td small { white-space: nowrap; }
table.classes { font-size: .86rem; }
table.classes th, table.classes td { padding: .2rem .55rem; white-space: nowrap; }
table.classes th:first-child { padding-left: 0; }
table.classes .start { padding-left: 1.6rem; }
table.classes th[colspan] { text-align: center; padding-left: 1.6rem; border-bottom-width: 2px; }
table.classes thead tr:first-child td { border-bottom-color: transparent; }
table.classes tfoot > tr > * { border-top: 2px solid var(--line); font-weight: 600; }
.bar { background: linear-gradient(90deg, var(--bar-shade) var(--bar), transparent var(--bar)) 0 50% / 100% 76%
                   no-repeat; min-width: 5.5rem; }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .75rem 0; padding: 0 1.1rem; }
details[open] { padding-bottom: .5rem; }
summary { cursor: pointer; font: .95rem/1.5 var(--sans); padding: .65rem 0; }
summary:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.note { font: .86rem/1.5 var(--sans); color: var(--muted); margin: .3rem 0; }
.params { columns: 17rem; column-gap: 2.5rem; margin: 1.25rem 0; }
.params table { width: 100%; break-inside: avoid; margin: 0 0 1.5rem; }
.params th, .params td { padding: .22rem 0; font-weight: 400; }
.params td { overflow-wrap: anywhere; padding-left: 1rem; }
.params caption { font-family: var(--mono); font-size: .9em; padding-bottom: .25rem; }
table.readers { margin-top: .5rem; }
table.readers th, table.readers td { padding-block: .22rem; }
table.readers caption { font-family: var(--mono); font-size: .9em; }
.recipes { max-width: 46rem; }
.recipes dt { font: 500 .95rem/1.5 var(--sans); margin-top: 1.1rem; }
.recipes dd { margin: .3rem 0 0; }
.recipes dd code { display: block; padding: .55rem .8rem; overflow-x: auto; white-space: pre; border-radius: .4rem; }
.glossary dt { font: 600 .98rem/1.4 var(--sans); margin-top: .9rem; }
.glossary dd { margin: .1rem 0 0; }
footer { font: .9rem/1.5 var(--sans); color: var(--muted); margin-top: 4rem; padding-bottom: 4rem; }
@media (max-width: 40rem) {
  body { font-size: 1rem; }
  h2 { margin-top: 3rem; }
  .answer p { font-size: 1.1rem; }
  .plate { margin-inline: -1.25rem; border-radius: 0; border-inline: 0; }
}
@media print {
  :root { --paper: #fff; --raised: #fff; --ink: #000; --muted: #333; --line: #bbb; --accent: #000; --code: #f3f3f3; }
  body { font-size: 10pt; }
  nav { display: none; }
  main, header.cover, footer { max-width: none; }
  h2 { break-after: avoid; margin-top: 1.5rem; }
  figure, .tiles, tr { break-inside: avoid; }
  .plate, .scroll { overflow: visible; border: 0; padding: 0; }
  .plate svg { min-width: 0 !important; }
  table.regression { font-size: 7pt; }
  table.metrics { min-width: 0; }
}
"""

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="description" content="$description">
<link rel="icon" href="data:,">
<title>$title</title>
<style>$style</style>
</head>
<body>
$body
</body>
</html>
""")
