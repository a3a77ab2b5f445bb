"""A release is promoted where this repository's workflows have signed for its bytes and its tests, and nowhere else."""

import json
import threading
from base64 import b64decode, b64encode
from dataclasses import replace
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sigstore.errors import VerificationError

from localcloud.environment import REPOSITORY
from localcloud.github.oidc import JobRequest, claims
from localcloud.github.sigstore import Sigstore
from localcloud.github.store import GitHubStore
from release.artifacts.manifest import MANIFEST_FILE
from release.artifacts.store import PROVENANCE_FILE, RESULT_FILE, release_id
from release.attestation.sigstore import REHEARSED, AttestationError, Signer, policy_of, sign, verified
from release.attestation.statements import (
    PROVENANCE,
    SITE,
    TEST_RESULT,
    SigningJob,
    StatementError,
    provenance,
    require_passed,
    require_provenance,
    result_of_tests,
    statement,
)
from release.canonical import sha256
from release.errors import Refused, ReleaseError, RolledBack, UsageError
from release.gates.attested import STARTED, subjects_of_build, subjects_of_tests
from release.ledger.lifecycle import State
from release.reporting.audit import audit
from release.reporting.workflow_summary import lines
from release.rollout.attest import attest_build, attest_result, attested, read_provenance
from release.rollout.preprod import deploy
from release.rollout.promote import promote
from tests.examples import examples
from tests.signing import BUILD, TESTS, local_sigstore
from tests.unit.release.release_world import World, record
from tests.unit.release.test_validation import Preprod

PREPROD = "preprod-sentiment-lambda-deployments"
PROD = "prod-sentiment-lambda-deployments"
OTHER = "9" * 64


@pytest.fixture(scope="module")
def sigstore():
    with local_sigstore() as one:
        yield one


@pytest.fixture
def world(world, monkeypatch, sigstore):
    """A rehearsed production that takes attested releases alone, with one confirmed release."""
    for name, value in sigstore.trusted.items():
        monkeypatch.setenv(name, value)
    world.confirm(1)
    world.s3.meta = SimpleNamespace(endpoint_url="http://127.0.0.1:1")
    return world


def context_of(world, stack="prod"):
    context = world.context(stack)
    context.attestations = True
    return context


def offer(world, sigstore, number=2, **files):
    """A release in preprod's bucket with its statements; `files` replaces them, None takes one away."""
    manifest = world.offer(number)
    for name, body in (sigstore.files(manifest) | files).items():
        if body is not None:
            world.put(f"promotions/{manifest.digest}/{name}", body)
    return manifest


def refusal(world, manifest):
    """The refusal of a release, which has taken no lease and has left nothing in production's bucket."""
    with pytest.raises(Refused) as refused:
        promote(context_of(world), manifest.digest)
    assert refused.value.rule == "not-attested"
    entry = next(world.context().ledger.newest_first(1))
    assert (entry.state, entry.release.digest, entry.fence) == (State.REFUSED, manifest.digest, 0)
    assert not [key for bucket, key in world.s3.objects if bucket == PROD and manifest.digest in key]
    return refused.value.why


def test_a_release_that_the_workflows_have_signed_for_is_promoted_and_keeps_its_statements(world, sigstore):
    manifest = offer(world, sigstore)
    assert promote(context_of(world), manifest.digest).state is State.CONFIRMED
    for name in (PROVENANCE_FILE, RESULT_FILE):
        offered = world.s3.objects[PREPROD, f"promotions/{manifest.digest}/{name}"][0]
        assert world.s3.objects[PROD, f"packages/{manifest.digest}/{name}"][0] == offered


def test_without_the_setting_nobody_asks_for_a_signature(world):
    assert promote(world.context(), world.offer(2).digest).state is State.CONFIRMED


@pytest.mark.parametrize("name", [PROVENANCE_FILE, RESULT_FILE])
def test_a_release_without_one_of_its_statements_is_refused_before_the_lease(world, sigstore, name):
    assert name in refusal(world, offer(world, sigstore, **{name: None}))


FOREIGN = {
    "of another workflow": {"workflow": "deploy-prod.yml"},
    "of a pull request's workflow": {"workflow": "pull-request.yml", "event_name": "pull_request"},
    "of another branch": {"ref": "refs/heads/feature"},
    "of another commit": {"sha": "f" * 40},
    "of another repository": {"repository": "somebody/else"},
    "on somebody's own runner": {"runner_environment": "self-hosted"},
}


@pytest.mark.parametrize("claims", FOREIGN.values(), ids=FOREIGN)
def test_a_build_that_a_job_has_signed_for_is_refused_when_it_is(world, sigstore, claims):
    manifest = world.offer(2)
    assert "provenance" in refusal(
        world, offer(world, sigstore, **{PROVENANCE_FILE: sigstore.build(manifest, **claims)})
    )


@pytest.mark.parametrize(
    "claims",
    [*FOREIGN.values(), {"environment": "preprod-test"}, {"environment": ""}, {"caller": "deploy-prod.yml"}],
    ids=[*FOREIGN, "of the job that runs the tests", "of no environment", "started by another workflow"],
)
def test_a_test_result_that_a_job_has_signed_for_is_refused_when_it_is(world, sigstore, claims):
    manifest = world.offer(2)
    assert "test result" in refusal(world, offer(world, sigstore, **{RESULT_FILE: sigstore.tests(manifest, **claims)}))


def test_a_statement_about_another_release_is_refused(world, sigstore):
    other, manifest = world.offer(3), world.offer(2)
    for name, bundle in (
        (PROVENANCE_FILE, sigstore.build(other, sha=manifest.sha)),
        (RESULT_FILE, sigstore.tests(other, sha=manifest.sha)),
    ):
        assert "other files" in refusal(world, offer(world, sigstore, **{name: bundle}))


def test_a_build_of_which_one_package_was_exchanged_is_refused(world, sigstore):
    manifest = world.offer(2)
    for name in subjects_of_build(manifest):
        bundle = sigstore.build(manifest, subjects_of_build(manifest) | {name: OTHER})
        assert "other files" in refusal(world, offer(world, sigstore, **{PROVENANCE_FILE: bundle}))


def test_a_record_that_was_changed_after_the_tests_is_refused(world, sigstore):
    manifest = offer(world, sigstore)
    world.put(f"promotions/{manifest.digest}/validation.json", record(manifest, tests=13).body())
    assert "other files" in refusal(world, manifest)


def test_provenance_is_no_test_result(world, sigstore):
    manifest = world.offer(2)
    files = sigstore.files(manifest)
    swapped = {PROVENANCE_FILE: files[RESULT_FILE], RESULT_FILE: files[PROVENANCE_FILE]}
    assert "provenance" in refusal(world, offer(world, sigstore, **swapped))
    # Signed by the right job, and still of the wrong kind.
    kind = sigstore.bundle(
        lambda job: statement(PROVENANCE, subjects_of_tests(manifest.digest, record(manifest).body()), provenance(job)),
        **TESTS | {"sha": manifest.sha},
    )
    assert "kind" in refusal(world, offer(world, sigstore, **{RESULT_FILE: kind}))


def test_a_signature_of_another_sigstore_is_refused(world, sigstore):
    manifest = world.offer(2)
    with local_sigstore() as foreign:
        bundle = foreign.build(manifest)
    assert "verified" in refusal(world, offer(world, sigstore, **{PROVENANCE_FILE: bundle}))


@pytest.mark.parametrize("junk", [b"", b"{}", b"[]", b"\xff", b"null"])
def test_what_is_no_bundle_is_refused(world, sigstore, junk):
    assert "verified" in refusal(world, offer(world, sigstore, **{PROVENANCE_FILE: junk}))


def test_a_release_is_refused_where_nobody_knows_whose_workflows_must_have_signed(world, sigstore, monkeypatch):
    monkeypatch.delenv("GITHUB_REPOSITORY")
    assert "unknown" in refusal(world, offer(world, sigstore))


def test_a_release_is_refused_where_sigstore_does_not_answer(world, sigstore, monkeypatch):
    monkeypatch.setenv(REHEARSED, "http://127.0.0.1:1/_localcloud/trust")
    assert "ConnectError" in refusal(world, offer(world, sigstore))


def test_production_does_not_believe_the_sigstore_of_a_rehearsal(world, sigstore):
    manifest = offer(world, sigstore)
    world.s3.meta = SimpleNamespace(endpoint_url="https://s3.us-east-1.amazonaws.com")
    before = world.changes()
    with pytest.raises(UsageError, match="rehearsal"):
        promote(context_of(world), manifest.digest)
    assert world.changes() == before


@pytest.mark.parametrize("address", ["https://127.0.0.1/trust", "http://sigstore.test/trust", "file:///trust"])
def test_the_sigstore_of_a_rehearsal_is_on_this_machine(sigstore, monkeypatch, address):
    signer = Signer(repository=REPOSITORY, workflow=STARTED, started=STARTED, sha="1" * 40)
    with pytest.raises(UsageError):
        verified(b"{}", signer, {REHEARSED: address}, rehearsed=True)


@pytest.mark.parametrize("there", [True, False])
def test_the_audit_verifies_who_has_signed_for_a_release_and_tells_a_gap_as_one(world, sigstore, there):
    manifest = offer(world, sigstore, **({} if there else {RESULT_FILE: None}))
    report = audit([context_of(world)], manifest.digest)
    gaps = [one for one in report.gaps if one.startswith("attestations: ")]
    assert (report.attestations, len(gaps)) == (((PROVENANCE_FILE, RESULT_FILE), 0) if there else ((), 1))
    told = [line for line in lines(report) if "signed for by this repository's workflows" in line]
    assert len(told) == there


# What a certificate says

CLAIMS = claims(JobRequest(**TESTS, sha="1" * 40), "sigstore", GitHubStore())
TESTER = Signer(
    repository=REPOSITORY, workflow="preprod.yml", started=STARTED, sha="1" * 40, environment="preprod-validate"
)
OTHERWISE = {
    "iss": "https://token.actions.githubusercontent.com.evil.test",
    "job_workflow_ref": f"{REPOSITORY}/.github/workflows/preprod.yml@refs/heads/other",
    "workflow_ref": f"{REPOSITORY}/.github/workflows/preprod.yml@refs/heads/main",
    "repository": f"{REPOSITORY}-evil",
    "ref": "refs/tags/main",
    "sha": "2" * 40,
    "runner_environment": "self-hosted",
    "environment": "preprod-validate-not",
}


@pytest.fixture(scope="module")
def certified():
    """Make the certificate of a job whose token says something."""
    authority, key = Sigstore(), ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return lambda **said: authority.certificate(CLAIMS | said, request)


def test_the_certificate_of_the_job_that_validates_is_taken(certified):
    policy_of(TESTER).verify(certified())


@pytest.mark.parametrize(("claim", "value"), OTHERWISE.items(), ids=OTHERWISE)
def test_a_certificate_counts_for_nothing_when_one_claim_is_another(certified, claim, value):
    with pytest.raises((ValueError, VerificationError)):
        policy_of(TESTER).verify(certified(**{claim: value}))


# Any changed byte


@pytest.fixture(scope="module")
def signed(sigstore):
    subjects = {MANIFEST_FILE: "a" * 64, "dashboard.zip": "b" * 64}
    bundle = sigstore.bundle(lambda job: statement(PROVENANCE, subjects, provenance(job)), **BUILD | {"sha": "1" * 40})
    signer = Signer(repository=REPOSITORY, workflow=STARTED, started=STARTED, sha="1" * 40)
    return bundle, verified(bundle, signer, sigstore.trusted, rehearsed=True), signer


@given(data=st.data())
@settings(max_examples=examples(50), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_changed_byte_of_a_bundle_yields_another_statement(sigstore, signed, data):
    bundle, payload, signer = signed
    place = data.draw(st.integers(0, len(bundle) - 1))
    changed = bytearray(bundle)
    changed[place] = data.draw(st.integers(0, 255).filter(lambda byte: byte != bundle[place]))
    try:
        said = verified(bytes(changed), signer, sigstore.trusted, rehearsed=True)
    except AttestationError:
        return
    assert said == payload  # the byte was one that says nothing: a bit of base64's filling


@given(data=st.data())
@settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_statement_that_was_changed_has_no_signature_any_more(sigstore, signed, data):
    bundle, payload, signer = signed
    place = data.draw(st.integers(0, len(payload) - 1))
    changed = bytearray(payload)
    changed[place] = data.draw(st.integers(0, 255).filter(lambda byte: byte != payload[place]))
    document = json.loads(bundle)
    assert b64decode(document["dsseEnvelope"]["payload"]) == payload
    document["dsseEnvelope"]["payload"] = b64encode(changed).decode()
    with pytest.raises(AttestationError):
        verified(json.dumps(document).encode(), signer, sigstore.trusted, rehearsed=True)


JOB = SigningJob(
    repository=REPOSITORY,
    repository_id="1",
    repository_owner_id="2",
    ref="refs/heads/main",
    sha="1" * 40,
    event_name="push",
    run_id="7",
    run_attempt="1",
    workflow_ref=f"{REPOSITORY}/.github/workflows/{STARTED}@refs/heads/main",
    job_workflow_ref=f"{REPOSITORY}/.github/workflows/{STARTED}@refs/heads/main",
    runner_environment="github-hosted",
)
BUILDER = f"{SITE}/{JOB.job_workflow_ref}"
names, digests = st.text("abc.-", min_size=1, max_size=12), st.text("0123456789abcdef", min_size=64, max_size=64)
subjects_of_any = st.dictionaries(names, digests, min_size=1, max_size=5)


@given(subjects=subjects_of_any, others=subjects_of_any)
def test_a_statement_is_about_its_files_and_no_others(subjects, others):
    built = statement(PROVENANCE, subjects, provenance(JOB))
    passed = statement(TEST_RESULT, subjects, result_of_tests(JOB, "0" * 64))
    require_provenance(built, subjects, BUILDER, REPOSITORY, JOB.sha)
    require_passed(passed, subjects, REPOSITORY, JOB.sha)
    if others != subjects:
        with pytest.raises(StatementError, match="other files"):
            require_provenance(built, others, BUILDER, REPOSITORY, JOB.sha)
        with pytest.raises(StatementError, match="other files"):
            require_passed(passed, others, REPOSITORY, JOB.sha)


def paths_of(document, path=()):
    """Every value in a document that holds no others."""
    inside = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    found = [one for key, value in inside for one in paths_of(value, (*path, key))]
    return found or [path]


DECIDES = {
    "provenance": (statement(PROVENANCE, {"a": "1" * 64}, provenance(JOB)), {
        "_type", "predicateType", "name", "sha256", "buildType", "uri", "gitCommit", "id",
    }),
    "test result": (statement(TEST_RESULT, {"a": "1" * 64}, result_of_tests(JOB, "0" * 64)), {
        "_type", "predicateType", "result", "failedTests", "uri", "gitCommit",
    }),
}  # fmt: skip


@pytest.mark.parametrize(("built", "decides"), DECIDES.values(), ids=DECIDES)
def test_every_value_by_which_a_statement_counts_is_compared(built, decides):
    seen = set()
    for path in paths_of(json.loads(built)):
        changed = json.loads(built)
        inner = changed
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = "other"
        body = json.dumps(changed).encode()
        try:
            if b"slsa" in built:
                require_provenance(body, {"a": "1" * 64}, BUILDER, REPOSITORY, JOB.sha)
            else:
                require_passed(body, {"a": "1" * 64}, REPOSITORY, JOB.sha)
        except StatementError:
            seen.add(path[-1])
    assert decides <= seen


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "a..c", "a.e30.c", "a.bnVsbA.c"])
def test_what_is_no_token_of_a_job_is_told(token):
    with pytest.raises(StatementError, match="token"):
        SigningJob.of(token)


# Signing


def test_nothing_is_signed_outside_of_a_job(sigstore):
    with pytest.raises(AttestationError, match="nothing can be signed"):
        sign(lambda job: b"", sigstore.trusted)


def test_a_job_whose_token_was_taken_back_signs_nothing_and_no_message_holds_the_bearer(sigstore):
    variables = sigstore.job(**BUILD) | {"ACTIONS_ID_TOKEN_REQUEST_TOKEN": "not-the-bearer"}
    with pytest.raises(AttestationError, match="no token") as failed:
        sign(lambda job: b"", variables)
    assert "not-the-bearer" not in str(failed.value.as_dict())


def test_a_log_that_is_away_for_a_moment_is_asked_again(sigstore, monkeypatch):
    answers, enter = [ValueError("away"), ValueError("away")], Sigstore.enter

    def busy(self, *asked):
        if answers:
            raise answers.pop()
        return enter(self, *asked)

    monkeypatch.setattr(Sigstore, "enter", busy)
    sigstore.bundle(lambda job: statement(PROVENANCE, {"a": OTHER}, provenance(job)), **BUILD)
    assert not answers
    answers += [ValueError("away")] * 3
    with pytest.raises(AttestationError, match="could not be signed"):
        sigstore.bundle(lambda job: statement(PROVENANCE, {"a": OTHER}, provenance(job)), **BUILD)


def test_a_sigstore_that_never_answers_ends_the_command_in_time(sigstore, monkeypatch):
    monkeypatch.setattr("release.attestation.sigstore._LONGEST_S", 0.2)
    monkeypatch.setattr(Sigstore, "enter", lambda *_: threading.Event().wait(2))
    with pytest.raises(AttestationError, match="has not answered"):
        sigstore.bundle(lambda job: statement(PROVENANCE, {"a": OTHER}, provenance(job)), **BUILD)


def test_a_build_is_signed_for_beside_its_manifest(world, sigstore, monkeypatch, tmp_path):
    manifest, context = world.offer(2), context_of(world)
    for name, value in sigstore.job(**BUILD, sha=manifest.sha).items():
        monkeypatch.setenv(name, value)
    attest_build(manifest, tmp_path, context.console)
    signer = Signer(repository=REPOSITORY, workflow=STARTED, started=STARTED, sha=manifest.sha)
    said = verified(read_provenance(manifest, tmp_path), signer, sigstore.trusted, rehearsed=True)
    require_provenance(said, subjects_of_build(manifest), signer.identity, REPOSITORY, manifest.sha)


def test_github_is_given_the_statement_too(world, sigstore, monkeypatch, tmp_path):
    manifest = world.offer(2)
    variables = sigstore.job(**BUILD, sha=manifest.sha)
    for name, value in {**variables, "GITHUB_TOKEN": "t", "GITHUB_API_URL": f"{sigstore.url}/api/v3"}.items():
        monkeypatch.setenv(name, value)
    attest_build(manifest, tmp_path, context_of(world).console)
    for digest in subjects_of_build(manifest).values():
        assert sigstore.attestations(digest) == [json.loads(read_provenance(manifest, tmp_path))]


def test_the_run_of_another_commit_signs_for_no_build(world, sigstore, monkeypatch, tmp_path):
    for name, value in sigstore.job(**BUILD, sha="f" * 40).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ReleaseError, match="this run is for commit ffff"):
        attest_build(world.offer(2), tmp_path, context_of(world).console)
    assert not list(tmp_path.iterdir())


def test_a_build_without_provenance_is_not_deployed_to_preprod(world, tmp_path):
    with pytest.raises(Refused, match="not attested"):
        read_provenance(world.offer(2), tmp_path)


def test_a_test_result_is_signed_for_once(world, sigstore, monkeypatch):
    manifest = world.offer(2)
    context, body = context_of(world), record(manifest).body()
    for name, value in sigstore.job(**TESTS, sha=manifest.sha).items():
        monkeypatch.setenv(name, value)
    attest_result(context, release_id(manifest), body)
    key = PREPROD, f"promotions/{manifest.digest}/{RESULT_FILE}"
    first = world.s3.objects[key]
    attest_result(context, release_id(manifest), body)
    assert world.s3.objects[key] == first
    world.put(f"promotions/{manifest.digest}/{PROVENANCE_FILE}", sigstore.build(manifest))
    assert promote(context_of(world), manifest.digest).state is State.CONFIRMED


def test_a_validated_release_has_its_statement_and_a_run_that_could_not_sign_is_healed_by_the_next(
    tmp_path, monkeypatch, sigstore
):
    preprod = Preprod(World(tmp_path, monkeypatch))
    preprod.context.attestations = True
    digest = preprod.deploy(1)
    with pytest.raises(AttestationError, match="nothing can be signed"):
        preprod.validate(digest, preprod.report(digest))
    first = preprod.record(digest)
    for name, value in sigstore.job(**TESTS, sha=f"{1:040x}").items():
        monkeypatch.setenv(name, value)
    assert preprod.validate(digest, preprod.report(digest)).already is True
    assert preprod.record(digest) == first
    stored = preprod.world.s3.objects[PREPROD, f"promotions/{digest}/{RESULT_FILE}"][0]
    said = verified(stored, replace(TESTER, sha=f"{1:040x}"), sigstore.trusted, rehearsed=True)
    require_passed(said, subjects_of_tests(digest, first.body), REPOSITORY, f"{1:040x}")


def test_preprod_takes_an_attested_build_alone_and_keeps_its_first_statement(tmp_path, monkeypatch, sigstore):
    world, folder = World(tmp_path, monkeypatch, stack="preprod"), tmp_path / "build"
    manifest = world.offer(1, validated=False)
    folder.mkdir()
    for name, package in manifest.functions.items():
        (folder / package.package).write_bytes(f"zip of {name} 1".encode())
    monkeypatch.setattr("release.rollout.preprod.verify", lambda _: manifest)
    monkeypatch.setattr("release.rollout.preprod.archive", lambda repo, sha, stack: b"program")
    monkeypatch.setattr("release.rollout.preprod.published.keep", lambda *_: None)
    before = world.changes()
    with pytest.raises(Refused) as refused:
        deploy(context_of(world, stack="preprod"), folder, None)
    assert (refused.value.rule, world.changes()) == ("not-attested", before)
    bundles = [sigstore.build(manifest), sigstore.build(manifest)]
    for bundle in bundles:
        (folder / PROVENANCE_FILE).write_bytes(bundle)
        assert deploy(context_of(world, stack="preprod"), folder, None).state is State.LIVE
        assert world.s3.objects[PREPROD, f"promotions/{manifest.digest}/{PROVENANCE_FILE}"][0] == bundles[0]


@pytest.mark.parametrize("broken", [False, True])
def test_the_end_of_a_promotion_is_signed_for_with_the_entry_that_says_so(world, sigstore, monkeypatch, broken):
    manifest = offer(world, sigstore)
    if broken:
        world.broken[manifest.digest] = lambda *_: {"statusCode": 500, "body": "{}"}
    claims = {"workflow": "deploy-prod.yml", "caller": STARTED, "environment": "production", "sha": manifest.sha}
    for name, value in sigstore.job(**claims).items():
        monkeypatch.setenv(name, value)
    context = context_of(world)
    try:
        attested(context, manifest.digest, lambda: promote(context, manifest.digest))
    except RolledBack:
        assert broken
    ((_, key),) = [one for one in world.s3.objects if one[1].startswith(f"ledger/releases/{manifest.digest}/entry-")]
    signer = Signer(
        repository=REPOSITORY, workflow="deploy-prod.yml", started=STARTED, sha=manifest.sha, environment="production"
    )
    said = json.loads(verified(world.s3.objects[PROD, key][0], signer, sigstore.trusted, rehearsed=True))
    assert said["predicate"]["state"] == ("ROLLED_BACK" if broken else "CONFIRMED")
    assert said["subject"] == [{"name": MANIFEST_FILE, "digest": {"sha256": manifest.digest}}]
    entry = world.s3.objects[PROD, f"ledger/entries/{said['predicate']['entry']:08d}.json"][0]
    assert said["predicate"]["ledger"] == {"sha256": sha256(entry)}


def test_a_promotion_ends_as_it_does_also_where_nothing_can_be_signed(world, sigstore, monkeypatch):
    manifest = offer(world, sigstore)
    for name, value in sigstore.job(workflow="deploy-prod.yml", sha=manifest.sha).items():
        monkeypatch.setenv(name, value)
    context = context_of(world)

    def promoted():
        report = promote(context, manifest.digest)
        monkeypatch.setenv(REHEARSED, "http://127.0.0.1:1/_localcloud/trust")
        return report

    assert attested(context, manifest.digest, promoted).state is State.CONFIRMED
