"""Results: what is shown is what the artifacts say, whatever they are of; what is missing or broken is one line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from lab_in_browser import ROOT
from lab_study import (
    PARAMS,
    PNG,
    SVG,
    ask,
    client,
    observations,
    refused,
    report,
    study,
    write,
    write_yaml,
)

from stages.figures.chapters.contents import CHAPTERS
from stages.figures.classification_figures import classification_table
from stages.figures.figure import Figure
from stages.lab import results
from stages.lab.report_json import marked_text
from stages.schemas.words import MISSED

__all__ = ["client", "study"]  # fixtures
Told = dict[str, Any]


def figures(overview: Told) -> dict[str, Told]:
    return {
        figure["name"]: figure
        for section in overview["sections"].values()
        for group in section["groups"]
        for figure in group["figures"]
    }


def text(spoken: list[list[str]]) -> str:
    return "".join(words for _, words in spoken)


# What is shown


def test_the_answer_is_what_the_report_says(client: TestClient, study: Path) -> None:
    answer = ask(client)["answer"]
    assert answer["answer"] == [[["strong", "Hail"], ["", " stops "], ["code", "first"], ["", "."]]]
    assert [text(doubt) for doubt in answer["doubts"]] == ["One doubt.", "Another."]


@pytest.mark.parametrize(("marked", "pieces"), [
    ("a **b** `c` d", [("", "a "), ("strong", "b"), ("", " "), ("code", "c"), ("", " d")]),
    ("“`” is a ** b", [("", "“`” is a ** b")]), ("", []), ("`", [("", "`")]), ("****", [("", "****")]),
])  # fmt: skip
def test_marks_are_pieces_and_all_else_is_text(marked: str, pieces: list[tuple[str, str]]) -> None:
    assert marked_text(marked) == pieces


def test_a_figure_has_its_words_and_size_from_the_report(client: TestClient, study: Path) -> None:
    figure = figures(ask(client))["answer"]
    assert figure["title"] == "How fast <reading> fails"
    assert text(figure["shows"]).strip() == "A line first each."
    assert figure["found"] == [["", "It "], ["strong", "falls"], ["", " at 0.2 & dies."]]
    assert (figure["width"], figure["height"]) == (300, 200)
    assert figure["alternative"] == "How fast <reading> fails: a drawing."


def test_a_figure_that_the_run_had_no_data_for_is_told_and_not_missed(
    client: TestClient, study: Path
) -> None:
    dose = ask(client)["sections"]["dose"]
    assert [text(note) for note in dose["groups"][0]["notes"]] == [
        "What a dose costs. Nothing was measured."
    ]
    assert "curves" not in dose["missing"]
    assert "lines" in dose["missing"]  # folded away, but still a figure
    assert "dvc repro plot" in dose["missing"]


def test_chapters_keep_their_titles_and_leads(client: TestClient, study: Path) -> None:
    group = ask(client)["sections"]["data"]["groups"][0]
    assert (group["title"], group["lead"]) == ("The data", "A lead.")
    assert [figure["name"] for figure in group["figures"]] == ["samples", "counts"]


def test_a_figure_that_no_section_knows_is_shown_after_the_others(
    client: TestClient, study: Path
) -> None:
    last = ask(client)["sections"]["why"]["groups"][-1]
    assert last["title"] == "Other figures"
    assert [figure["file"] for figure in last["figures"]] == ["marvel.svg"]


def test_every_chapter_of_the_report_with_figures_has_a_section() -> None:
    placed = {anchor for anchors in results.SECTIONS.values() for anchor in anchors}
    drawn = {
        chapter.anchor
        for chapter in CHAPTERS
        if any(isinstance(part, Figure) for part in chapter.content)
    }
    assert drawn - placed == {"confusions"}  # the page has tables of these
    assert placed <= {chapter.anchor for chapter in CHAPTERS}


def test_the_tables_behind_a_figure_are_those_that_are_there(
    client: TestClient, study: Path
) -> None:
    write("plots/figures/accuracy.csv", "a\n1\n")
    shown = figures(ask(client))
    assert shown["counts"]["numbers"] == ["figures/counts"]
    assert shown["answer"]["numbers"] == ["figures/accuracy"]
    assert shown["samples"]["numbers"] == []


def test_the_data_set_is_that_of_the_run_and_not_of_changed_parameters(
    client: TestClient, study: Path
) -> None:
    write_yaml("params.yaml", PARAMS | {"captcha": {"height": 99, "width": 99}})
    facts = dict(ask(client)["facts"]["facts"])
    assert facts["Image, height × width, px"] == "33 × 90"
    assert facts["Characters of a text"] == "2 to 5"
    assert facts["Alphabet, 3 characters"] == "абв"
    assert facts["Noise types"] == "hail, dusk"
    assert "Held out of training" not in facts


def test_splits_and_classes_are_counted_as_the_tables_have_them(
    client: TestClient, study: Path
) -> None:
    overview = ask(client)
    assert overview["classes"] == {
        "glyphs": ["train", "validation", "test"],
        "texts": ["test"],
        "rows": [["а", 8, 1, 2, 7], ["б", 9, 1, 2, 0], ["NA", None, None, None, 5]],
    }


def test_captchas_that_were_found_have_no_glyphs_to_count(client: TestClient, study: Path) -> None:
    write("plots/figures/glyphs.csv", "label,train,validation,test\n")
    assert ask(client)["classes"] == {
        "glyphs": [],
        "texts": ["test"],
        "rows": [["а", 7], ["NA", 5]],
    }


def test_readers_have_their_metrics_with_intervals_first(client: TestClient, study: Path) -> None:
    readers = ask(client)["readers"]
    assert readers["names"] == ["first", "second"]
    assert [(row["metric"], row["interval"]) for row in readers["stages"]["predict"]] == [
        ("exact_match", True),
        ("brier_score", False),
        ("coverage_99", False),
    ]
    assert readers["stages"]["predict"][0]["readers"]["second"] == {
        "value": 0.5,
        "low": 0.4,
        "high": 0.6,
        "se": None,
    }
    assert readers["stages"]["train"][0]["metric"] == "epochs"
    assert readers["notes"] == []


def test_a_confusion_matrix_holds_every_character_that_was_read(
    client: TestClient, study: Path
) -> None:
    for name, last in (("first", MISSED), ("second", "в")):
        told = ask(client, "/reader", name=name)["confusion"]
        seen = observations()[name]
        assert told["actual"] == ["а", "б"]
        assert told["predicted"] == ["а", "б", last]
        counts = [
            [
                (
                    (seen["truth"] == actual)
                    & (seen["guess"] == (guess if guess != MISSED else ""))
                ).sum()
                for guess in told["predicted"]
            ]
            for actual in told["actual"]
        ]
        assert [[count for count, _ in row] for row in told["cells"]] == counts
        assert [math.fsum(share for _, share in row) for row in told["cells"]] == pytest.approx(
            [1, 1], abs=1e-5
        )


def test_what_was_missed_stands_last_after_characters_that_are_never_true(
    client: TestClient, study: Path
) -> None:
    write(
        "plots/figures/confusion.csv",
        f"reader,actual,predicted,count,share\nfirst,а,{MISSED},1,0.5\nfirst,а,z,1,0.5\n",
    )
    told = ask(client, "/reader", name="first")["confusion"]
    assert told["predicted"] == ["а", "z", MISSED]
    assert told["cells"] == [[[0, 0], [1, 0.5], [1, 0.5]]]


def test_a_classification_report_is_that_of_the_reader_asked_for(
    client: TestClient, study: Path
) -> None:
    rows = ask(client, "/reader", name="second")["classification"]["rows"]
    table = classification_table(observations(), "абв")
    wanted = table[table["reader"] == "second"]
    assert [row["character"] for row in rows] == wanted["character"].tolist()
    assert [row["f1"] for row in rows] == pytest.approx(wanted["f1"].tolist(), rel=1e-5)
    assert rows[0]["f1_low"] is None
    assert rows[3]["f1_low"] == pytest.approx(wanted["f1_low"].iloc[3], rel=1e-5)


def test_a_threshold_that_was_not_reached_has_no_level(client: TestClient, study: Path) -> None:
    thresholds = ask(client)["thresholds"]
    assert thresholds["confidence"] == 0.9
    assert thresholds["rows"][0] == {
        "reader": "first",
        "noise": "hail",
        "share": 0.5,
        "level": 0.25,
        "low": 0.2,
        "high": 0.31,
        "reached": 1.0,
    }
    assert (thresholds["rows"][1]["level"], thresholds["rows"][1]["low"]) == (None, 0.5)


def test_the_regression_table_keeps_its_cells_and_notes(client: TestClient, study: Path) -> None:
    table = ask(client)["table"]
    assert table["caption"] == "Effects & more"
    assert [cell["text"] for cell in table["head"][0]] == ["", "(1) main"]
    assert table["body"][0] == [{"text": "Noise", "small": "", "scope": "rowgroup", "span": 2}]
    assert table["body"][1][1] == {"text": "−0.25", "small": "(0.01)", "scope": "", "span": 1}
    assert table["foot"][0][1]["text"] == "40"
    assert table["notes"] == ["How to read it."]


def test_a_table_is_shown_to_a_number_of_rows_and_given_whole(
    client: TestClient, study: Path
) -> None:
    write("plots/figures/long.csv", "a,b\n" + "1,NA\n" * 800)
    told = ask(client, "/table/figures/long")
    assert (told["columns"], len(told["rows"]), told["total"]) == (["a", "b"], results.ROWS, 800)
    assert told["rows"][0] == ["1", "NA"]
    file = client.get("/api/results/file/figures/long.csv")
    assert file.content == Path("plots/figures/long.csv").read_bytes()
    assert file.headers["content-disposition"].startswith("attachment")


def test_the_results_of_the_repository_are_shown_whole(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (ROOT / "plots" / "report.json").is_file():
        pytest.skip("plots/report.json is not here: a pipeline runs")
    monkeypatch.chdir(ROOT)
    overview = ask(client)
    assert [
        name for name, piece in overview.items() if isinstance(piece, dict) and "error" in piece
    ] == []
    assert {section["missing"] for section in overview["sections"].values()} == {""}
    shown = figures(overview)
    matrices = ("confusion.", "confusion_")  # shown as tables
    drawn = {
        path.name for path in Path("plots/figures").glob("*.*") if path.suffix in (".svg", ".png")
    }
    assert {figure["file"] for figure in shown.values()} == {
        name for name in drawn if not name.startswith(matrices)
    }
    assert [
        name for name, figure in shown.items() if not (figure["found"] and figure["width"])
    ] == []
    for figure in shown.values():
        assert client.get(f"/api/results/figure/{figure['file']}").status_code == 200
    for reader in overview["readers"]["names"]:
        told = ask(client, "/reader", name=reader)
        assert "error" not in told["confusion"] | told["classification"]


# What is served


@pytest.mark.parametrize(
    ("name", "kind"), [("answer.svg", "image/svg+xml"), ("samples.png", "image/png")]
)
def test_a_figure_opened_alone_may_style_itself_and_do_nothing_else(
    client: TestClient, study: Path, name: str, kind: str
) -> None:
    answer = client.get(f"/api/results/figure/{name}")
    assert answer.content == Path(f"plots/figures/{name}").read_bytes()
    assert answer.headers["content-type"].startswith(kind)
    policy = answer.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "sandbox", "frame-ancestors 'none'"} <= set(policy)
    assert not any("script" in part for part in policy)
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_drawing_opened_large_fills_the_window(client: TestClient, study: Path) -> None:
    drawing = client.get("/api/results/figure/answer.svg", params={"large": "1"}).text
    assert drawing == SVG.replace(' width="300pt" height="200pt"', "")
    assert client.get("/api/results/figure/samples.png", params={"large": "1"}).content == PNG


@pytest.mark.parametrize(
    "path",
    [
        "/figure/counts.csv",
        "/figure/..%2Freport.html",
        "/figure/%2e%2e%2freport.html",
        "/figure/.hidden.svg",
        "/figure/linked.svg",
        "/figure/folder.svg",
        "/figure/none.svg",
        "/file/figures/answer.svg",
        "/file/regress/table.html",
        "/file/explain/pairs.csv",
        "/file/figures/..%2F..%2Fparams.yaml",
        "/table/figures/none",
        "/table/regress/..%2Ffigures%2Fcounts",
        "/figure/answer.svg%00.png",
        "/figure/" + "a" * 300,
    ],
)
def test_only_files_of_the_pipeline_are_served(client: TestClient, study: Path, path: str) -> None:
    secret = study / "secret.svg"
    secret.write_text(SVG)
    write("plots/figures/.hidden.svg", SVG)
    (study / "plots/figures/linked.svg").symlink_to(secret)
    (study / "plots/figures/folder.svg").mkdir()
    status, error = refused(client, path)
    assert status in (404, 422)
    assert str(study) not in error


def test_the_report_is_served_without_leave_to_run_anything(
    client: TestClient, study: Path
) -> None:
    for page in ("report.html", "details.html"):
        answer = client.get(f"/api/results/page/{page}")
        assert answer.text == Path(f"plots/{page}").read_text(encoding="utf-8")
        assert "sandbox" in answer.headers["content-security-policy"]
    assert refused(client, "/page/report.json")[0] == 422
    Path("plots/report.html").unlink()
    assert refused(client, "/page/report.html") == (
        404,
        "plots/report.html is missing: run `dvc repro plot`",
    )


# What is missing or broken


@pytest.mark.parametrize(
    ("path", "piece", "command"),
    [
        ("dvc.lock", "facts", "dvc repro"),
        ("plots/figures/counts.csv", "classes", "dvc repro plot"),
        ("plots/regress/thresholds.csv", "thresholds", "dvc repro regress"),
    ],
)
def test_a_missing_artifact_is_one_line_with_the_command_and_the_others_show(
    client: TestClient, study: Path, path: str, piece: str, command: str
) -> None:
    Path(path).unlink()
    overview = ask(client)
    assert overview[piece]["error"].startswith(f"{path} is missing")
    assert command in overview[piece]["error"]
    assert [name for name, told in overview.items() if "error" in told] == [piece]
    assert "answer" in figures(overview)


def test_without_any_artifact_every_piece_says_what_to_run(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    overview = ask(client)
    for piece in ("answer", "facts", "classes", "readers", "table", "thresholds"):
        assert " is missing: run `" in overview[piece]["error"]
    assert {section["missing"] for section in overview["sections"].values()} == {
        "plots/figures is missing: run `dvc repro plot`"
    }
    assert "is missing" in ask(client, "/run")["recorded"]["error"]
    assert "is missing" in ask(client, "/reader", name="first")["confusion"]["error"]


def test_without_the_report_the_answer_and_the_table_say_what_to_run_and_figures_show_by_name(
    client: TestClient, study: Path
) -> None:
    Path("plots/report.json").unlink()
    overview = ask(client)
    for piece in ("answer", "table"):
        assert overview[piece]["error"] == "plots/report.json is missing: run `dvc repro plot`"
    figure = figures(overview)["answer"]
    assert (figure["title"], figure["found"], figure["width"]) == ("answer", [], None)


@pytest.mark.parametrize("broken", [
    "", "[", "[]", "{}", '{"answer": 1, "chapters": [], "figures": {}, "findings": {}}', "[" * 10**5,
    '{"answer": "", "chapters": [1], "figures": {}, "findings": {}}',
    '{"answer": "", "chapters": [], "figures": {"a": {}}, "findings": {}}',
    '{"answer": "", "chapters": [], "figures": {}, "findings": {"sure": [1]}}',
    '{"answer": "", "chapters": [{"anchor": "a"}], "figures": {}, "findings": {}}',
])  # fmt: skip
def test_a_damaged_report_is_one_line_and_the_figures_still_show(
    client: TestClient, study: Path, broken: str
) -> None:
    write("plots/report.json", broken)
    overview = ask(client)
    assert overview["answer"]["error"].startswith("plots/report.json is damaged (")
    assert overview["table"]["error"].startswith("plots/report.json is damaged (")
    assert "answer" in figures(overview)


@pytest.mark.parametrize(
    "table",
    [
        None,
        1,
        {"kind": "regression"},
        {"kind": "regression", "body": [[1]]},
        {"kind": "regression", "body": [[{"text": "x"}]], "head": 3},
    ],
)
def test_a_report_without_a_whole_table_says_so(
    client: TestClient, study: Path, table: object
) -> None:
    tree = report()
    tree["chapters"][3]["content"] = [{"kind": "table", "table": table}]
    write("plots/report.json", json.dumps(tree))
    overview = ask(client)
    assert (
        "its table of the regressions" in overview["table"]["error"]
        or "no table of the regressions" in overview["table"]["error"]
    )
    assert "error" not in overview["answer"]


def test_metrics_of_a_reader_that_are_missing_or_damaged_are_told_beside_the_others(
    client: TestClient, study: Path
) -> None:
    Path("plots/train/first.json").unlink()
    write("metrics/predict/second.json", '{"exact_match": 0.')
    readers = ask(client)["readers"]
    assert readers["notes"][0].startswith("metrics/predict/second.json is damaged")
    assert readers["notes"][1] == "plots/train/first.json is missing: run `dvc repro train`"
    values = {
        name: one["value"] for name, one in readers["stages"]["predict"][0]["readers"].items()
    }
    assert values == {"first": 0.5, "second": None}


def test_a_file_is_read_again_when_it_changes(client: TestClient, study: Path) -> None:
    def epochs() -> float:
        return float(ask(client)["readers"]["stages"]["train"][0]["readers"]["first"]["value"])

    assert epochs() == 3
    write("plots/train/first.json", '{"epochs": 21}')
    assert epochs() == 21


def test_a_reader_that_is_not_there_is_told(client: TestClient, study: Path) -> None:
    told = ask(client, "/reader", name="third")
    assert "has no reader 'third'" in told["confusion"]["error"]
    assert "has no reader 'third'" in told["classification"]["error"]
