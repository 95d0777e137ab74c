"""The grammar of params.yaml, and that it and the file stay in step."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, get_args

import pytest

from stages import params
from stages.captcha.noise import NOISES

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def tree() -> Any:
    return copy.deepcopy(params.load(ROOT / "params.yaml"))


def test_the_committed_file_fits_the_grammar(tree: Any) -> None:
    assert params.parse(tree).seed == tree["seed"]


def test_the_grammar_knows_exactly_the_noise_types_of_the_registry() -> None:
    assert set(get_args(params.NoiseType)) == set(NOISES)


def test_every_bad_key_is_named_in_one_line(tree: Any) -> None:
    del tree["seed"]
    tree["surprise"] = 1
    tree["captcha"]["part"] = True
    tree["captcha"]["length"]["min"] = "four"
    tree["noise"]["level"] = 1.5
    tree["readers"]["noisy"]["epochs"] = 2.5
    with pytest.raises(ValueError, match=r"params\.yaml") as caught:
        params.parse(tree)
    message = str(caught.value)
    assert "\n" not in message
    for expected in ("seed: missing", "surprise: unknown", "captcha.part: expected a whole number, got True",
                     "captcha.length.min: expected a whole number, got 'four'", "noise.level: expected 0.01 to 1",
                     "readers.noisy.epochs: expected a whole number, got 2.5"):
        assert expected in message


@pytest.mark.parametrize(("section", "key", "value"), [
    ("noise", "types", ["gausian"]), ("colour", "schemes", ["blak"])])
def test_an_unknown_noise_or_colour_offers_the_list(tree: Any, section: str, key: str, value: list[str]) -> None:
    tree[section][key] = value
    with pytest.raises(ValueError, match="expected one of") as caught:
        params.parse(tree)
    known = get_args(params.NoiseType) if section == "noise" else get_args(params.Scheme)
    assert all(name in str(caught.value) for name in known)


@pytest.mark.parametrize(("path", "value", "complaint"), [
    ("captcha.gap", {"min": 5, "max": 2}, "captcha.gap: min 5 is above max 2"),
    ("captcha.length", {"min": 0, "max": 2}, "captcha.length.min: expected at least 1"),
    ("captcha.scale", {"min": 0.0, "max": 1.0}, "captcha.scale.min: expected more than 0"),
    ("captcha.fit", "wide", "captcha.fit: expected one of canvas, stretch, got 'wide'"),
    ("captcha.case", "upper", "captcha.case: expected one of keep, fold"),
    ("captcha.fold", 10, "captcha.fold: expected a text (in quotes), got 10"),
    ("captcha.fold", "0O", "captcha.fold: 'O' is not in glyphs.alphabet"),
    ("glyphs.alphabet", "0012", "glyphs.alphabet: has an entry twice"),
    ("colour.schemes", ["original"], "original is for captcha.source folder"),
    ("explain.reader", "nobody", "explain.reader: expected one of noisy, clean, dense, got 'nobody'"),
    ("explain.latent", 1, "explain.latent: expected 2 to 64, got 1"),
    ("explain.draws", 10, "explain.draws: expected 50 to 100000, got 10"),
    ("plot.reader", "nobody", "plot.reader: expected one of noisy, clean, dense"),
    ("regression.references.reader", "nobody", "regression.references.reader: expected one of"),
    ("regression.headline", "none", "regression.headline: expected one of regression.specifications (main, slopes)"),
    ("regression.by_reader", "none", "regression.by_reader: expected one of regression.specifications (main, slopes)"),
    ("regression.cluster", "image", "regression.cluster: expected one of captcha, glyph,"),
    ("regression.cluster", "glyph+glyph", "regression.cluster: expected one of captcha, glyph,"),
    ("regression.cluster", "captcha+glyph+text", "or two of them as captcha+glyph, and +run at the end"),
    ("regression.cluster", "run+captcha", "and +run at the end where training runs vary, too, got 'run+captcha'"),
    ("regression.cluster", "captcha+glyph+run", "needs two training runs of each reader at least, and noisy has one"),
    ("regression.cluster", "run", "needs two training runs of each reader at least, and clean has one"),
    ("regression.cluster", "seed", "regression.cluster: expected one of captcha, glyph,"),
    ("regression.checks", {"main": "noise"}, "regression.checks.main: this name is in regression.specifications, too"),
    ("regression.thresholds", [0.5, 0.5], "regression.thresholds: has an entry twice"),
    ("readers", {}, "readers: expected a map with at least one entry"),
    ("noise.types", [], "noise.types: expected at least 1 entries, got"),
    ("noise.unseen", "gaussian+smoke", "noise.unseen: expected some of noise.types, joined by +, and not all, got"),
    ("captcha", 3, "captcha: expected a map of parameters, got 3"),
    ("seed", None, "seed: expected a whole number, got None"),
])  # fmt: skip
def test_contradictions_are_told(tree: Any, path: str, value: object, complaint: str) -> None:
    *sections, key = path.split(".")
    branch = tree
    for section in sections:
        branch = branch[section]
    branch[key] = value
    with pytest.raises(ValueError, match=r"params\.yaml") as caught:
        params.parse(tree)
    assert complaint in str(caught.value)


def with_runs(tree: Any, reader: str, runs: int) -> None:
    for run in range(1, runs):
        tree["readers"][f"{reader}_{run + 1}"] = {**tree["readers"][reader], "seed": run}


def test_entries_alike_but_for_their_seed_are_runs_of_the_first(tree: Any) -> None:
    with_runs(tree, "clean", 3)
    assert params.runs_of(params.parse(tree).readers) == {
        "noisy": ["noisy"], "clean": ["clean", "clean_2", "clean_3"], "dense": ["dense"]}


def test_runs_may_be_clusters_where_every_reader_has_several(tree: Any) -> None:
    for reader in ("noisy", "clean", "dense"):
        with_runs(tree, reader, 2)
    for cluster in ("run", "captcha+run", "captcha+glyph+run"):
        tree["regression"]["cluster"] = cluster
        assert params.cluster_ways(params.parse(tree).regression.cluster)[-1] == "run"


def test_the_same_training_twice_and_a_run_as_reference_are_refused(tree: Any) -> None:
    with_runs(tree, "noisy", 2)
    tree["regression"]["references"]["reader"] = "noisy_2"
    tree["readers"]["again"] = dict(tree["readers"]["clean"])
    with pytest.raises(ValueError, match=r"references\.reader: 'noisy_2' is a training run of 'noisy'") as caught:
        params.parse(tree)
    assert "readers.again: is readers.clean again, seed included" in str(caught.value)


def test_a_reference_that_counts_as_another_character_is_told_before_anything_is_drawn(tree: Any) -> None:
    tree["captcha"]["fold"] = "18"
    tree["regression"]["references"]["digit"] = "1"
    params.parse(tree)
    tree["regression"]["references"]["digit"] = "8"
    with pytest.raises(ValueError, match=r"regression\.references\.digit: '8' counts as '1' by captcha\.fold"):
        params.parse(tree)


def test_validation_and_test_must_leave_something_to_train_on(tree: Any) -> None:
    tree["glyphs"].update(validation=0.4, test=0.7)
    with pytest.raises(ValueError, match="leave nothing to train on"):
        params.parse(tree)


def test_yaml_is_read_as_version_1_2(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("rate: 1e-3\nword: yes\n", encoding="utf-8")
    assert params.load(path) == {"rate": 0.001, "word": "yes"}


def test_a_file_that_is_no_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("seed: 1\nnoise: [1, 2\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"params\.yaml, line \d+: not YAML"):
        params.load(path)


def test_a_duplicate_key_is_told(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("seed: 1\nseed: 2\n", encoding="utf-8")
    with pytest.raises(ValueError, match="not YAML"):
        params.load(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is missing: run from the root"):
        params.load(tmp_path / "params.yaml")


def test_a_stage_gets_only_the_sections_it_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    selected = params.read("seed")
    assert selected.seed == params.parse(params.load(ROOT / "params.yaml")).seed
    with pytest.raises(AttributeError, match="'noise' is not declared"):
        _ = selected.noise


def test_code_of_another_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="do not install the project"):
        params.read("seed")


def test_the_file_is_in_block_style_so_that_an_experiment_changes_one_line() -> None:
    lines = (ROOT / "params.yaml").read_text(encoding="utf-8").splitlines()
    values = [line.split("#")[0].split(":", 1)[-1] for line in lines]
    assert not [value for value in values if "[" in value or "{" in value or "null" in value]


@pytest.mark.parametrize(("override", "line"), [
    ("noise.level=0.4", "  level: 0.4 "), ("seed=7", "seed: 7 "), ("captcha.gap.min=-2", "    min: -2"),
    ("readers.noisy.epochs=9", "    epochs: 9"), ("glyphs.source=mnist", "  source: mnist "),
    ("captcha.path=somewhere", "  path: somewhere "), ("captcha.fold=0O+1lI", "  fold: 0O+1lI "),
    ("plot.samples=3", "  samples: 3 "),
])  # fmt: skip
def test_an_override_changes_its_line_and_no_other(tmp_path: Path, override: str, line: str) -> None:
    """Through DVC's own code: what `dvc exp run -S` does to the file."""
    from dvc.utils.hydra import apply_overrides

    before = (ROOT / "params.yaml").read_text(encoding="utf-8").splitlines()
    path = tmp_path / "params.yaml"
    path.write_text("\n".join(before) + "\n", encoding="utf-8")
    apply_overrides(str(path), [override])
    after = path.read_text(encoding="utf-8").splitlines()
    assert len(after) == len(before)
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) == 1
    assert changed[0].startswith(line)
