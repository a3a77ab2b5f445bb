"""YAML means to us what it means to the engine."""

import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud import paths
from localcloud.engine import build
from release.yaml_file import YamlError, as_config_value, read, write

WORDS = [
    *("NO", "no", "on", "Off", "yes", "Y", "n", "true", "True", "TRUE", "tRue", "False", "null", "~", "Null", "nULL"),
    *("1:30", "190:20:30", "0o17", "017", "0O17", "089", "08", "1_000", "0x1F", "0b11", "0b12", "+1", "-1", "-0", "0"),
    *("012345678901", "012345670123", "123456789012", "1e3", "1.0", "1.50", ".5", "5.", "1e400", "1_0.5"),
    *("9007199254740991", "-9007199254740991"),
    *("=", "v1", "1.2.3", "2026-13", "a b", "+", "-x", ".", "1_", "0x", "0b", "+.5", "-.5e3", "0_7", "1,000"),
]


@pytest.fixture
def engine():
    cli = build.official_pulumi() or paths.ENGINE / build.PULUMI.executable
    if not cli.exists():
        pytest.skip("the Pulumi engine of this clone is not built")
    return cli


def _as_data(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


@pytest.mark.slow
def test_every_spelling_means_the_same_to_us_and_to_the_engine(engine, tmp_path):
    lines = [f"  p:word{at}: {word}\n  p:list{at}: [{word}, x]\n" for at, word in enumerate(WORDS) if "," not in word]
    lines += ["  p:empty:\n", "  p:map: {NO: no, 1: 2, deep: [{on: off}]}\n", "  p:tagged: !!str 012\n"]
    stack = tmp_path / "values.yaml"
    stack.write_bytes(b"\xef\xbb\xbf" + ("config:\n" + "".join(lines) + "  word: \u00e4\n").encode())
    (tmp_path / "Pulumi.yaml").write_text(
        "name: p\nruntime: python\nconfig:\n  default: {type: array, items: {type: string}, default: [NO, on]}\n"
    )
    environment = {
        "HOME": str(tmp_path),
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_BACKEND_URL": f"file://{tmp_path}",
        "PULUMI_CONFIG_PASSPHRASE": "x",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }

    def pulumi(*arguments):
        return subprocess.run(
            [engine, *arguments, "--non-interactive"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    pulumi("stack", "init", "s")
    theirs = json.loads(pulumi("config", "--json", "--stack", "s", "--config-file", str(stack)))
    ours = {key if ":" in key else f"p:{key}": value for key, value in read(stack)["config"].items()}
    assert len(ours) > 2 * len(WORDS) - 5
    seen = {key: _as_data(theirs[key]["value"]) for key in ours}
    assert {key: _as_data(as_config_value(value)) for key, value in ours.items()} == seen
    assert json.loads(theirs["p:default"]["value"]) == read(tmp_path / "Pulumi.yaml")["config"]["default"]["default"]


@given(
    st.recursive(st.sampled_from(WORDS) | st.text() | st.integers(-(2**53) + 1, 2**53 - 1) | st.booleans(), st.lists)
)
def test_what_is_written_is_read_again(tmp_path_factory, value):
    file = tmp_path_factory.getbasetemp() / "written.yaml"
    file.write_text(write({"value": value}), encoding="utf-8")
    assert read(file) == {"value": value}


@pytest.mark.parametrize("text", ["012345678901", "1e3", "0o17", "1_000", "2026-01-01", "~"])
def test_a_text_that_looks_like_a_number_is_written_in_quotes(text):
    assert write([text]) in (f"- '{text}'\n", f'- "{text}"\n')


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: 'a' stands in line 1 already"),
        ("a:\n  b: 1\n  b: 1\n", "line 3: 'b' stands in line 2 already"),
        ("a: 2026-01-01\n", "line 1: the engine takes 2026-01-01"),
        ("a: [.inf]\n", "line 1: the engine takes .inf"),
        ("a: 9007199254740992\n", "line 1: the engine takes 9007199254740992"),
        ("a: 123456789012345678901234567890\n", "line 1: the engine takes 1234567890"),
        ("a: 1.5e21\n", "line 1: the engine takes 1.5e21"),
        ("a: !!int x\n", "line 1: 'x' is no int"),
        ("a: !mine x\n", "line 1: could not determine"),
        ("[a]: x\n", "line 1: a key is no word"),
        ("a: [", "line 1: "),
        ("a: b: c\n", "line 1: "),
        (b"a: \xff\n", "UTF-8"),
    ],
)
def test_what_the_two_readers_may_see_differently_is_refused_with_its_line(tmp_path, content, says):
    file = tmp_path / "file.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(YamlError) as refused:
        read(file)
    assert says in str(refused.value)
