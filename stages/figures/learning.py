"""How the readers learned: loss and validation accuracy by epoch."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from stages.figures.numbers import highest, percent
from stages.figures.style import WIDTH, key_above, line_style, percent_axis, styled
from stages.schemas.figures import Learning

LOSSES = {Learning.train_loss: "training", Learning.validation_loss: "validation"}
ACCURACIES = {Learning.validation_character_accuracy: "validation characters read",
              Learning.validation_exact_match: "validation captchas read whole"}  # fmt: skip


@styled
def draw_learning(table: pd.DataFrame) -> Figure:
    """Four panels, one line per reader; `table` is Learning."""
    figure = Figure((WIDTH, 4.4))
    panels = figure.subplots(2, 2, sharex=True).ravel()
    for panel, column in zip(panels, [*LOSSES, *ACCURACIES], strict=True):
        for index, (reader, epochs) in enumerate(table.groupby(Learning.reader, sort=False)):
            panel.plot(epochs[Learning.epoch], epochs[column], label=reader, **line_style(index))
        panel.tick_params(labelbottom=True)
        if column in ACCURACIES:
            panel.set_title(ACCURACIES[column])
            percent_axis(panel)
        else:
            panel.set_title(f"{LOSSES[column]} loss")
            panel.set_ylim(0)
    last = int(table[Learning.epoch].max())
    panels[0].set_xticks(range(1, last + 1, -(-last // 12)))
    figure.supxlabel("epoch", fontsize=8.5)
    key_above(figure, panels[0], 5)
    return figure


def about_learning(table: pd.DataFrame) -> str:
    if table.empty:
        return "No reader learned anything here."
    sentences = []
    for reader, epochs in table.groupby(Learning.reader, sort=False):
        best = highest(epochs, Learning.validation_exact_match)
        whole = percent(best[Learning.validation_exact_match])
        sentences.append(f"`{reader}` {whole} (epoch {best[Learning.epoch]} of {len(epochs)})")
    return "Validation captchas read whole at best: " + ", ".join(sentences) + "."
