"""Impossible settings in words: what was given, what can be, and so what to do."""

from typing import Any

from pydantic import BaseModel, ValidationError

_BOUNDS = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")
_BELOW = {"ge": "from {:.15g}", "gt": "above {:.15g}"}
_ABOVE = {"le": "up to {:.15g}", "lt": "below {:.15g}"}
LONGEST_SHOWN = 40


def impossible(error: ValidationError, model: type[BaseModel]) -> str:
    """Return what is wrong with the first impossible setting, and what it takes.

    Args:
        error: From making `model`.
        model: Whose bounds are said.
    """
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"] if not isinstance(part, int))
    if first["type"] in _BOUNDS:
        given = first["input"]
        return f"{name} is {given}; give a number {_range(model, first)}"
    message = first["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if first["type"] in ("value_error", "missing", "extra_forbidden"):
        return f"{name}: {message}" if name else message
    shown = repr(first["input"])
    shown = shown if len(shown) <= LONGEST_SHOWN else f"{shown[:LONGEST_SHOWN]} ..."
    return f"{name} is {shown}: {message}"


def _range(model: type[BaseModel], first: Any) -> str:
    """Return the range of a number, such as "from 1 to 4096", by its field or the broken bound."""
    metadata, words = _metadata(model, first["loc"]), []
    for bounds in (_BELOW, _ABOVE):
        for name, text in bounds.items():
            found = [getattr(each, name) for each in metadata if hasattr(each, name)]
            words += [text.format(bound) for bound in found]
    if not words:
        ((name, bound),) = first["ctx"].items()
        words = [{**_BELOW, **_ABOVE}[name].format(bound)]
    return " ".join(words)


def _metadata(model: type[BaseModel], location: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the bounds of the field at a place; none if it is the element of a list."""
    for part in location[:-1]:
        if not isinstance(part, str) or part not in model.model_fields:
            return ()
        inner = type(model.model_fields[part].default)
        if not issubclass(inner, BaseModel):
            return ()
        model = inner
    field = model.model_fields.get(str(location[-1]))
    return tuple(field.metadata) if field else ()
