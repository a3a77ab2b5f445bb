"""Property values between the engine's wire form (protobuf structs) and plain Python.

Inside the provider a value is a plain Python value, or `UNKNOWN` (not known before the update runs), or a `Secret`
around one. Whole numbers become `int`, because AWS calls demand it.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final

_UNKNOWN_WIRE: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a marker of the protocol


class _Unknown:
    """The type of `UNKNOWN`, of which there is one object: compare it with `is`."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()


@dataclasses.dataclass(frozen=True)
class Secret:
    """A value that must rest encrypted in the state and never be shown."""

    value: Any


@dataclasses.dataclass(frozen=True)
class Asset:
    """A file or archive from the machine that runs the program; no type here takes one."""


KINDS: Final = {"bool": bool, "string": str, "number": int | float, "array": list, "object": dict, "map": dict}
"""The declared kinds of values, and the Python types that they come as."""


def fits(value: Any, kind: str) -> bool:
    """Whether a known value is of the kind; Python takes a bool for a number, the real provider does not."""
    return isinstance(value, KINDS[kind]) and not (kind == "number" and isinstance(value, bool))


def from_wire(value: Any) -> Any:
    """The Python form of one wire value; secrets and unknowns are kept as `Secret` and `UNKNOWN`."""
    kind = value.WhichOneof("kind")
    match kind:
        case "struct_value":
            return _from_object(value.struct_value)
        case "list_value":
            return [from_wire(item) for item in value.list_value.values]
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "string_value":
            return UNKNOWN if value.string_value == _UNKNOWN_WIRE else value.string_value
        case "bool_value":
            return value.bool_value
    return None


def struct_from_wire(struct: Any) -> dict[str, Any]:
    """The properties of a whole message field; empty when the field is."""
    return {name: from_wire(value) for name, value in struct.fields.items()}


def _from_object(struct: Any) -> Any:
    fields = struct.fields
    if _SIGNATURE not in fields:
        return struct_from_wire(struct)
    signature = fields[_SIGNATURE].string_value
    if signature == _SECRET:
        return Secret(from_wire(fields["value"]))
    return Asset()


def _json_form(value: Any) -> Any:
    if value is UNKNOWN:
        return _UNKNOWN_WIRE
    if isinstance(value, Secret):
        return {_SIGNATURE: _SECRET, "value": _json_form(value.value)}
    if isinstance(value, dict):
        return {name: _json_form(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_json_form(item) for item in value]
    return value


def struct_to_wire(values: Mapping[str, Any]) -> Any:
    """The wire form of `values`; properties that are None are left out."""
    # Imported here, so that the pure core can be used without protobuf.
    from google.protobuf.struct_pb2 import Struct  # noqa: PLC0415 # ty: ignore[missing-module-member]

    struct = Struct()
    struct.update({name: _json_form(value) for name, value in values.items() if value is not None})
    return struct


def plain(value: Any) -> Any:
    """`value` without its secret marks; `UNKNOWN` stays."""
    if isinstance(value, Secret):
        return plain(value.value)
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def holds_unknown(value: Any) -> bool:
    """Whether `value` is, or has somewhere in it, `UNKNOWN`."""
    return _holds(value, lambda one: one is UNKNOWN)


def _holds(value: Any, test: Callable[[Any], bool]) -> bool:
    inner = [value.value] if isinstance(value, Secret) else value.values() if isinstance(value, dict) else value
    return test(value) or (isinstance(value, Secret | dict | list) and any(_holds(item, test) for item in inner))


def mark_like(value: Any, pattern: Any) -> Any:
    """`value` with the secret marks of `pattern`: per key in objects, the whole list where any element is secret."""
    if isinstance(pattern, Secret):
        return value if isinstance(value, Secret) else Secret(value)
    if isinstance(pattern, dict) and isinstance(value, dict):
        return {name: mark_like(item, pattern.get(name)) for name, item in value.items()}
    if (
        isinstance(pattern, list)
        and _holds(pattern, lambda one: isinstance(one, Secret))
        and not isinstance(value, Secret)
    ):
        return Secret(value)
    return value
