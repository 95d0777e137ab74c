"""dvc.yaml against the code: DVC follows no imports and no parameter reads, so these tests do."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
EDGE = {
    "params",
    "grammar",
    "artifacts",
    "command",
    "drawing",
    "explanations",
    "reader_files",
    "training_data",
    "checkpoints",
    "trainers",
}
VERBS = {path.stem for path in (ROOT / "stages").glob("*.py")} - EDGE - {"__init__"}
NOUNS = {"captcha", "reader", "statistics", "insight", "figures"}


def load(name: str) -> Any:
    return YAML(typ="safe", pure=True).load((ROOT / name).read_text(encoding="utf-8"))


STAGES: dict[str, Any] = {
    name: stage.get("do", stage) for name, stage in load("dvc.yaml")["stages"].items()
}


def imported(path: Path) -> set[Path]:
    """The files of `stages` that a file imports anywhere in it, packages on the way included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            if name.split(".")[0] == "stages":
                found |= files_of(name)
    return found


def files_of(module: str) -> set[Path]:
    parts = module.split(".")
    found = {ROOT.joinpath(*parts[:i], "__init__.py") for i in range(1, len(parts) + 1)}
    found.add(ROOT.joinpath(*parts).with_suffix(".py"))
    return {path for path in found if path.is_file()}


def closure(path: Path) -> set[Path]:
    found = set()
    todo = {path, ROOT / "stages/__init__.py"}
    while todo:
        path = todo.pop()
        found.add(path)
        todo |= imported(path) - found
    return found


def code_deps(name: str) -> list[str]:
    """The deps of a stage that are code: files, and folders for all that is in them."""
    return [dep for dep in STAGES[name]["deps"] if dep.startswith("stages/")]


def needed_code(name: str) -> list[str]:
    """The import closure of a stage, without packages' files that hold a docstring only."""
    return sorted(
        str(path.relative_to(ROOT))
        for path in closure(ROOT / f"stages/{name}.py")
        if holds_code(path)
    )


def holds_code(path: Path) -> bool:
    return len(ast.parse(path.read_text(encoding="utf-8")).body) > 1


def covers(dep: str, path: str) -> bool:
    return path == dep or path.startswith(f"{dep}/")


def nearly_all_of(folder: Path, needed: list[str]) -> bool:
    modules = [str(path.relative_to(ROOT)) for path in folder.rglob("*.py") if holds_code(path)]
    return 4 * len(set(modules) & set(needed)) >= 3 * len(modules)


def folder_of(path: str) -> str:
    """stages/reader of stages/reader/alternatives/tesseract.py"""
    return "/".join(path.split("/")[:2])


def deps_to_paste(name: str) -> list[str]:
    """What `deps` should say of the code: folders and files.

    A folder is named where it is named already, or is needed nearly whole and no file of it is named.
    """
    needed = needed_code(name)
    stated = code_deps(name)
    whole = set()
    for folder in {folder_of(path) for path in needed if path.count("/") > 1}:
        named_in_parts = any(covers(folder, dep) for dep in stated)
        if folder in stated or (nearly_all_of(ROOT / folder, needed) and not named_in_parts):
            whole.add(folder)
    return sorted([*whole, *(path for path in needed if folder_of(path) not in whole)])


@pytest.mark.parametrize("name", STAGES)
def test_what_a_stage_imports_is_covered_by_its_deps_and_no_dep_is_idle(name: str) -> None:
    needed = needed_code(name)
    stated = code_deps(name)
    missing = [path for path in needed if not any(covers(dep, path) for dep in stated)]
    idle = [dep for dep in stated if not any(covers(dep, path) for path in needed)]
    listed = "\n".join(f"- {dep}" for dep in deps_to_paste(name))
    assert not missing + idle, (
        f"{name}: deps miss {missing}, and nothing imports {idle}; paste\n{listed}"
    )


@pytest.mark.parametrize("name", STAGES)
def test_no_code_is_a_dep_twice(name: str) -> None:
    stated = code_deps(name)
    assert not [dep for dep in stated for other in stated if dep != other and covers(other, dep)]
    assert len(stated) == len(set(stated))
    assert all((ROOT / dep).exists() for dep in stated)


def test_what_python_writes_beside_the_code_is_no_dep() -> None:
    """A folder of code is hashed without its __pycache__."""
    assert {"__pycache__/", "*.pyc"} <= set(
        (ROOT / ".dvcignore").read_text(encoding="utf-8").split()
    )


@pytest.mark.parametrize("name", STAGES)
def test_the_params_of_a_stage_are_those_it_reads(name: str) -> None:
    tree = ast.parse((ROOT / f"stages/{name}.py").read_text(encoding="utf-8"))
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "read"
    ]
    read = {arg.value for call in calls for arg in call.args if isinstance(arg, ast.Constant)}
    stated = {param.split(".")[0] for param in STAGES[name].get("params", [])}
    assert stated == read


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_is_a_described_module_that_replaces_its_shell(name: str) -> None:
    assert STAGES[name]["cmd"].startswith(f"exec python -m stages.{name}")
    assert STAGES[name]["desc"]


@pytest.mark.parametrize("name", STAGES)
def test_the_docstring_of_a_stage_tells_what_it_reads_writes_and_takes(name: str) -> None:
    text = (
        ast.get_docstring(ast.parse((ROOT / f"stages/{name}.py").read_text(encoding="utf-8"))) or ""
    )
    assert "Reads" in text
    assert "Writes" in text
    for param in STAGES[name].get("params", []):
        assert param.split(".")[0] in text


def modules() -> list[Path]:
    return sorted((ROOT / "stages").rglob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    """Edge and nouns, then verbs; a verb never imports a verb, a noun never the edge, captcha never reader."""
    here = path.relative_to(ROOT / "stages").with_suffix("").parts
    found = {
        other.relative_to(ROOT / "stages").with_suffix("").parts[0] for other in imported(path)
    } - {"__init__"}
    assert "lab" not in found - {here[0]}  # the page stands on the study, which knows nothing of it
    if here[0] != "lab":
        assert not (found & VERBS) - {here[0]}
    if here[0] in NOUNS:
        known = {"params"} if here[0] == "figures" else set()  # the report shows the parameters
        assert not found & ((EDGE | {"sources"}) - known)
    if here[0] == "schemas":
        assert found <= {"schemas"}
    if here[0] == "captcha":
        assert found <= {"captcha", "schemas"}
    if here[0] in ("reader", "statistics"):
        assert found <= {here[0], "captcha", "schemas"}
    if here[0] == "insight":
        assert found <= {"insight", "captcha", "reader", "statistics", "schemas"}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_file_is_empty_or_without_a_docstring(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", ["generate", "regress", "plot"])
def test_stages_without_networks_never_import_torch_at_the_top(name: str) -> None:
    for path in closure(ROOT / f"stages/{name}.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            assert not any(name.split(".")[0] in ("torch", "torchvision") for name in names), path


def test_what_git_should_show_is_not_cached_and_data_is() -> None:
    for stage in STAGES.values():
        for out in [*stage.get("outs", []), *stage.get("metrics", [])]:
            path, options = next(iter(out.items())) if isinstance(out, dict) else (out, {})
            assert options.get("cache", True) is path.startswith("data/"), path


def test_outputs_are_where_the_cwd_is_and_never_beside_the_code() -> None:
    for path in modules():
        text = path.read_text(encoding="utf-8")
        assert "parents[" not in text or path.name == "params.py", path


def test_no_lock_file_names_a_registry() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "--hash=sha256:" in text
        assert "://" not in text
        assert "--index-url" not in text
        assert "--extra-index-url" not in text


def test_both_locks_agree() -> None:
    def pins(name: str) -> set[str]:
        lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        return {line.rstrip(" \\") for line in lines if line[:1].isalpha()}

    assert pins("requirements.lock") <= pins("requirements-dev.lock")
