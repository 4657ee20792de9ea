"""The options of a class: its dataclass fields, as a configuration sees them and as a person reads them.

Plugins and the sections of a run (`label`, `dataset`) are frozen dataclasses. This module is the one place
that turns such a class into a configuration node, a line of help, and back into an object.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from lcnkit.errors import ConfigError, PluginError, UnknownName, did_you_mean, listing

C = TypeVar("C")
_PLAIN = (bool, int, float, str, bytes, Path)
_NONE = type(None)


@dataclass(frozen=True)
class Option:
    """One option, for help texts."""

    name: str
    type: str
    default: str
    """As written in Python; ``required`` where there is none."""
    choices: tuple[str, ...]
    help: str


def hints_of(cls: type) -> dict[str, Any]:
    """The resolved type of each field.

    Raises:
        PluginError: A type is imported for type checkers only, so nobody can resolve it at run time.
    """
    try:
        return get_type_hints(cls)
    except NameError as error:
        raise PluginError(
            f"{cls.__module__}.{cls.__qualname__}: the type of an option cannot be resolved ({error}). "
            "Import it for real, not under `if TYPE_CHECKING`."
        ) from error


def options_of(cls: type) -> tuple[Option, ...]:
    """The options of a class in the order of its fields."""
    hints, texts = hints_of(cls), _texts_below_fields(cls)
    return tuple(
        Option(
            name=field.name,
            type=_readable(hints[field.name]),
            default=_default_text(field),
            choices=tuple(str(choice) for choice in _choices(hints[field.name])),
            help=texts.get(field.name, ""),
        )
        for field in dataclasses.fields(cls)
        if field.init
    )


def node_of(cls: type) -> type:
    """A dataclass that Hydra can store for ``cls``: the same fields, types it knows, and ``_target_``.

    ``cls`` itself will not do: OmegaConf keeps a frozen class read-only and knows no ``Literal``.
    """
    hints = hints_of(cls)
    fields: list[tuple[str, Any, Any]] = [("_target_", str, dataclasses.field(default=f"{cls.__module__}.{cls.__qualname__}"))]
    for field in dataclasses.fields(cls):
        if field.init:
            fields.append((field.name, _storable(hints[field.name]), _default_field(field)))
    return dataclasses.make_dataclass(cls.__name__, fields)


def build(cls: type[C], values: Mapping[str, Any], where: str) -> C:
    """The object that ``values`` describe.

    Args:
        where: The options' place in the configuration, for messages: ``strategy``.

    Raises:
        ConfigError: An option is unknown, missing, or has a value that it cannot take.
    """
    hints = hints_of(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    given = {name: value for name, value in values.items() if name != "_target_"}
    for name in given:
        if name not in fields:
            raise UnknownName(f"{where} has no option {name!r}; it has {listing(fields)}.{did_you_mean(name, fields)}")
    for name, field in fields.items():
        if given.get(name) == "???" or (name not in given and _default_text(field) == "required"):
            raise ConfigError(f"{where} needs the option {name!r}: set it with {where}.{name}=VALUE")
    converted = {name: _convert(value, hints[name], f"{where}.{name}") for name, value in given.items()}
    try:
        return cls(**converted)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from error


def describe(value: Any) -> Any:
    """An object's options as plain JSON values, nested dataclasses included; the reverse of `build`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: describe(getattr(value, field.name)) for field in dataclasses.fields(value) if field.init}
    if isinstance(value, Mapping):
        return {str(key): describe(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [describe(entry) for entry in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def _choices(hint: Any) -> tuple[Any, ...]:
    if get_origin(hint) is Literal:
        return get_args(hint)
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(choice for part in get_args(hint) for choice in _choices(part))
    return ()


def _storable(hint: Any) -> Any:
    """The nearest type that OmegaConf knows; ``Any`` where there is none (`_convert` checks again)."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        kinds = {type(choice) for choice in args}
        return kinds.pop() if len(kinds) == 1 else Any
    if origin in (Union, types.UnionType):
        rest = [_storable(part) for part in args if part is not _NONE]
        if len(rest) == 1 and rest[0] is not Any:
            return rest[0] | None if _NONE in args else rest[0]
        return Any
    if origin is tuple or origin in (list, Sequence):
        inner = [part for part in args if part is not Ellipsis]
        element = _storable(inner[0]) if inner and all(part == inner[0] for part in inner) else Any
        return list[element]  # type: ignore[valid-type]
    if origin in (dict, Mapping):
        key, inside = args
        return dict[key, _storable(inside)]  # type: ignore[valid-type, misc]
    return hint if hint in _PLAIN else Any


def _convert(value: Any, hint: Any, where: str) -> Any:
    """``value`` as its option's type wants it: lists become tuples, and what cannot be meant is refused."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _convert_union(value, args, where)
    if origin is Literal:
        if value not in args:
            known = [str(choice) for choice in args]
            raise ConfigError(f"{where} is {value!r}; it must be one of {listing(known)}.{did_you_mean(str(value), known)}")
        return value
    if origin in (tuple, list, Sequence):
        return _convert_list(value, origin, args, where)
    if hint in (int, float):
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole and not (hint is float and isinstance(value, float)):
            raise ConfigError(f"{where} is {value!r}; it must be a {'whole ' if hint is int else ''}number")
        return hint(value)
    if hint in (str, bool) and not isinstance(value, hint):
        raise ConfigError(f"{where} is {value!r}; it must be {'true or false' if hint is bool else 'a text'}")
    return value


def _convert_union(value: Any, parts: Sequence[Any], where: str) -> Any:
    if value is None and _NONE in parts:
        return None
    refused: list[ConfigError] = []
    for part in parts:
        if part is not _NONE:
            try:
                return _convert(value, part, where)
            except ConfigError as error:
                refused.append(error)
    raise refused[0]


def _convert_list(value: Any, origin: Any, args: Sequence[Any], where: str) -> Any:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ConfigError(f"{where} is {value!r}; it must be a list: {where}=[{value}]")
    fixed = origin is tuple and args and Ellipsis not in args
    if fixed and len(value) != len(args):
        raise ConfigError(f"{where} has {len(value)} values; it must have {len(args)}")
    inner = list(args) if fixed else [args[0] if args else Any] * len(value)
    converted = [_convert(entry, part, f"{where}[{index}]") for index, (entry, part) in enumerate(zip(value, inner, strict=True))]
    return tuple(converted) if origin is tuple else converted


def _default_field(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        default = field.default
        if isinstance(default, tuple | list):
            return dataclasses.field(default_factory=lambda: list(default))
        if isinstance(default, Mapping):
            return dataclasses.field(default_factory=lambda: dict(default))
        return dataclasses.field(default=default)
    if field.default_factory is not dataclasses.MISSING:
        factory = field.default_factory

        def plain() -> Any:
            made = factory()
            return list(made) if isinstance(made, tuple) else made

        return dataclasses.field(default_factory=plain)
    return dataclasses.field(default="???")


def _default_text(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return _value_text(field.default)
    if field.default_factory is not dataclasses.MISSING:
        return _value_text(field.default_factory())
    return "required"


def _value_text(value: Any) -> str:
    """A default the way it is written on the command line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{','.join(_value_text(entry) for entry in value)}]"
    return str(value)


def _readable(hint: Any) -> str:
    if hint is _NONE:
        return "null"
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " | ".join(str(choice) for choice in args)
    if origin in (Union, types.UnionType):
        return " | ".join(_readable(part) for part in args)
    if origin is not None:
        inner = ", ".join("..." if part is Ellipsis else _readable(part) for part in args)
        return f"{getattr(origin, '__name__', origin)}[{inner}]"
    return getattr(hint, "__name__", str(hint))


def _texts_below_fields(cls: type) -> dict[str, str]:
    """The string that stands below each field, from the source; inherited fields included."""
    texts: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        except (OSError, TypeError, SyntaxError):  # made without a source file: there is no help to show
            continue
        statements = body.body if isinstance(body, ast.ClassDef) else []
        for field, text in pairwise(statements):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
                and isinstance(text.value.value, str)
            ):
                texts[field.target.id] = " ".join(text.value.value.split())
    return texts
