"""Fitting: it learns, stops early, keeps the best, and goes on from any epoch to the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import OURS
from drawn_captchas import DrawnPart, drawn_part
from torch import nn

from stages.reader.architectures import OPTIMISERS
from stages.reader.fitting import (
    Epoch,
    FittedNetwork,
    Schedule,
    TrainingState,
    finished,
    fit,
    validate,
)
from stages.reader.networks import Network, build_network, initialise
from stages.reader.optimisers import decayed

CPU = torch.device("cpu")
QUICK = Schedule(
    epochs=3, patience=3, batch=16, learning_rate=0.01, weight_decay=0.01, precision="fp32", seed=1
)
PARTS = [drawn_part(30, 1), drawn_part(25, 2)]
VALIDATION = [drawn_part(20, 3), drawn_part(9, 4)]


def network_of(architecture: str, positions: int = 3) -> Network:
    network = build_network(
        architecture, alphabet_size=4, height=32, width=72, channels=8, positions=positions
    )
    return initialise(network, generator=torch.Generator().manual_seed(1))


def fit_quickly(
    architecture: str,
    schedule: Schedule = QUICK,
    state: TrainingState | None = None,
    kept: list[bytes] | None = None,
) -> FittedNetwork:
    return fit(
        network_of(architecture),
        PARTS,
        VALIDATION,
        schedule,
        device=CPU,
        state=state,
        on_epoch=lambda state: kept.append(state.to_bytes()) if kept is not None else None,
    )


def same(first: FittedNetwork, second: FittedNetwork) -> bool:
    return first.history == second.history and all(
        torch.equal(first.weights[name], second.weights[name]) for name in first.weights
    )


@pytest.mark.parametrize("architecture", OURS)
def test_a_reader_learns_to_read(architecture: str) -> None:
    train = [drawn_part(250, seed) for seed in (1, 2)]
    schedule = replace(QUICK, epochs=8, patience=8)
    fitted = fit(network_of(architecture), train, [drawn_part(100, 3)], schedule, device=CPU)
    least = {"ctc": 0.97, "compact": 0.97, "heads": 0.75, "dense": 0.45}
    assert fitted.best.validation_character_accuracy > least.get(architecture, 0.2)
    assert fitted.history[-1].train_loss < fitted.history[0].train_loss / 2


@pytest.mark.parametrize("architecture", OURS)
@pytest.mark.parametrize(
    ("precision", "optimiser"), [("fp32", "adamw"), ("bf16", "adamw"), ("fp32", "muon")]
)
def test_fitting_taken_up_after_any_epoch_ends_with_the_same_weights(
    architecture: str, precision: str, optimiser: str
) -> None:
    kept: list[bytes] = []
    schedule = replace(QUICK, precision=precision, optimiser=optimiser)
    whole = fit_quickly(architecture, schedule, kept=kept)
    assert len(kept) == 3
    for content in kept:
        torch.manual_seed(len(content))  # nothing may depend on the global generator
        assert same(fit_quickly(architecture, schedule, TrainingState.from_bytes(content)), whole)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_later_epochs_learn_from_fresh_captchas_where_there_are_some(optimiser: str) -> None:
    asked: list[int] = []

    def fresh(epoch: int) -> list[DrawnPart]:
        asked.append(epoch)
        return [drawn_part(30, 10 * epoch), drawn_part(25, 10 * epoch + 1)]

    schedule = replace(QUICK, optimiser=optimiser)
    kept: list[bytes] = []
    fitted = fit(
        network_of("ctc"),
        PARTS,
        VALIDATION,
        schedule,
        device=CPU,
        fresh=fresh,
        on_epoch=lambda state: kept.append(state.to_bytes()),
    )
    assert asked == [2, 3]
    assert same(
        fitted,
        fit(
            network_of("ctc"),
            PARTS,
            VALIDATION,
            schedule,
            device=CPU,
            fresh=fresh,
            state=TrainingState.from_bytes(kept[1]),
        ),
    )
    assert asked == [2, 3, 3]
    assert fitted.history[0] == fit_quickly("ctc", schedule).history[0]
    assert not same(fitted, fit_quickly("ctc", schedule))


def test_the_states_kept_are_the_same_bytes_each_time() -> None:
    first: list[bytes] = []
    second: list[bytes] = []
    fit_quickly("ctc", kept=first)
    fit_quickly("ctc", state=TrainingState.from_bytes(first[0]), kept=second)
    assert second == first[1:]


def test_another_seed_learns_in_another_order() -> None:
    assert not same(fit_quickly("ctc"), fit_quickly("ctc", replace(QUICK, seed=2)))


def fit_pairs(
    architecture: str,
    augment: float,
    state: TrainingState | None = None,
    kept: list[bytes] | None = None,
) -> FittedNetwork:
    """Fit to the first two characters of each text."""
    parts = [DrawnPart(part.images(), part.labels[:, :2]) for part in PARTS]
    return fit(
        network_of(architecture, positions=2),
        parts,
        parts,
        replace(QUICK, augment=augment),
        device=CPU,
        state=state,
        on_epoch=lambda state: kept.append(state.to_bytes()) if kept is not None else None,
    )


@pytest.mark.parametrize("architecture", ["kaggle", "essmaw_dense", "ctc"])
def test_dropout_and_bending_are_taken_up_again_as_they_would_have_gone_on(
    architecture: str,
) -> None:
    kept: list[bytes] = []
    whole = fit_pairs(architecture, 1.0, kept=kept)
    assert same(whole, fit_pairs(architecture, 1.0, TrainingState.from_bytes(kept[0])))
    assert not same(whole, fit_pairs(architecture, 0.0))


def test_a_network_that_knows_no_empty_position_is_refused_texts_of_several_lengths() -> None:
    with pytest.raises(
        ValueError, match="train: texts differ in length, but this network knows no empty position"
    ):
        fit_quickly("kaggle")


def epochs_of(matches: Sequence[float], losses: Sequence[float] | None = None) -> list[Epoch]:
    return [
        Epoch(i, 1.0, loss, 0.5, match)
        for i, (match, loss) in enumerate(
            zip(matches, losses or [1.0] * len(matches), strict=True), 1
        )
    ]


@pytest.mark.parametrize(
    ("matches", "done"),
    [
        ([], False),
        ([0.5], False),
        ([0.5, 0.4], False),
        ([0.5, 0.4, 0.5], True),
        ([0.5, 0.4, 0.6], False),
        ([0.1, 0.2, 0.3, 0.4, 0.5], True),
    ],
)
def test_it_stops_after_the_last_epoch_or_when_patience_ends(
    matches: list[float], done: bool
) -> None:
    assert finished(epochs_of(matches), replace(QUICK, epochs=5, patience=2)) is done


def test_a_falling_loss_is_progress_while_no_captcha_is_read_whole() -> None:
    assert not finished(epochs_of([0, 0, 0], [3, 2, 1]), replace(QUICK, epochs=5, patience=1))
    assert finished(epochs_of([0, 0], [2, 3]), replace(QUICK, epochs=5, patience=1))


def test_the_weights_of_the_best_epoch_are_kept() -> None:
    state = TrainingState()
    weights = [{"w": torch.tensor([float(i)])} for i in range(4)]
    for epoch, weight in zip(epochs_of([0.2, 0.6, 0.6, 0.1]), weights, strict=True):
        state.add(epoch, weight, [])
    assert state.best is weights[1]
    assert state.weights is weights[3]
    assert FittedNetwork(state.best, state.history).best.epoch == 2


def test_only_weights_decay() -> None:
    network = network_of("ctc")
    groups = decayed(network.parameters(), 0.3)
    assert [group["weight_decay"] for group in groups] == [0.3, 0.0]
    assert all(p.ndim > 1 for p in groups[0]["params"])
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))


class Fixed(Network):
    """Says the same text to every image."""

    def __init__(self, classes: Sequence[int]) -> None:
        super().__init__()
        self.positions = len(classes)
        self.rows = 9 * nn.functional.one_hot(torch.tensor(classes), 5).float()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.rows.expand(len(images), -1, -1)


def test_validation_scores_by_alignment_over_all_parts() -> None:
    labels = [np.array([[1, 2, 3], [1, 3, 0]]), np.array([[1, 2], [4, 4], [1, 0]])]
    parts = [DrawnPart(np.zeros((len(rows), 32, 72, 3), np.uint8), rows) for rows in labels]
    _, characters, whole = validate(Fixed([1, 2, 0]), parts, "fp32", CPU)  # reads "12" everywhere
    assert whole == pytest.approx(1 / 5)
    assert characters == pytest.approx(
        (2 + 1 + 2 + 0 + 1) / 10
    )  # 123: 1, 2; 13: 1; 12: both; 44: none; 1: 1


def test_progress_is_told_in_one_line_an_epoch() -> None:
    lines: list[str] = []
    fit(network_of("dense"), PARTS, VALIDATION, QUICK, device=CPU, report=lines.append)
    assert len(lines) == 3
    assert lines[0].startswith("epoch 1/3, loss ")
    assert all(
        word in lines[0] for word in ("validation: loss", "characters", "whole captchas", "s left")
    )


def test_a_split_with_nothing_in_it_is_refused() -> None:
    empty = DrawnPart(np.zeros((0, 32, 72, 3), np.uint8), np.zeros((0, 0), np.int64))
    with pytest.raises(ValueError, match="train: no captchas to learn from"):
        fit(network_of("ctc"), [empty], VALIDATION, QUICK, device=CPU)
    with pytest.raises(ValueError, match="validation: no captchas to learn from"):
        fit(network_of("ctc"), PARTS, [], QUICK, device=CPU)


def test_a_text_longer_than_the_reader_has_columns_for_is_refused() -> None:
    long = DrawnPart(np.zeros((1, 32, 72, 3), np.uint8), np.tile([[1, 1]], 6)[:, :10])
    with pytest.raises(ValueError, match="train: a text needs 19 columns but the reader has 18"):
        fit(network_of("ctc"), [*PARTS, long], VALIDATION, QUICK, device=CPU)
    with pytest.raises(
        ValueError, match="validation: a text needs 10 columns but the reader has 3"
    ):
        fit(network_of("heads"), PARTS, [long], QUICK, device=CPU)


def test_a_loss_that_is_not_finite_is_refused() -> None:
    network = network_of("dense")
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
    told = r"training diverged at step 1 of the epoch, learning rate 0\.\d+: the loss is nan"
    with pytest.raises(ValueError, match=told):
        fit(network, PARTS, VALIDATION, QUICK, device=CPU)


@pytest.mark.parametrize(
    "damage", [lambda b: b"", lambda b: b"nonsense", lambda b: b[: len(b) // 2]]
)
def test_a_damaged_state_is_refused(damage: object) -> None:
    content = TrainingState(history=epochs_of([0.1])).to_bytes()
    assert TrainingState.from_bytes(content).history == epochs_of([0.1])
    with pytest.raises(ValueError, match="the checkpoint is damaged"):
        TrainingState.from_bytes(damage(content))  # type: ignore[operator]


def test_a_state_runs_no_code_when_it_is_loaded() -> None:
    import io
    import pickle

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return print, ("run",)

    buffer = io.BytesIO()
    torch.save({"optimiser": Trap()}, buffer, pickle_module=pickle)
    with pytest.raises(ValueError, match="the checkpoint is damaged"):
        TrainingState.from_bytes(buffer.getvalue())


def test_the_deterministic_setting_is_put_back() -> None:
    fit_quickly("dense", replace(QUICK, epochs=1))
    assert not torch.are_deterministic_algorithms_enabled()
