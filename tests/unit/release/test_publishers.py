"""Who has published an update, and what is known to be wrong with it: whatever is not known needs a person."""

import json
import subprocess
from base64 import b64encode
from dataclasses import dataclass, field

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.clients.package_index import CONTROL, INTEGRITY, OSV, PackageIndex, PackageIndexError
from release.gates.dependency_updates import NotProvableError, locked_packages, moved_packages
from release.gates.package_evidence import require_evidence
from release.gates.publishers import NOBODY, compared, publishers_of
from release.git.history import PathChange
from tests.fixtures import dependabot as bot
from tests.signing import local_sigstore

BOTO = {"kind": "GitHub", "repository": "boto/boto3", "workflow": "release.yml", "environment": "pypi", "claims": None}
SHA = "a" * 64
REGISTRY = "https://registry.test/simple"


def provenance(*publishers, sha256=SHA):
    """What the integrity API answers, as PEP 740 and the index's documentation have it."""
    statement = {"_type": "https://in-toto.io/Statement/v1", "subject": [{"name": "f", "digest": {"sha256": sha256}}]}
    envelope = {"statement": b64encode(json.dumps(statement).encode()).decode(), "signature": "AAAA"}
    attestation = {"version": 1, "verification_material": {}, "envelope": envelope}
    return {
        "version": 1,
        "attestation_bundles": [{"publisher": one, "attestations": [attestation]} for one in publishers],
    }


def said(*publishers):
    return publishers_of(provenance(*publishers), SHA)


GITLAB = {"kind": "GitLab", "repository": "group/project", "workflow_filepath": ".gitlab-ci.yml", "environment": None}
TABLE = {
    "the same": ([BOTO], [BOTO], "as before"),
    "the same with other claims": ([BOTO], [BOTO | {"claims": {"run_id": "7"}}], "as before"),
    "one of the two that there were": ([BOTO, GITLAB], [BOTO], "as before"),
    "neither has any": ([], [], "without provenance, as before"),
    "for the first time": ([], [BOTO], "for the first time"),
}
PERSON = {
    "none any more": ([BOTO], [], "has no provenance"),
    "another repository": ([BOTO], [BOTO | {"repository": "evil/boto3"}], "evil/boto3"),
    "another workflow": ([BOTO], [BOTO | {"workflow": "other.yml"}], "other.yml"),
    "another environment": ([BOTO], [BOTO | {"environment": "test"}], "test"),
    "no environment any more": ([BOTO], [BOTO | {"environment": None}], "published by"),
    "another kind": ([BOTO], [BOTO | {"kind": "GitLab"}], "GitLab"),
    "a field that nobody knows": ([BOTO], [BOTO | {"tenant": "evil"}], "published by"),
    "somebody else besides": ([BOTO], [BOTO, GITLAB], "group/project"),
}


@pytest.mark.parametrize(("before", "after", "says"), TABLE.values(), ids=TABLE)
def test_an_update_needs_nobody_when_its_publisher_is(before, after, says):
    assert says in compared("six 1 -> 2", {"old.whl": said(*before) if before else NOBODY},
                            {"new.whl": said(*after) if after else NOBODY})  # fmt: skip


@pytest.mark.parametrize(("before", "after", "says"), PERSON.values(), ids=PERSON)
def test_an_update_needs_a_person_when_its_publisher_is(before, after, says):
    with pytest.raises(NotProvableError, match=says):
        compared("six 1 -> 2", {"old.whl": said(*before)}, {"new.whl": said(*after) if after else NOBODY})


files = st.dictionaries(
    st.sampled_from(["a.whl", "b.whl", "c.whl"]),
    st.frozensets(st.sampled_from([*said(BOTO), *said(GITLAB), *said(BOTO | {"workflow": "x"})]), max_size=2),
    min_size=1,
)


@given(before=files, after=files)
def test_nobody_who_published_nothing_before_publishes_an_update_without_a_person(before, after):
    known = frozenset().union(*before.values())
    alright = not known or all(publishers and publishers <= known for publishers in after.values())
    try:
        compared("six 1 -> 2", before, after)
    except NotProvableError:
        assert not alright
    else:
        assert alright


def test_an_update_without_a_wheel_needs_a_person():
    with pytest.raises(NotProvableError, match="no wheel"):
        compared("six 1 -> 2", {"old.whl": NOBODY}, {})


def test_provenance_of_another_file_needs_a_person():
    with pytest.raises(NotProvableError, match="another file"):
        publishers_of(provenance(BOTO, sha256="b" * 64), SHA)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"attestation_bundles": []},
        {"attestation_bundles": None},
        {"attestation_bundles": [{}]},
        {"attestation_bundles": [{"publisher": BOTO, "attestations": []}]},
        {"attestation_bundles": [{"publisher": {"kind": "GitHub"}, "attestations": []}]},
        provenance({"kind": None, "repository": "x/y"}),
        provenance({"repository": "x/y"}),
        provenance("boto"),
    ],
)
def test_provenance_that_cannot_be_read_needs_a_person(document):
    with pytest.raises(NotProvableError, match="provenance"):
        publishers_of(document, SHA)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(bundle=st.fixed_dictionaries({"publisher": json_values, "attestations": json_values}) | json_values)
def test_whatever_an_index_answers_is_read_or_needs_a_person(bundle):
    with pytest.raises(NotProvableError):
        publishers_of({"attestation_bundles": [bundle]}, SHA)


# What is asked of whom


@dataclass
class Records:
    """Answers from a table; nothing is known of any other file."""

    provenances: dict = field(default_factory=dict)
    flaws: list = field(default_factory=list)
    asked: list = field(default_factory=list)
    broken: bool = False

    def provenance(self, registry, project, version, file):
        self.asked.append((registry, project, version, file))
        if self.broken:
            raise PackageIndexError("the index could not be asked", why="HTTP 503")
        return self.provenances.get(file)

    def findings(self, packages):
        self.asked.append(sorted(packages))
        return self.flaws


OLD, NEW = bot.lock({"boto3": "1.44.0", "six": "1.17.0"}), bot.lock({"boto3": "1.45.0", "six": "1.17.0"})
PATH = "lambdas/dashboard/uv.lock"


def evidence(records, old=OLD, new=NEW, path=PATH):
    change = PathChange(path=path, blob="0" * 40, edited=True, old=old.encode(), new=new.encode())
    return require_evidence(records, [change], {PATH: new.encode()})


def wheel(version):
    file = f"boto3-{version}-py3-none-any.whl"
    return file, provenance(BOTO, sha256=bot.digest(file))


def test_what_moved_is_asked_about_before_and_after_and_every_package_is_audited():
    records = Records(dict([wheel("1.44.0"), wheel("1.45.0")]))
    assert evidence(records) == [
        "boto3 1.44.0 -> 1.45.0: published by GitHub boto/boto3 release.yml pypi, as before",
        "pip-audit has no finding in 2 packages",
    ]
    assert records.asked == [
        (REGISTRY, "boto3", "1.44.0", "boto3-1.44.0-py3-none-any.whl"),
        (REGISTRY, "boto3", "1.45.0", "boto3-1.45.0-py3-none-any.whl"),
        [("boto3", "1.45.0"), ("six", "1.17.0")],
    ]


def test_an_index_that_does_not_answer_needs_a_person():
    with pytest.raises(NotProvableError, match=r"HTTP 503"):
        evidence(Records(broken=True))


def test_provenance_that_is_gone_needs_a_person():
    with pytest.raises(NotProvableError, match=r"boto3-1\.45\.0-py3-none-any\.whl has no provenance"):
        evidence(Records(dict([wheel("1.44.0")])))


def test_a_finding_needs_a_person_and_is_named():
    with pytest.raises(NotProvableError, match=r"pip-audit has found A; B; C \(and 1 more\)"):
        evidence(Records(flaws=["A", "B", "C", "D"]))


def test_pins_alone_ask_no_index():
    records = Records()
    evidence(records, path="lambdas/dashboard/pyproject.toml")
    assert records.asked == [[("boto3", "1.45.0"), ("six", "1.17.0")]]


def test_a_lock_that_cannot_be_read_needs_a_person():
    for text in ("]", "package = 1", "[[package]]\nname = 'a'\n"):
        with pytest.raises(NotProvableError, match="cannot be read"):
            locked_packages(text.encode())


@given(st.dictionaries(st.sampled_from(["boto3", "six", "urllib3"]), st.integers(1, 3), min_size=3, max_size=3))
def test_every_package_whose_version_differs_is_one_that_moved(versions):
    before = dict.fromkeys(versions, "1.0.0")
    after = {name: f"{number}.0.0" for name, number in versions.items()}
    found = moved_packages(bot.lock(before).encode(), bot.lock(after).encode())
    assert [name for name, *_ in found] == sorted(name for name, number in versions.items() if number > 1)
    for name, old, new in found:
        assert (old.version, new.version) == ("1.0.0", after[name])
        file = f"{name}-{after[name]}-py3-none-any.whl"
        assert new.wheels == {file: bot.digest(file)}


# Over HTTP


def index(answer):
    return PackageIndex({}, httpx.MockTransport(answer), wait_s=0)


def test_the_index_is_asked_as_it_documents():
    asked = []

    def answer(request):
        asked.append((request.method, str(request.url), request.headers["accept"]))
        return httpx.Response(200, json=provenance(BOTO))

    assert index(answer).provenance(REGISTRY, "boto3", "1.45.0", "boto3-1.45.0-py3-none-any.whl") == provenance(BOTO)
    address = "https://registry.test/integrity/boto3/1.45.0/boto3-1.45.0-py3-none-any.whl/provenance"
    assert asked == [("GET", address, "application/vnd.pypi.integrity.v1+json")]


def test_a_file_that_the_index_has_no_provenance_of_has_none():
    def answer(request):
        return httpx.Response(200, json={}) if CONTROL[2] in request.url.path else httpx.Response(404)

    assert index(answer).provenance(REGISTRY, "six", "1", "six.whl") is None


def test_an_index_that_has_provenance_of_no_file_is_no_answer():
    with pytest.raises(PackageIndexError, match="could not be asked") as failed:
        index(lambda _: httpx.Response(404)).provenance(REGISTRY, "six", "1", "six.whl")
    assert "registry.test has none of sampleproject-4.0.0.tar.gz either" in failed.value.why


def test_the_local_index_has_provenance_of_no_file_but_the_example(known):
    local = PackageIndex({INTEGRITY: f"{known}/_services/integrity"})
    assert local.provenance(REGISTRY, "six", "1", "six.whl") is None
    with httpx.Client(base_url=known) as cloud:
        cloud.put("/_localcloud/provenance/six.whl", json=provenance(BOTO)).raise_for_status()
    assert local.provenance(REGISTRY, "six", "1", "six.whl") == provenance(BOTO)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, content=b"{" + b" " * 5_000_000 + b"}"),
        httpx.Response(301, headers={"location": "https://elsewhere.test"}),
        httpx.Response(403),
        httpx.Response(429),
        httpx.Response(500),
    ],
)
def test_any_other_answer_of_the_index_is_none(answer):
    with pytest.raises(PackageIndexError, match="provenance of"):
        index(lambda _: answer).provenance(REGISTRY, "six", "1", "six.whl")


def test_an_index_that_is_away_for_a_moment_is_asked_again():
    answers = [httpx.Response(503), httpx.ConnectError("away"), httpx.Response(200, json={})]

    def answer(_):
        one = answers.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    assert index(answer).provenance(REGISTRY, "six", "1", "six.whl") == {}
    with pytest.raises(PackageIndexError):
        index(lambda _: (_ for _ in ()).throw(httpx.ReadTimeout("late"))).provenance(REGISTRY, "six", "1", "six.whl")


@pytest.mark.parametrize(
    ("said", "registry"),
    [({INTEGRITY: "http://index.test"}, "https://registry.test/simple"), ({}, "http://index.test/simple")],
)
def test_an_index_that_anybody_can_answer_for_is_not_asked(said, registry):
    with pytest.raises(PackageIndexError, match="not safe"):
        PackageIndex(said).provenance(registry, "six", "1", "six.whl")


# pip-audit itself, with OSV on loopback


@pytest.fixture(scope="module")
def known():
    with local_sigstore() as cloud:
        yield cloud.url


FLAW = {
    "schema_version": "1.7.3",
    "id": "PYSEC-2026-1",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "six"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.17.2"}]}],
        }
    ],
}


def osv(known, **more):
    return PackageIndex({**more, OSV: f"{known}/_services/osv/v1/query"})


SIX = {"name": "six", "version": "1.17.0", "vulns": []}


@pytest.mark.parametrize(
    ("dependencies", "code", "says"),
    [
        ([], 0, "not looked at every package"),
        ([SIX | {"version": "1.17.1"}], 0, "not looked at every package"),
        ([{"name": "six", "skip_reason": "not on the index"}], 0, "not looked at every package"),
        ([SIX, {"name": "boto3", "skip_reason": "unpinned"}], 0, "not looked at every package"),
        ([SIX], 1, "not sure"),
        ([SIX | {"vulns": [{"fix_versions": []}]}], 1, "no result"),
        (None, 0, "no result"),
    ],
)
def test_an_audit_that_leaves_something_open_has_no_result(monkeypatch, dependencies, code, says):
    said = (
        json.dumps({"dependencies": dependencies, "fixes": []}).encode() if dependencies is not None else b"Traceback"
    )
    ended = subprocess.CompletedProcess([], code, said, b"complaint")
    monkeypatch.setattr("release.clients.package_index.subprocess.run", lambda *_, **__: ended)
    with pytest.raises(PackageIndexError, match=says):
        PackageIndex({}).findings([("six", "1.17.0")])


@pytest.mark.slow
def test_pip_audit_names_what_osv_knows_also_where_two_functions_have_two_versions(known):
    with httpx.Client(base_url=known) as cloud:
        cloud.put("/_localcloud/vulnerabilities/six/1.17.1", json=FLAW).raise_for_status()
    sound = {("six", "1.17.0"), ("boto3", "1.44.0")}
    assert osv(known).findings(sound | {("six", "1.17.1")}) == ["PYSEC-2026-1 in six 1.17.1 (fixed in 1.17.2)"]
    assert osv(known).findings(sound) == []
    assert osv(known).findings([]) == []


@pytest.mark.slow
def test_an_advisory_that_pip_audit_cannot_read_is_no_absence_of_one(known):
    with httpx.Client(base_url=known) as cloud:
        cloud.put("/_localcloud/vulnerabilities/six/1.17.3", json=FLAW | {"schema_version": "2.0"}).raise_for_status()
    with pytest.raises(PackageIndexError, match="not sure"):
        osv(known).findings([("six", "1.17.3")])


@pytest.mark.slow
@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1/query", "{known}/_services/nothing", "{known}/_localcloud/health"]
)
def test_without_an_answer_of_osv_nothing_was_looked_at(known, address):
    with pytest.raises(PackageIndexError, match="pip-audit has"):
        PackageIndex({OSV: address.format(known=known)}).findings([("six", "1.17.0")])
