#!/usr/bin/env python
"""Write plots/templates/offline.html, the page in which `dvc plots show` and `dvc plots diff` draw without network.

DVC's own page loads Vega from a web address. Run again after vl-convert-python changes in requirements-dev.lock.
"""

from __future__ import annotations

from pathlib import Path

import vl_convert

PATH = Path("plots/templates/offline.html")
# The menu of a plot loses "open in the Vega editor", which is a web page.
SNIPPET = (
    "window.vegaEmbed = (element, spec) => vegaEmbed(element, spec, {actions: {editor: false}});"
)
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Plots of the captcha noise study</title>
<style>
body {{ font-family: sans-serif; margin: 1.5rem; }}
table {{ border-spacing: 15px; }}
img {{ max-width: 100%; }}
</style>
<script>{bundle}</script>
</head>
<body>
{{plot_divs}}
</body>
</html>
"""


def page() -> str:
    """The template with Vega, Vega-Lite and Vega-Embed inside; DVC replaces the placeholder plot_divs."""
    return PAGE.format(bundle=vl_convert.javascript_bundle(SNIPPET))


def main() -> None:
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_text(page(), encoding="utf-8", newline="\n")
    print(f"{PATH}: {PATH.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
