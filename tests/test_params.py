"""The grammar of params.yaml, and that it and the file stay in step."""

from __future__ import annotations

import copy
import importlib.util
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from stages import params
from stages.captcha.colour import SCHEMES
from stages.captcha.noise import NOISES

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def tree() -> Any:
    return copy.deepcopy(params.load_yaml(ROOT / "params.yaml"))


def test_the_committed_file_fits_the_grammar(tree: Any) -> None:
    assert params.parse(tree).seed == tree["seed"]


def test_a_noise_is_named_in_its_registry_alone(tree: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tree["noise"]["types"].append("snow")
    with pytest.raises(
        ValueError, match=r"noise\.types\.6: expected one of gaussian, .*got 'snow'"
    ):
        params.parse(tree)
    monkeypatch.setattr("stages.captcha.noise.NOISES", {**NOISES, "snow": NOISES["fog"]})
    spec = importlib.util.spec_from_file_location("params_again", params.__file__)
    assert spec is not None
    assert spec.loader is not None
    again = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "params_again", again)
    spec.loader.exec_module(again)
    assert again.parse(tree).noise.types[-1] == "snow"


def leaves(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The values of nested maps, by their keys."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves(value, (*path, key))
    else:
        yield path, tree


def at(tree: Any, path: Iterable[str]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


LEAVES = list(leaves(params.load_yaml(ROOT / "params.yaml")))


@pytest.mark.parametrize("path", [path for path, _ in LEAVES], ids=".".join)
def test_every_line_of_the_file_is_a_parameter_and_none_is_to_spare(
    tree: Any, path: tuple[str, ...]
) -> None:
    """A key that is another is unknown, and its own is missing; names of specifications are free."""
    *sections, key = path
    branch = at(tree, sections)
    branch[f"{key}_"] = branch.pop(key)
    if sections[-1:] in (["specifications"], ["checks"]):
        return
    with pytest.raises(
        ValueError, match=re.escape(f"{'.'.join(path)}_: unknown (known: ")
    ) as caught:
        params.parse(tree)
    name = re.escape(key) if sections == ["reader_defaults"] else re.escape(".".join(path))
    assert re.search(rf"{name}: missing", str(caught.value)) or sections[:1] == ["readers"]


def fields_of(kind: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, hint in get_type_hints(kind).items():
        if is_dataclass(hint):
            yield from fields_of(hint, (*path, name))
        else:
            yield (*path, name)


def test_every_field_of_the_grammar_is_in_the_file(tree: Any) -> None:
    for path in fields_of(params.Params):
        at(tree, path)
    named = set(tree["reader_defaults"]).union(*tree["readers"].values())
    assert named == {name for (name,) in fields_of(params.ReaderParams)}


@pytest.mark.parametrize(("path", "value"), LEAVES, ids=[".".join(path) for path, _ in LEAVES])
def test_a_value_of_another_type_is_refused(
    tree: Any, path: tuple[str, ...], value: object
) -> None:
    """Types are strict: true and 4.0 are no whole numbers, 4 is no text, "4" is no number."""
    *sections, key = path
    others: list[object] = (
        [None, [value], {"a": value}] if not isinstance(value, list) else [None, value[0]]
    )
    match value:
        case bool():
            others += [1, "true"]
        case int():
            others += [True, float(value), str(value)]
        case float():
            others += [True, str(value), float("nan"), float("inf")]
        case str():
            others += [4, True]
    for other in others:
        at(tree, sections)[key] = other
        with pytest.raises(ValueError, match=re.escape(f"{'.'.join(path)}: expected ")):
            params.parse(tree)


def test_every_bad_key_is_named_in_one_line(tree: Any) -> None:
    del tree["seed"]
    tree["surprise"] = 1
    tree["captcha"]["captchas_per_part"] = True
    tree["captcha"]["length"]["min"] = "four"
    tree["noise"]["level"] = 1.5
    tree["readers"]["noisy"]["epochs"] = 2.5
    with pytest.raises(ValueError, match=r"params\.yaml") as caught:
        params.parse(tree)
    message = str(caught.value)
    assert "\n" not in message
    for expected in (
        "seed: missing",
        "surprise: unknown",
        "captcha.captchas_per_part: expected a whole number, got True",
        "captcha.length.min: expected a whole number, got 'four'",
        "noise.level: expected 0.01 to 1",
        "readers.noisy.epochs: expected a whole number, got 2.5",
    ):
        assert expected in message


@pytest.mark.parametrize(
    ("section", "key", "value"), [("noise", "types", ["gausian"]), ("colour", "schemes", ["blak"])]
)
def test_an_unknown_noise_or_colour_offers_the_list(
    tree: Any, section: str, key: str, value: list[str]
) -> None:
    tree[section][key] = value
    with pytest.raises(ValueError, match="expected one of") as caught:
        params.parse(tree)
    known = NOISES if section == "noise" else SCHEMES
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


@pytest.mark.parametrize(("changes", "complaint"), [
    ({"reader_defaults.batch": 0}, "reader_defaults.batch: expected at least 1, got 0"),
    ({"reader_defaults.epoch": 3}, "reader_defaults.epoch: unknown (known: architecture, train_on, init,"),
    ({"reader_defaults.fresh": "yes"}, "reader_defaults.fresh: expected true or false, got 'yes'"),
    ({"reader_defaults.augment": 9, "readers.dense.augment": 8},
     "reader_defaults.augment: expected 0 to 3, got 9; readers.dense.augment: expected 0 to 3, got 8"),
    ({"reader_defaults.seed": -1}, "reader_defaults.seed: expected 0 to 1000, got -1"),  # though entries have their own
    ({"reader_defaults": 3}, "reader_defaults: expected a map with at least one entry, got 3"),
    ({"reader_defaults.init": "pretrained/none"},
     "reader_defaults.init: not shared: name it in each entry of readers"),  # DVC would not find item.init
    ({"readers.dense": 3}, "readers.dense: expected a map of parameters, got 3"),
    ({"readers": None}, "readers: expected a map with at least one entry, got None"),
])  # fmt: skip
def test_a_bad_default_is_told_where_it_stands_and_once(
    tree: Any, changes: dict[str, object], complaint: str
) -> None:
    for path, value in changes.items():
        *sections, key = path.split(".")
        at(tree, sections)[key] = value
    with pytest.raises(ValueError, match=r"params\.yaml") as caught:
        params.parse(tree)
    assert str(caught.value).startswith(f"params.yaml: {complaint}")
    assert len(str(caught.value).split("; ")) == len(changes)


def test_an_item_of_a_list_that_is_wrong_is_the_one_complaint(tree: Any) -> None:
    tree["explain"]["parts"] = ["nonsense"]
    with pytest.raises(
        ValueError, match=r"explain\.parts\.0: expected one of [^;]*, got 'nonsense'$"
    ):
        params.parse(tree)


def test_a_key_that_neither_the_entry_nor_the_defaults_have_is_missing(tree: Any) -> None:
    del tree["reader_defaults"]["batch"]
    with pytest.raises(
        ValueError, match=r"readers\.noisy\.batch: missing; readers\.clean\.batch: missing"
    ):
        params.parse(tree)
    for entry in tree["readers"].values():
        entry["batch"] = 7
    assert {reader.batch for reader in params.parse(tree).readers.values()} == {7}


def test_readers_are_their_entries_over_the_defaults(tree: Any) -> None:
    for name, reader in params.parse(tree).readers.items():
        assert asdict(reader) == {**tree["reader_defaults"], **tree["readers"][name]}


def with_runs(tree: Any, reader: str, runs: int) -> None:
    for run in range(1, runs):
        tree["readers"][f"{reader}_{run + 1}"] = {**tree["readers"][reader], "seed": run}


def test_entries_alike_but_for_their_seed_are_runs_of_the_first(tree: Any) -> None:
    with_runs(tree, "clean", 3)
    assert params.runs_of(params.parse(tree).readers) == {
        "noisy": ["noisy"],
        "clean": ["clean", "clean_2", "clean_3"],
        "dense": ["dense"],
    }


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
    with pytest.raises(
        ValueError, match=r"references\.reader: 'noisy_2' is a training run of 'noisy'"
    ) as caught:
        params.parse(tree)
    assert "readers.again: is readers.clean again, seed included" in str(caught.value)


def test_a_reference_that_counts_as_another_character_is_told_before_anything_is_drawn(
    tree: Any,
) -> None:
    tree["captcha"]["fold"] = "18"
    tree["regression"]["references"]["digit"] = "1"
    params.parse(tree)
    tree["regression"]["references"]["digit"] = "8"
    with pytest.raises(
        ValueError, match=r"regression\.references\.digit: '8' counts as '1' by captcha\.fold"
    ):
        params.parse(tree)


def test_validation_and_test_must_leave_something_to_train_on(tree: Any) -> None:
    tree["glyphs"].update(validation=0.4, test=0.7)
    with pytest.raises(ValueError, match="leave nothing to train on"):
        params.parse(tree)


def test_yaml_is_read_as_version_1_2(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("rate: 1e-3\nword: yes\n", encoding="utf-8")
    assert params.load_yaml(path) == {"rate": 0.001, "word": "yes"}


def test_a_file_that_is_no_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("seed: 1\nnoise: [1, 2\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"params\.yaml, line \d+: not YAML"):
        params.load_yaml(path)


def test_a_duplicate_key_is_told(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("seed: 1\nseed: 2\n", encoding="utf-8")
    with pytest.raises(ValueError, match="not YAML"):
        params.load_yaml(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is missing: run from the root"):
        params.load_yaml(tmp_path / "params.yaml")


def test_a_stage_gets_only_the_sections_it_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    selected = params.read("seed")
    assert selected.seed == params.parse(params.load_yaml(ROOT / "params.yaml")).seed
    with pytest.raises(AttributeError, match="'noise' is not declared"):
        _ = selected.noise
    with pytest.raises(AttributeError, match="'reader_defaults' is not declared"):
        _ = params.read("readers").readers
    assert "noisy" in params.read("readers", "reader_defaults").readers


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
    ("plot.samples=3", "  samples: 3 "), ("reader_defaults.batch=32", "  batch: 32"),
])  # fmt: skip
def test_an_override_changes_its_line_and_no_other(
    tmp_path: Path, override: str, line: str
) -> None:
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


def test_a_key_that_an_entry_does_not_name_is_added_with_a_plus(tmp_path: Path) -> None:
    from dvc.exceptions import InvalidArgumentError
    from dvc.utils.hydra import apply_overrides

    path = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", path)
    with pytest.raises(InvalidArgumentError) as caught:
        apply_overrides(str(path), ["readers.noisy.batch=32"])
    assert "use +readers.noisy.batch=32" in str(caught.value.__cause__)
    apply_overrides(str(path), ["+readers.noisy.batch=32"])
    assert [reader.batch for reader in params.parse(params.load_yaml(path)).readers.values()] == [
        32,
        64,
        64,
    ]
