"""The explain stage, whole, on small synthetic studies: readers that have learned nothing, and made-up predictions."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic_study import HEIGHT, WIDTH, write_study

from stages import artifacts, explain
from stages.command import run
from stages.figures.study import parse_table
from stages.insight.saliency_sample import Renderings
from stages.plot import draw_explained, read_explained
from stages.reader import classical
from stages.reader_files import Description, write_reader

ALWAYS = {"class_levels", "class_places", "class_ranking", "class_thresholds", "confusion_levels", "confusion_matrices",
          "confusion_tests", "pairs", "repeated", "saliency", "saliency_curves", "spreads", "texts"}
OF_NETWORKS = {"saliency_randomised", "separation_reader", "plane_reader"}
OF_GLYPHS = {"anomaly", "losses", "plane_vae", "plane_vae_classified", "separation_vae", "separation_vae_classified"}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A composed study of digits, explained."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        write_study(folder, patch, readers=["noisy"], captchas=24)
    return folder


def tables(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "plots/explain").glob("*.csv")}


def written(folder: Path) -> dict[str, bytes]:
    files = [*(folder / "plots/explain").iterdir(), *(folder / "data/explain").iterdir()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def drawn(folder: Path) -> dict[str, tuple[bool, str]]:
    """By figure whether there is one, and what it says."""
    from stages.params import read

    explained = read_explained(read("explain", "regression", "noise"), "0123456789")
    assert folder == Path.cwd()
    return {one.name: (one.svg is not None, one.finding) for one in draw_explained(explained) if one.finding}


def test_all_parts_are_written_and_nothing_is_left_out(study: Path) -> None:
    assert tables(study) == ALWAYS | OF_NETWORKS | OF_GLYPHS
    assert json.loads((study / "data/explain/notes.json").read_text()) == {}
    metrics = json.loads((study / "plots/explain/summary.json").read_text())
    for name in ("saliency_mass_chance", "reader_purity_clean", "vae_purity_clean", "class_best", "confusions_seen",
                 "anomaly_auroc_ink", "left_spread"):
        assert metrics[name] >= 0


def test_explaining_again_gives_the_same_bytes_and_removes_what_is_left_over(study: Path,
                                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    before = written(study)
    artifacts.write_text(study / "plots/explain/of_an_earlier_run.csv", "a\n")
    monkeypatch.chdir(study)
    monkeypatch.setattr("stages.params.refuse_foreign_code", lambda: None)
    explain.main()
    assert written(study) == before


def test_the_accuracy_of_a_class_is_that_of_the_predictions(study: Path) -> None:
    text = (study / "plots/explain/class_levels.csv").read_text(encoding="utf-8")
    levels = parse_table("class_levels", text)
    rows = artifacts.read_predictions("noisy", root=study / artifacts.PREDICTIONS).to_pandas()
    for row in levels[levels["noise"] != "all"].to_dict("records"):
        cell = rows[(rows["truth"] == row["character"]) & (rows["level"] == row["level"])]
        cell = cell if row["level"] == 0 else cell[cell["noise"] == row["noise"]]
        assert row["accuracy"] == pytest.approx(cell["success"].mean(), rel=1e-5)


def test_the_grid_shows_the_first_captcha_under_every_condition(study: Path) -> None:
    with np.load(study / "data/explain/pictures.npz") as pictures:
        grid, noises, levels = pictures["grid_images"], pictures["grid_noises"], pictures["grid_levels"]
    assert grid.shape == (2, 3, HEIGHT, WIDTH, 3)
    table = artifacts.read_captchas(artifacts.part_path("test", 0, study / artifacts.CAPTCHAS))
    rows, images = table.select(["captcha", "noise", "level"]).to_pandas(), artifacts.images_of(table)
    for i, noise in enumerate(noises):
        for j, level in enumerate(levels):
            wanted = (rows["captcha"] == 0) & (rows["level"] == level) & ((rows["noise"] == noise) | (level == 0))
            assert np.array_equal(grid[i, j], images[np.flatnonzero(wanted)[0]])


def test_a_captcha_folder_of_single_characters_is_explained_without_glyphs(tmp_path: Path,
                                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    write_study(tmp_path, monkeypatch, readers=["noisy"], captchas=45, composed=False, lengths=(1, 1))
    assert tables(tmp_path) == ALWAYS | OF_NETWORKS
    notes = json.loads((tmp_path / "data/explain/notes.json").read_text())
    assert set(notes) == {"glyph_spaces", "anomaly"}
    said = drawn(tmp_path)
    assert said["unseen"] == (False, f"Left out: {notes['anomaly']}.")
    assert "there are no glyphs" in said["separation_vae"][1]
    assert "the texts have one character each" in said["pairs"][1]


def test_a_classical_reader_gets_occlusion_only_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_study(tmp_path, monkeypatch, readers=["noisy"], captchas=24, composed=False, explained=False)
    pixels = np.random.default_rng(0).integers(0, 256, (80, HEIGHT, WIDTH, 3), dtype=np.uint8)
    labels = np.random.default_rng(1).integers(1, 11, (80, 4))
    monkeypatch.setattr(classical, "GRIDS", {"logistic": classical.GRIDS["logistic"][-1:]})
    fitted = classical.fit_classical("logistic", (pixels[:60], labels[:60]), (pixels[60:], labels[60:]),
                                     alphabet_size=10, positions=4, seed=0)
    write_reader(artifacts.READERS / "noisy", Description("logistic", "0123456789", HEIGHT, WIDTH, 4, 4),
                 fitted.module.state_dict(), {})
    explain.main()
    assert tables(tmp_path) == ALWAYS
    with np.load(tmp_path / "data/explain/pictures.npz") as pictures:
        assert str(pictures["grid_method"]) == "occlusion"
    notes = json.loads((tmp_path / "data/explain/notes.json").read_text())
    assert notes["reader_space"].startswith("logistic is no network")
    assert "masking only" in drawn(tmp_path)["saliency"][1]


def test_a_missing_reader_is_one_line(study: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(study)
    monkeypatch.setattr("stages.params.refuse_foreign_code", lambda: None)
    monkeypatch.setattr(artifacts, "READERS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["explain"])
    with pytest.raises(SystemExit):
        run(explain.main)
    assert capsys.readouterr().err.count("\n") == 1


def test_captchas_longer_than_the_reader_can_say_are_passed_over(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(study)
    short = Description("heads", "0123456789", HEIGHT, WIDTH, 4, 3)
    with pytest.raises(ValueError, match=r"no text has at most 3 characters.*explain another reader"):
        explain.load_renderings("test", 5, short, "noisy")


@pytest.mark.parametrize(("count", "most", "expected"), [(4, 2, [1, 3]), (4, 1, [3]), (3, 4, [0, 1, 2]),
                                                         (10, 4, [1, 4, 6, 9])])
def test_some_are_evenly_spread_and_hold_the_last(count: int, most: int, expected: list[int]) -> None:
    assert explain.some(np.arange(count), most).tolist() == expected


def test_a_character_that_looks_like_a_number_or_like_nothing_stays_a_text() -> None:
    frame = pd.DataFrame({"character": ["1", "NA"], "level": [np.inf, np.nan], "note": ["", "none, was shown"]})
    again = parse_table("class_thresholds", frame.to_csv(index=False))
    pd.testing.assert_frame_equal(again, frame)
    assert io.StringIO(again.to_csv(index=False)).read() == frame.to_csv(index=False)


def test_renderings_joined_are_their_rows_in_order() -> None:
    rng = np.random.default_rng(0)
    whole = Renderings(rng.integers(0, 256, (5, 4, 6, 3), dtype=np.uint8), list("abcde"), np.arange(5),
                       np.array(["none"] * 5), np.linspace(0, 1, 5))
    kept = np.array([True, False, False, True, True])
    again = Renderings.joined([whole.rows(kept), whole.rows(~kept)])
    assert again.texts == ["a", "d", "e", "b", "c"]
    assert np.array_equal(again.images, whole.images[[0, 3, 4, 1, 2]])


