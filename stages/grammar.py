"""Building blocks of the parameter grammar: strict types, ranges, choices, and pydantic's errors as one line each.

A section is a frozen dataclass whose fields have these types; `validated` builds it from plain values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import MappingProxyType
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

from pydantic import (
    AfterValidator,
    AllowInfNan,
    BeforeValidator,
    Field,
    Strict,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import ErrorDetails

Value = TypeVar("Value")


def one_of(names: Iterable[str]) -> BeforeValidator:
    """A validator of a choice: one of the names, such as the keys of a registry."""

    def check(value: object) -> object:
        if value not in tuple(names):
            raise ValueError("one of " + ", ".join(names))
        return value

    return BeforeValidator(check)


def within(low: float, high: float = math.inf) -> AfterValidator:
    """A validator of a number in the closed range [low, high]."""

    def check(value: float) -> float:
        if not low <= value <= high:
            raise ValueError(f"at least {low:g}" if high == math.inf else f"{low:g} to {high:g}")
        return value

    return AfterValidator(check)


Text = Annotated[str, Strict()]
Whole = Annotated[int, Strict()]  # no true, no 4.0
Number = Annotated[float, Strict(), AllowInfNan(False)]
Flag = Annotated[bool, Strict()]
Name = Annotated[str, BeforeValidator(str)]  # of an entry; YAML reads 1 as a number
Entries = Annotated[Mapping[Name, Value], Field(min_length=1), AfterValidator(MappingProxyType)]
Listed = Annotated[tuple[Value, ...], Field(min_length=1)]

EXPECTED = {  # by the type of pydantic's error
    "bool_type": "true or false",
    "dataclass_type": "a map of parameters",
    "dict_type": "a map with at least one entry",
    "finite_number": "a number",
    "float_type": "a number",
    "int_type": "a whole number",
    "string_type": "a text (in quotes)",
    "tuple_type": "a list",
}


def validated(kind: type[Value], tree: object) -> tuple[Value | None, list[ErrorDetails]]:
    """The tree as an instance of `kind`; or None, and all errors."""
    try:
        return TypeAdapter(kind).validate_python(tree), []
    except ValidationError as error:
        found = error.errors(include_url=False)
    # pydantic counts only valid items: a list is not too short because one of them is wrong
    return None, [one for one in found if one["type"] != "too_short" or not one["input"]]


def complaint(error: ErrorDetails, kind: type[object], where: str = "") -> str:
    """One line for an error of `validated`: the key (below `where`), what was expected and what was found."""
    key = ".".join(filter(None, [where, *map(str, error["loc"])])) or "the file"
    context = error.get("ctx", {})
    match error["type"]:
        case "missing":
            return f"{key}: missing"
        case "unexpected_keyword_argument":
            known = [field.name for field in fields(_type_at(kind, error["loc"][:-1]))]
            return f"{key}: unknown (known: {', '.join(known)})"
        case "value_error":
            expected = str(context["error"])
        case "literal_error":
            expected = "one of " + ", ".join(get_args(_type_at(kind, error["loc"])))
        case "too_short" if context["field_type"] == "Dictionary":
            expected = EXPECTED["dict_type"]
        case "too_short" | "string_too_short":
            expected = f"at least {context['min_length']} entries"
        case other:
            expected = EXPECTED.get(other, error["msg"])
    return f"{key}: expected {expected}, got {error['input']!r}"


def _type_at(kind: Any, path: Sequence[str | int]) -> Any:
    """The type at a key of the grammar `kind`."""
    for step in path:
        kind = (
            get_type_hints(kind)[str(step)] if is_dataclass(kind) else get_args(kind)[1]
        )  # of a mapping's values
    return kind
