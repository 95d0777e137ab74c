"""Records: frozen dataclasses with exactly the keys of a JSON object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self


@dataclass(frozen=True)
class Record:
    """The base class of the dataclasses of JSON files.

    `artifacts.write_record` and `artifacts.read_record` check a file against its class.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}
    remedy: ClassVar[str] = (
        "it was written by another version; run `dvc repro -f`"  # ends the line of an error
    )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, tree: object, where: str) -> Self:
        """The record of a JSON object; `where` names its file in errors.

        Raises ValueError, one line, where keys are missing or unknown, or a value has another type.
        """
        from pydantic import (  # imported here, since it is slow and writing does not need it
            TypeAdapter,
            ValidationError,
        )

        try:
            found: Self = TypeAdapter(cls).validate_python(tree)
        except ValidationError as error:
            reasons = "; ".join(_reasons(error.errors(include_url=False, include_input=False)))
            raise ValueError(f"{where}: {reasons}: {cls.remedy}") from None
        return found


def _reasons(errors: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    words = {"missing": "is missing", "unexpected_keyword_argument": "is unknown"}
    for error in errors:
        key = ".".join(map(str, error["loc"])) or "the content"
        yield f"{key} {words.get(error['type'], 'is wrong: ' + error['msg'])}"
