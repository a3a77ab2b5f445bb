import base64
import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from release.artifacts.manifest import Manifest, ManifestError, PackageEntry, base64_of
from release.canonical import canonical_json
from tests.examples import examples

digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
shas = st.binary(min_size=20, max_size=20).map(bytes.hex)
keys = st.from_regex(r"[a-z][a-z0-9-]{0,20}[a-z0-9]", fullmatch=True)
times = st.datetimes().map(lambda moment: f"{moment.replace(microsecond=0).isoformat()}Z")


@st.composite
def manifests(draw):
    sha = draw(shas)
    functions = {}
    for key in draw(st.lists(keys, min_size=1, max_size=4, unique=True)):
        digest = draw(digests)
        functions[key] = PackageEntry(
            package=f"{key}-{sha}.zip",
            sha256=digest,
            code_sha256=base64_of(digest),
            size=draw(st.integers(1, 10**9)),
            content_sha256=draw(digests),
            handler="handler.handle",
            lock_sha256=draw(digests),
        )
    return Manifest(sha=sha, built_at=draw(times), runtime="python3.11", architecture="x86_64", functions=functions)


def example():
    sha, digest = "b" * 40, "a" * 64
    entry = {
        "package": f"ingestion-{sha}.zip",
        "sha256": digest,
        "code_sha256": base64.b64encode(bytes.fromhex(digest)).decode(),
        "size": 3,
        "content_sha256": digest,
        "handler": "handler.handle",
        "lock_sha256": digest,
    }
    head = {"schema": 1, "sha": sha, "built_at": "2026-11-23T05:52:00Z"}
    return head | {"runtime": "python3.11", "architecture": "x86_64", "functions": {"ingestion": entry}}


@settings(max_examples=examples(40))
@given(manifests())
def test_what_is_written_is_read_back_and_has_the_digest_of_its_bytes(manifest):
    raw = manifest.canonical()
    assert Manifest.load(raw) == manifest
    assert manifest.digest == hashlib.sha256(raw).hexdigest()


@settings(max_examples=examples(40))
@given(manifests(), manifests())
def test_two_manifests_have_the_same_digest_only_when_they_are_equal(one, other):
    assert (one.digest == other.digest) == (one == other)


@settings(max_examples=examples(40))
@given(manifests(), st.data())
def test_no_single_changed_byte_goes_unnoticed(manifest, data):
    raw = bytearray(manifest.canonical())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    try:
        changed = Manifest.load(bytes(raw))
    except ManifestError:
        return
    # Another valid manifest (a digit of a size, say) is another release.
    assert changed.digest != manifest.digest


@settings(max_examples=examples(40))
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode) | st.just(b"[" * 100_000))
def test_arbitrary_bytes_are_refused_with_an_error_for_people(raw):
    with pytest.raises(ManifestError) as refused:
        Manifest.load(raw)
    assert refused.value.what
    assert refused.value.next_step


def test_the_file_is_the_one_of_the_contract():
    raw = canonical_json(example())
    manifest = Manifest.load(raw)
    assert manifest.canonical() == raw
    assert manifest.functions["ingestion"].code_sha256 == base64_of("a" * 64)
    assert b" " not in raw
    assert not raw.endswith(b"\n")


@pytest.mark.parametrize(
    "spelling",
    [
        lambda raw: raw + b"\n",
        lambda raw: json.dumps(json.loads(raw), indent=1).encode(),
        lambda raw: json.dumps(json.loads(raw), sort_keys=False).encode(),
        lambda raw: raw.replace(b'"schema":1', b'"schema":1,"schema":1'),
        lambda raw: raw.replace(b"handler.handle", b"h\\u0061ndler.handle"),
        lambda raw: raw.replace(b'"schema":1,', b""),
    ],
)
def test_another_spelling_of_the_same_manifest_is_refused(spelling):
    with pytest.raises(ManifestError, match="canonical"):
        Manifest.load(spelling(canonical_json(example())))


def change(path, value):
    document = example()
    place = document
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return canonical_json(document)


ENTRY = ("functions", "ingestion")


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("surprise",), 1, "surprise"),
        ((*ENTRY, "surprise"), 1, "functions.ingestion.surprise"),
        (("schema",), 2, "schema"),
        (("schema_number",), 1, "schema_number"),
        (("sha",), "B" * 40, "sha"),
        (("sha",), "b" * 39, "sha"),
        (("sha",), "b" * 40 + "\n", "sha"),
        (("built_at",), "2026-11-23T05:52:00+00:00", "built_at"),
        (("built_at",), "2026-1-3T05:52:00Z", "built_at"),
        (("built_at",), "2026-02-30T05:52:00Z", "built_at"),
        (("runtime",), "nodejs24.x", "runtime"),
        (("architecture",), "sparc", "architecture"),
        (("functions",), {}, "functions"),
        (("functions", "../x"), example()["functions"]["ingestion"], "functions"),
        ((*ENTRY, "package"), "../../ingestion.zip", "ingestion"),
        ((*ENTRY, "package"), f"ingestion-{'c' * 40}.zip", "ingestion"),
        ((*ENTRY, "sha256"), "c" * 64, "code_sha256"),
        ((*ENTRY, "sha256"), "A" * 64, "sha256"),
        ((*ENTRY, "code_sha256"), "", "code_sha256"),
        ((*ENTRY, "size"), 0, "size"),
        ((*ENTRY, "size"), "3", "size"),
        ((*ENTRY, "size"), True, "size"),
        ((*ENTRY, "handler"), "handler", "handler"),
        ((*ENTRY, "lock_sha256"), None, "lock_sha256"),
    ],
)
def test_a_wrong_field_is_refused_by_name(path, value, named):
    with pytest.raises(ManifestError) as refused:
        Manifest.load(change(path, value))
    assert named in refused.value.why


def test_a_manifest_cannot_be_changed():
    manifest = Manifest.load(canonical_json(example()))
    with pytest.raises(ValueError, match="frozen"):
        manifest.sha = "c" * 40
    with pytest.raises(TypeError):
        manifest.functions["analysis"] = manifest.functions["ingestion"]
