"""YAML as the Pulumi engine reads it, for every file of ours that the engine reads too.

PyYAML follows YAML 1.1, where `NO` is false and `1:30` is 90. The engine's reader (yaml.v3, for Go) takes both as text,
but `0o17` and `017` as 15. Scanner and parser of the two have one ancestor; they differ in what an unquoted word means,
so only that is decided here. What the engine turns into something nobody wrote (dates), or cannot hand on (infinity),
is refused.
"""

from __future__ import annotations

import copy
import json
import math
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import yaml
from yaml.constructor import ConstructorError

_TAG: Final = "tag:yaml.org,2002:"
_WORDS: Final[dict[str, tuple[str, bool | None]]] = {
    "": ("null", None),
    "~": ("null", None),
    **dict.fromkeys(("null", "Null", "NULL"), ("null", None)),
    **dict.fromkeys(("true", "True", "TRUE"), ("bool", True)),
    **dict.fromkeys(("false", "False", "FALSE"), ("bool", False)),
}
_INTEGER: Final = re.compile(
    r"(?P<sign>[-+]?)(?:0[xX](?P<x>[0-9a-fA-F]+)|0[bB](?P<b>[01]+)|0[oO]?(?P<o>[0-7]+)|(?P<d>0|[1-9][0-9]*))"
)
_BASES: Final = {"x": 16, "b": 2, "o": 8, "d": 10}
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_MISREAD: Final = re.compile(
    r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ][0-9]{1,2}:[0-9]{1,2}:.*)?"
)
_EXACT: Final = 2**53
"""From here on the engine rounds: it hands numbers on as JSON, and through floats."""


class YamlError(ValueError):
    """A file that is not YAML, or that its two readers would understand differently; the message names the line."""


def read(file: Path) -> Any:
    """Return what `file` holds, None where it is empty.

    Raises:
        YamlError: It is no YAML in UTF-8, it holds a key twice, or a word that needs quotes.
        OSError: It cannot be read.
    """
    try:
        return copy.deepcopy(_parse(file.read_bytes().decode()))
    except UnicodeDecodeError as error:
        raise YamlError(f"byte {error.start + 1} is not UTF-8") from None
    except yaml.MarkedYAMLError as error:
        at = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise YamlError(at + (error.problem or str(error))) from None
    except yaml.YAMLError as error:
        raise YamlError(" ".join(str(error).split())) from None


@lru_cache(maxsize=16)  # one command reads Pulumi.yaml five times and more, and each parse takes 8 ms
def _parse(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)  # noqa: S506 -- builds plain values only, see _Loader


def write(content: Any) -> str:
    """Return YAML in which every text stays a text for the engine."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**20)


def as_config_value(value: Any) -> str:
    """Return `value` as the engine hands it to the program: text as it is, nothing as "", all else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _number(text: str) -> int | float | None:
    """The number that the engine sees in an unquoted word, if it sees one."""
    plain = text if text.startswith(".") else text.replace("_", "")
    if text[:1] == "_":
        return None
    if match := _INTEGER.fullmatch(plain):
        base, digits = next((_BASES[name], match[name]) for name in _BASES if match[name])
        return int(f"{match['sign']}{digits}", base)
    number = float(plain) if _FLOAT.fullmatch(plain) else math.inf
    if math.isinf(number):
        return None
    return int(number) if number % 1 == 0 else number


class _Resolver:
    """What an unquoted word means. Reader and writer share it, so that the writer quotes what the reader would turn."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        if kind is not yaml.ScalarNode or not implicit[0]:
            return super().resolve(kind, value, implicit)  # ty: ignore[missing-attribute] -- of yaml's resolver
        if value == "<<":
            return f"{_TAG}merge"
        if value in _WORDS:
            return _TAG + _WORDS[value][0]
        if _MISREAD.fullmatch(value):
            return f"{_TAG}misread"
        number = _number(value)
        if number is not None and abs(number) >= _EXACT:
            return f"{_TAG}misread"
        return _TAG + ("str" if number is None else "int" if isinstance(number, int) else "float")


class _Dumper(_Resolver, yaml.SafeDumper):
    def text(self, value: str) -> yaml.ScalarNode:
        # Outside of double quotes these would be ends of lines.
        style = '"' if re.search("[\x85\u2028\u2029]", value) else None
        return self.represent_scalar(f"{_TAG}str", value, style)


_Dumper.add_representer(str, _Dumper.text)


class _Loader(_Resolver, yaml.SafeLoader):
    yaml_constructors = {  # noqa: RUF012 -- the name and the kind that yaml wants
        f"{_TAG}{kind}": yaml.SafeLoader.yaml_constructors[f"{_TAG}{kind}"] for kind in ("str", "seq", "map")
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        first: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ConstructorError(None, None, "a key is no word", key.start_mark)
            if key.value in first and key.tag != f"{_TAG}merge":
                raise ConstructorError(
                    None, None, f"{key.value!r} stands in line {first[key.value]} already", key.start_mark
                )
            first[key.value] = key.start_mark.line + 1
        return super().construct_mapping(node, deep)

    def word(self, node: yaml.ScalarNode) -> bool | None:
        if node.value not in _WORDS:
            raise self.unfit(node)
        return _WORDS[node.value][1]

    def number(self, node: yaml.ScalarNode) -> int | float:
        number = _number(node.value)
        if number is None:
            raise self.unfit(node)
        return number

    def misread(self, node: yaml.ScalarNode) -> None:
        raise ConstructorError(
            None,
            None,
            f"the engine takes {node.value} for a time or for a number that it cannot hand on; write '{node.value}'",
            node.start_mark,
        )

    def unfit(self, node: yaml.ScalarNode) -> yaml.YAMLError:
        kind = node.tag.removeprefix(_TAG)
        return ConstructorError(None, None, f"{node.value!r} is no {kind}", node.start_mark)


for _kind in ("null", "bool"):
    _Loader.add_constructor(_TAG + _kind, _Loader.word)
for _kind in ("int", "float"):
    _Loader.add_constructor(_TAG + _kind, _Loader.number)
_Loader.add_constructor(f"{_TAG}misread", _Loader.misread)
_Loader.add_constructor(None, yaml.SafeLoader.construct_undefined)
