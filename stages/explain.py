"""Explain one reader, one part at a time.

    saliency      maps of the pixels that raise the probability of a character, and whether they are faithful
    reader_space  where the classes lie in the features of the reader's last layer but one, clean and noisy
    characters    which characters are robust, what is confused, which combinations are read best and worst
    autoencoders  where the classes lie in latent spaces of single glyphs, clean and noisy
    unseen        whether models notice a class of glyphs that they have never seen

Reads   data/captchas/{validation,test}, data/readers/<explain.reader>, data/predictions/<explain.reader>.parquet, and
        the glyph source where captchas are composed: each part what it needs
Writes  data/explain/<part> (note.json, arrays.npz), plots/explain/<part> (*.csv, summary.json); see schemas/explain.py
Params  seed, glyphs, captcha.source, regression.confidence, explain

`python -m stages.explain <part>`. What this study cannot have (a reader without a network, captchas that were found) is
left out, and note.json says why.
"""

from __future__ import annotations

import sys
import time

from stages import artifacts
from stages.command import progress, run
from stages.explanations.inputs import Inputs
from stages.explanations.part_findings import Findings
from stages.params import read
from stages.schemas.explain import PARTS, PartNote


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1] not in PARTS:
        raise ValueError(
            f"python -m stages.explain takes one part, {', '.join(PARTS)}, got "
            f"{' '.join(sys.argv[1:])!r}"
        )
    explain_part(sys.argv[1], Inputs(read("seed", "glyphs", "captcha", "regression", "explain")))


def explain_part(part: str, inputs: Inputs) -> None:
    started = time.monotonic()
    found = findings_of(part, inputs)
    write_part(part, found)
    progress(f"{part}: {found.note or f'{time.monotonic() - started:.1f} s'}")


def findings_of(part: str, inputs: Inputs) -> Findings:
    """What a part finds. Its module alone is imported: `characters` needs no torch, which takes seconds."""
    match part:
        case "saliency":
            from stages.explanations.reader_saliency import findings
        case "reader_space":
            from stages.explanations.reader_space import findings
        case "characters":
            from stages.explanations.character_tables import findings
        case "autoencoders":
            from stages.explanations.latent_spaces import findings
        case "unseen":
            from stages.explanations.unseen_classes import findings
        case _:
            raise ValueError(f"explain: expected one of {', '.join(PARTS)}, got {part!r}")
    return findings(inputs)


def write_part(part: str, found: Findings) -> None:
    """The tables, the arrays, the note and the summary of a part. What an earlier run left and this one lacks goes."""
    plots = artifacts.PLOTS / "explain" / part
    data = artifacts.EXPLAIN / part
    for path in (*plots.glob("*.csv"), *data.glob("*.npz")):
        path.unlink()
    for name, table in found.tables.items():
        artifacts.write_table(plots / f"{name}.csv", PARTS[part][name], table)
    if found.arrays is not None:
        artifacts.write_arrays(data / "arrays.npz", found.arrays)
    artifacts.write_record(data / "note.json", PartNote(found.note))
    artifacts.write_metrics(plots / "summary.json", {**found.numbers, **found.provenance})


if __name__ == "__main__":
    run(main)
