"""What each figure shows in this run, in a sentence under it; the tables are those of the figures' own modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from stages.figures.coefficients import TERMS
from stages.figures.confusion import MISSED
from stages.figures.findings import between, halves, highest, lowest, percent, quoted, signed
from stages.figures.style import words


def about_levels(levels: pd.DataFrame, reader: str, measure: str) -> str:
    """The range of one reader at the strongest level; `measure` is a column of the levels."""
    rows = levels[levels["reader"] == reader]
    if rows.empty:
        return "No noise was tested."
    strongest = rows[rows["level"] == rows["level"].max()]
    low, high = lowest(strongest, measure), highest(strongest, measure)
    clean = rows[rows["level"] == 0][measure].iloc[0]
    what = "captchas whole" if measure == "exact_match" else "characters"
    said = f"Without noise `{reader}` reads {percent(clean)} of the {what}; at level {low['level']:g} "
    if len(strongest) == 1:
        return said + f"of {words(low['noise'])}, {percent(low[measure])}."
    return (said + f"between {percent(low[measure])} ({words(low['noise'])}) and {percent(high[measure])} "
            f"({words(high['noise'])}).")


def about_halves(levels: pd.DataFrame, reader: str) -> str:
    """At which level each noise type brings the reader below one half."""
    fallen, strongest = halves(levels, reader), levels["level"].max()
    if fallen and fallen[0][0] == 0:
        return f"`{reader}` reads fewer than half of the captchas whole even without noise."
    if not fallen:
        return f"No noise brings `{reader}` below one half of the captchas, up to level {strongest:g}."
    told = ", ".join(f"{words(noise)} {half:.2f}" for half, noise in fallen)
    rest = levels["noise"].nunique() - len(fallen)
    return (f"`{reader}` falls below one half at these levels: {told}"
            + (f"; {rest} of {rest + len(fallen)} noise types never bring it there." if rest else "."))


def about_breakdown(tables: Sequence[tuple[str, pd.DataFrame]], reader: str) -> str:
    said = []
    for factor, table in tables:
        rows = table[table["reader"] == reader]
        if len(rows) > 1:
            low, high = lowest(rows, "accuracy"), highest(rows, "accuracy")
            said.append(f"by {factor} from {percent(low['accuracy'])} ({words(str(low[factor]))}) to "
                        f"{percent(high['accuracy'])} ({words(str(high[factor]))})")
    return (f"Over all conditions the accuracy of `{reader}` runs " + ", and ".join(said) + "." if said
            else "There is one character and one colour in this run.")


def about_confusion(cells: pd.DataFrame, reader: str) -> str:
    rows = cells[cells["reader"] == reader]
    wrong = rows[(rows["actual"] != rows["predicted"]) & (rows["predicted"] != MISSED)]
    missed = rows.loc[rows["predicted"] == MISSED, "count"].sum() / rows["count"].sum()
    if wrong.empty:
        return f"`{reader}` took no character for another; it missed {percent(missed)} of them."
    most = highest(wrong, "share")
    return (f"The commonest mistake of `{reader}` is to read {quoted(most['actual'])} as "
            f"{quoted(most['predicted'])} ({percent(most['share'])} of them); it misses {percent(missed)} of all "
            "characters.")


def about_slopes(slopes: pd.DataFrame, confidence: float) -> str:
    said = []
    for reader, rows in slopes.groupby("reader", sort=False):
        worst = lowest(rows, "points")
        said.append(f"`{reader}`: {words(worst['noise'])}, {signed(worst['points'])} points "
                    f"{between(worst['low'], worst['high'], confidence)}")
    return "The steepest slope of each reader. " + "; ".join(said) + "." if said else "No slope could be told."


def about_effects(effects: pd.DataFrame, references: Mapping[str, str], confidence: float) -> str:
    said = []
    for term, rows in effects.groupby("term", sort=False):
        most = highest(rows.assign(size=rows["points"].abs()), "size")
        said.append(f"{TERMS[str(term)]} {words(most['category'])} beside {words(references[str(term)])}, "
                    f"{signed(most['points'], '+.1f')} points {between(most['low'], most['high'], confidence)}")
    return "The largest of each: " + "; ".join(said) + "." if said else "No effect could be told."


def about_learning(table: pd.DataFrame) -> str:
    if table.empty:
        return "No reader learned anything here."
    said = []
    for reader, epochs in table.groupby("reader", sort=False):
        best = highest(epochs, "validation_exact_match")
        said.append(f"`{reader}` {percent(best['validation_exact_match'])} (epoch {best['epoch']} of {len(epochs)})")
    return "Validation captchas read whole at best: " + ", ".join(said) + "."


def about_glyphs(glyphs: pd.DataFrame) -> str:
    """`glyphs` has label, train, validation and test."""
    rarest, commonest = glyphs["train"].min(), glyphs["train"].max()
    number = f"{rarest:,}" if rarest == commonest else f"between {rarest:,} and {commonest:,}"
    return f"Each character has {number} glyphs to train on."


def about_counts(counts: pd.DataFrame) -> str:
    said = []
    for split, rows in counts.groupby("split", sort=False):
        rarest, commonest = rows["count"].min(), rows["count"].max()
        often = f"{rarest:,}" if rarest == commonest else f"between {rarest:,} and {commonest:,}"
        said.append(f"{often} times in {split}")
    return f"Each character stands at each position {' and '.join(said)}."


def about_pixels(pixels: pd.DataFrame) -> str:
    strongest = pixels[pixels["level"] == pixels["level"].max()]
    low, high = lowest(strongest, "rmse"), highest(strongest, "rmse")
    return (f"At level {low['level']:g} the luma changes by {low['rmse']:.2f} ({words(low['noise'])}) to "
            f"{high['rmse']:.2f} ({words(high['noise'])}) of full scale, root mean square.")


def about_associations(table: pd.DataFrame, designed: Sequence[str]) -> str:
    """The strongest association between two factors that the design sets apart."""
    pairs = table[table["a"].isin(list(designed)) & table["b"].isin(list(designed)) & (table["a"] < table["b"])]
    if pairs.empty:
        return "Only one factor varies in this run."
    most = highest(pairs, "strength")
    verdict = "as good as independent" if most["strength"] < 0.1 else "not independent, so read their effects together"
    return (f"Between the factors that the design sets apart ({', '.join(words(name) for name in designed)}) the "
            f"strongest association is {most['strength']:.2f} ({words(most['a'])} and {words(most['b'])}): {verdict}.")
