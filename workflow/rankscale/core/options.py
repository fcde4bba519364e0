"""A stage's options as one frozen dataclass: its command line, its defaults and what the rule passes come from there.

    @dataclass(frozen=True)
    class SampleOptions:
        hard: int = option(0, help="candidates per query from its mined list")

Imported by the Snakefile, so nothing heavy here.
"""

import argparse
import dataclasses
import json
import shlex
import types
import typing
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Options = TypeVar("Options", bound="DataclassInstance")


def option(
    default: Any = dataclasses.MISSING,
    *,
    help: str = "",
    choices: typing.Iterable[str] | None = None,
    read: Callable[[str], Any] | None = None,
    in_result: bool = True,
) -> Any:
    """A field of an options dataclass; without a `default` it must be given.

    `read` makes the value (or each value, of a list) from its text, in place of the field's type. `in_result` says
    whether the stage's result depends on it: unless it is told otherwise it does, so that an option that somebody adds
    is never left out of a fingerprint by mistake.
    """
    metadata = {"help": help, "choices": choices, "read": read, "in_result": in_result}
    if isinstance(default, list | dict):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def add_options(parser: argparse._ActionsContainer, options: type) -> None:
    """Add the options of a dataclass: a bare flag for a bool, several values for a list, one for anything else.

    A bool that is true by default has a second flag, `--no-...`, that makes it false.
    """
    hints = typing.get_type_hints(options)
    for field in dataclasses.fields(options):
        about, kind = field.metadata, _plain(hints[field.name])
        default, required = _default(field)
        kwargs: dict[str, Any] = {"help": about["help"], "default": default}
        if kind is bool:
            kwargs["action"] = argparse.BooleanOptionalAction if default else "store_true"
        else:
            kwargs |= {"required": required, "choices": about["choices"]}
            kwargs["type"] = about["read"] or (typing.get_args(kind)[0] if _is_list(kind) else kind)
            if _is_list(kind):
                kwargs["nargs"] = "+" if required else "*"
        parser.add_argument(_flag(field.name), **kwargs)


def parsed(options: type[Options], args: argparse.Namespace) -> Options:
    """The dataclass of a parsed command line."""
    return options(**{field.name: getattr(args, field.name) for field in dataclasses.fields(options)})


def command_line(options: type, values: Mapping[str, Any], given: Collection[str] = ()) -> str:
    """The values as words of a shell, in the order of the fields: nothing for None or an empty list, a mapping as JSON.

    Nothing for false either, but for a bool that is true by default. `given` are the fields that the shell text of the
    rule passes itself. Raises TypeError for a value that is no field, for a field that is given twice, and for one
    without default that is missing: what a rule passes is never dropped in silence.
    """
    fields = {field.name: field for field in dataclasses.fields(options)}
    unknown = sorted({*values, *given} - set(fields))
    missing = sorted(name for name, field in fields.items() if _default(field)[1] and name not in {*values, *given})
    twice = sorted(set(values) & set(given))
    if unknown or missing or twice:
        raise TypeError(f"{options.__name__}: no fields: {unknown}; missing: {missing}; given twice: {twice}")
    words: list[str] = []
    for name, field in fields.items():
        value = values.get(name)
        if value is False and field.default is True:
            words.append(_flag(f"no_{name}"))
        if value is None or value is False or value == []:
            continue
        several = [] if value is True else value if isinstance(value, list | tuple) else [value]
        texts = [json.dumps(each) if isinstance(each, dict) else str(each) for each in several]
        # A text that begins as an option does is a value only behind an equals sign.
        joined = len(texts) == 1 and texts[0].startswith("-") and not isinstance(value, list | tuple)
        words += [f"{_flag(name)}={texts[0]}"] if joined else [_flag(name), *texts]
    return shlex.join(words)


def result_settings(options: Any) -> dict[str, Any]:
    """What the result depends on: all fields but those declared otherwise, by name; paths as text."""
    return {
        field.name: str(value) if isinstance(value, Path) else value
        for field in dataclasses.fields(options)
        if field.metadata["in_result"]
        for value in [getattr(options, field.name)]
    }


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _default(field: dataclasses.Field) -> tuple[Any, bool]:
    """A field's default, and whether it must be given."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory(), False
    required = field.default is dataclasses.MISSING
    return None if required else field.default, required


def _plain(hint: Any) -> Any:
    """A type without `| None`."""
    if isinstance(hint, types.UnionType):
        return next(part for part in typing.get_args(hint) if part is not type(None))
    return hint


def _is_list(kind: Any) -> bool:
    return typing.get_origin(kind) is list
