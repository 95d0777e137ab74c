"""The explain stage, whole, on small synthetic studies: readers that have learned nothing, and made-up predictions."""

from __future__ import annotations

import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from synthetic_study import HEIGHT, ROOT, WIDTH, explain_all, write_study

from stages import artifacts, explain, explanations
from stages.command import run
from stages.explanations.inputs import evenly_spaced, load_renderings
from stages.insight.rendering_sample import RenderingSample
from stages.plot import draw_explained, read_explained
from stages.reader.alternatives.classical_fitting import fit_classical
from stages.reader.alternatives.classical_models import Logistic
from stages.reader_files import Description, write_reader
from stages.schemas.explain import (
    ARRAYS,
    PARTS,
    SPACES,
    ClassLevels,
    ReaderSpaceArrays,
    SaliencyArrays,
    UnseenArrays,
)

ALWAYS = {
    "class_levels",
    "class_places",
    "class_ranking",
    "class_thresholds",
    "confusion_levels",
    "confusion_matrices",
    "confusion_tests",
    "combination_effects",
    "combination_tests",
    "combinations",
    "saliency",
    "saliency_curves",
}
OF_NETWORKS = {"saliency_randomised", "separation_reader", "plane_reader"}
OF_GLYPHS = {
    "anomaly",
    "losses",
    "plane_vae",
    "plane_vae_classified",
    "separation_vae",
    "separation_vae_classified",
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A composed study of digits, explained."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        write_study(folder, patch, readers=["noisy"], captchas=24)
    return folder


def tables(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "plots/explain").glob("*/*.csv")}


def notes(folder: Path) -> dict[str, str]:
    """By part why it is left out, where it is."""
    found = {
        path.parent.name: json.loads(path.read_text())["text"]
        for path in (folder / "data/explain").glob("*/note.json")
    }
    return {part: text for part, text in found.items() if text}


def written(folder: Path) -> dict[str, bytes]:
    files = [*(folder / "plots/explain").glob("*/*"), *(folder / "data/explain").glob("*/*")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def drawn(folder: Path) -> dict[str, tuple[bool, str]]:
    """By figure whether there is one, and what it says."""
    from stages.params import read

    explained = read_explained(read("explain", "regression", "noise"), "0123456789")
    assert folder == Path.cwd()
    return {
        one.name: (one.svg is not None, one.finding)
        for one in draw_explained(explained)
        if one.finding
    }


def test_all_parts_are_written_and_nothing_is_left_out(study: Path) -> None:
    assert tables(study) == ALWAYS | OF_NETWORKS | OF_GLYPHS
    assert notes(study) == {}
    metrics = {
        name: value
        for path in (study / "plots/explain").glob("*/summary.json")
        for name, value in json.loads(path.read_text()).items()
    }
    for name in (
        "saliency_mass_chance",
        "reader_purity_clean",
        "vae_purity_clean",
        "class_best",
        "confusions_seen",
        "anomaly_auroc_ink",
        "pair_best",
    ):
        assert metrics[name] >= 0


def test_explaining_again_gives_the_same_bytes_and_removes_what_is_left_over(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = written(study)
    artifacts.write_text(study / "plots/explain/saliency/of_an_earlier_run.csv", "a\n")
    monkeypatch.chdir(study)
    monkeypatch.setattr("stages.params.refuse_foreign_code", lambda: None)
    explain_all()
    assert written(study) == before


def test_the_accuracy_of_a_class_is_that_of_the_predictions(study: Path) -> None:
    levels = artifacts.read_table(study / "plots/explain/characters/class_levels.csv", ClassLevels)
    rows = artifacts.read_predictions("noisy", root=study / artifacts.PREDICTIONS).to_pandas()
    for row in levels[levels["noise"] != "all"].to_dict("records"):
        cell = rows[(rows["truth"] == row["character"]) & (rows["level"] == row["level"])]
        cell = cell if row["level"] == 0 else cell[cell["noise"] == row["noise"]]
        assert row["accuracy"] == pytest.approx(cell["success"].mean(), rel=1e-5)


def test_the_grid_shows_the_first_captcha_under_every_condition(study: Path) -> None:
    arrays = artifacts.read_arrays(study / "data/explain/saliency/arrays.npz", SaliencyArrays)
    grid = arrays.grid_images
    noises = arrays.grid_noises
    levels = arrays.grid_levels
    assert grid.shape == (2, 3, HEIGHT, WIDTH, 3)
    table = artifacts.read_captchas(artifacts.part_path("test", 0, study / artifacts.CAPTCHAS))
    rows = table.select(["captcha", "noise", "level"]).to_pandas()
    images = artifacts.images_of(table)
    for i, noise in enumerate(noises):
        for j, level in enumerate(levels):
            wanted = (
                (rows["captcha"] == 0)
                & (rows["level"] == level)
                & ((rows["noise"] == noise) | (level == 0))
            )
            assert np.array_equal(grid[i, j], images[np.flatnonzero(wanted)[0]])


def test_a_captcha_folder_of_single_characters_is_explained_without_glyphs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_study(
        tmp_path, monkeypatch, readers=["noisy"], captchas=45, composed=False, lengths=(1, 1)
    )
    assert tables(tmp_path) == ALWAYS | OF_NETWORKS
    assert set(notes(tmp_path)) == {"autoencoders", "unseen"}
    said = drawn(tmp_path)
    assert said["unseen"] == (False, f"Left out: {notes(tmp_path)['unseen']}.")
    assert "there are no glyphs" in said["separation_vae"][1]
    assert "the texts have one character each" in said["pairs"][1]
    assert "Nothing is known of neighbours" in said["neighbours"][1]


def test_a_classical_reader_gets_occlusion_only_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_study(
        tmp_path, monkeypatch, readers=["noisy"], captchas=24, composed=False, explained=False
    )
    pixels = np.random.default_rng(0).integers(0, 256, (80, HEIGHT, WIDTH, 3), dtype=np.uint8)
    labels = np.random.default_rng(1).integers(1, 11, (80, 4))
    monkeypatch.setattr(Logistic, "GRID", Logistic.GRID[-1:])
    fitted = fit_classical(
        "logistic",
        (pixels[:60], labels[:60]),
        (pixels[60:], labels[60:]),
        alphabet_size=10,
        positions=4,
        seed=0,
    )
    write_reader(
        artifacts.READERS / "noisy",
        Description("logistic", "0123456789", HEIGHT, WIDTH, 4, 4),
        fitted.module.state_dict(),
        {},
    )
    explain_all()
    assert tables(tmp_path) == ALWAYS
    arrays = artifacts.read_arrays(tmp_path / "data/explain/saliency/arrays.npz", SaliencyArrays)
    assert arrays.grid_method == "occlusion"
    assert notes(tmp_path)["reader_space"].startswith("logistic is no network")
    assert "masking only" in drawn(tmp_path)["saliency"][1]


def test_a_missing_reader_is_one_line(
    study: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(study)
    monkeypatch.setattr("stages.params.refuse_foreign_code", lambda: None)
    monkeypatch.setattr(artifacts, "READERS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["explain", "saliency"])
    with pytest.raises(SystemExit):
        run(explain.main)
    assert capsys.readouterr().err.count("\n") == 1


def test_captchas_longer_than_the_reader_can_say_are_passed_over(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(study)
    short = Description("heads", "0123456789", HEIGHT, WIDTH, 4, 3)
    with pytest.raises(
        ValueError, match=r"no text has at most 3 characters.*explain another reader"
    ):
        load_renderings("test", 5, short, "noisy")


@pytest.mark.parametrize(
    ("count", "most", "expected"),
    [(4, 2, [1, 3]), (4, 1, [3]), (3, 4, [0, 1, 2]), (10, 4, [1, 4, 6, 9])],
)
def test_some_are_evenly_spread_and_hold_the_last(
    count: int, most: int, expected: list[int]
) -> None:
    assert evenly_spaced(np.arange(count), most).tolist() == expected


@pytest.mark.parametrize(
    "argv", [["explain"], ["explain", "everything"], ["explain", "saliency", "unseen"]]
)
def test_what_is_no_part_is_refused_with_the_parts_there_are(
    argv: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", argv)
    with pytest.raises(
        ValueError, match="takes one part, saliency, reader_space, characters, autoencoders, unseen"
    ):
        explain.main()


def test_there_are_a_module_and_a_schema_for_each_part_and_no_other() -> None:
    modules = {module.name for module in pkgutil.iter_modules(explanations.__path__)}
    assert len(modules - {"inputs", "part_findings"}) == len(PARTS)
    assert set(ARRAYS) < set(PARTS)
    assert set(SPACES.values()) < set(PARTS)


def test_the_characters_need_no_torch(study: Path) -> None:
    code = (
        "import sys; from stages import explain, params; params.refuse_foreign_code = lambda: None; "
        "sys.argv = ['explain', 'characters']; explain.main(); assert 'torch' not in sys.modules"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=study,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )


def test_a_part_that_is_not_asked_for_is_left_out_and_its_files_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(tmp_path, monkeypatch, readers=["noisy"], captchas=24)
    text = Path("params.yaml").read_text(encoding="utf-8")
    for part in ("saliency", "characters", "autoencoders", "unseen"):
        assert f"  - {part}\n" in text
        text = text.replace(f"  - {part}\n", "")
    Path("params.yaml").write_text(text, encoding="utf-8")
    capsys.readouterr()
    said = drawn(tmp_path)
    lines = [line for line in capsys.readouterr().out.splitlines() if "ignored" in line]
    assert len(lines) == 2
    assert all("autoencoders, characters, saliency, unseen" in line for line in lines)
    assert said["saliency"] == (
        False,
        "Left out: `explain.parts` in params.yaml does not name saliency.",
    )
    assert said["class_ranking"] == (
        False,
        "Left out: `explain.parts` in params.yaml does not name characters.",
    )
    assert said["separation_vae"] == (
        False,
        "Left out: `explain.parts` in params.yaml does not name autoencoders.",
    )
    assert said["unseen"] == (
        False,
        "Left out: `explain.parts` in params.yaml does not name unseen.",
    )
    assert said["separation_reader"][0]
    assert not any(there for name, (there, _) in said.items() if not name.endswith("_reader"))


def test_arrays_of_another_version_are_one_line(tmp_path: Path) -> None:
    artifacts.write_arrays(tmp_path / "arrays.npz", ReaderSpaceArrays(0.5))
    assert artifacts.read_arrays(tmp_path / "arrays.npz", ReaderSpaceArrays).plane_share == 0.5
    with pytest.raises(
        ValueError,
        match=r"arrays\.npz: expected the arrays method, label.*got plane_share.*dvc repro",
    ):
        artifacts.read_arrays(tmp_path / "arrays.npz", UnseenArrays)
    (tmp_path / "arrays.npz").write_bytes(b"PK no archive")
    with pytest.raises(ValueError, match=r"arrays\.npz is damaged"):
        artifacts.read_arrays(tmp_path / "arrays.npz", ReaderSpaceArrays)


def test_renderings_joined_are_their_rows_in_order() -> None:
    rng = np.random.default_rng(0)
    whole = RenderingSample(
        rng.integers(0, 256, (5, 4, 6, 3), dtype=np.uint8),
        list("abcde"),
        np.arange(5),
        np.array(["none"] * 5),
        np.linspace(0, 1, 5),
    )
    kept = np.array([True, False, False, True, True])
    again = RenderingSample.joined([whole.rows(kept), whole.rows(~kept)])
    assert again.texts == ["a", "d", "e", "b", "c"]
    assert np.array_equal(again.images, whole.images[[0, 3, 4, 1, 2]])
