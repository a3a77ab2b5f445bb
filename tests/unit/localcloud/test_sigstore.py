"""The Sigstore of the local cloud is no softer than the real one about who gets a certificate, and what is logged."""

import json
from base64 import b64encode

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwt
from joserfc.jwk import RSAKey
from sigstore import dsse
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext

from localcloud.environment import TRUST
from localcloud.github.oidc import JobRequest, claims
from localcloud.github.sigstore import AUDIENCE, Sigstore, extensions
from localcloud.github.store import GitHubStore
from release.attestation.sigstore import _trust
from tests.signing import BUILD, local_sigstore

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cloud():
    with local_sigstore() as one:
        yield one


def token(cloud, audience=AUDIENCE, **job):
    with httpx.Client() as client:
        asked = client.post(f"{cloud.url}/_localcloud/jobs", json=BUILD | job).raise_for_status().json()
        address = f"{asked['request_url']}&audience={audience}"
        bearer = {"Authorization": f"bearer {asked['request_token']}"}  # as some clients write it
        return client.get(address, headers=bearer).raise_for_status().json()["value"]


def request(key):
    return x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())


def asked_for(cloud, token, csr=None):
    pem = (csr or request(ec.generate_private_key(ec.SECP256R1()))).public_bytes(serialization.Encoding.PEM)
    body = {"certificateSigningRequest": b64encode(pem).decode()}
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}) as client:
        return client.post(f"{cloud.url}/api/v2/signingCert", json=body)


def test_a_job_gets_a_certificate_for_minutes(cloud):
    answer = asked_for(cloud, token(cloud))
    assert answer.status_code == 200
    leaf, root = answer.json()["signedCertificateEmbeddedSct"]["chain"]["certificates"]
    certificate = x509.load_pem_x509_certificate(leaf.encode())
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(root.encode()))
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).total_seconds() == 600


def test_a_token_for_somebody_else_an_old_one_and_a_forged_one_get_none(cloud):
    forged = claims(JobRequest(**BUILD), AUDIENCE, GitHubStore())
    key = RSAKey.generate_key(2048)
    assert asked_for(cloud, token(cloud, "sts.amazonaws.com")).status_code == 401
    assert asked_for(cloud, token(cloud, expires_in=-60)).status_code == 401
    assert asked_for(cloud, jwt.encode({"alg": "RS256"}, forged, key)).status_code == 401
    assert asked_for(cloud, "nothing").status_code == 401


@pytest.fixture
def proposed(cloud):
    """What a client sends to the log; nothing is sent."""
    sent = []
    context = SigningContext.from_trust_config(_trust(cloud.trusted, rehearsed=True))
    context._rekor.create_entry = lambda body: sent.append(body) or 1 / 0
    built = dsse.StatementBuilder([dsse.Subject(name="a", digest={"sha256": "0" * 64})], "https://a.test", {"a": 1})
    with context.signer(IdentityToken(token(cloud))) as signer, pytest.raises(ZeroDivisionError):
        signer.sign_dsse(built.build())
    return json.loads(json.dumps(sent[0]))


def entered(cloud, proposed):
    with httpx.Client() as client:
        return client.post(f"{cloud.url}/api/v1/log/entries", json=proposed).status_code


def test_the_log_takes_what_a_certificate_of_the_authority_has_signed_and_nothing_else(cloud, proposed):
    assert entered(cloud, proposed) == 201
    inner = proposed["spec"]["proposedContent"]
    envelope, verifiers = inner["envelope"], inner["verifiers"]
    changed = json.loads(envelope)
    changed["payload"] = b64encode(b"{}").decode()
    inner["envelope"] = json.dumps(changed)
    assert entered(cloud, proposed) == 400
    foreign = Sigstore()
    certificate = foreign.certificate(
        claims(JobRequest(**BUILD), AUDIENCE, GitHubStore()), request(ec.generate_private_key(ec.SECP256R1()))
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    inner["envelope"], inner["verifiers"] = envelope, [b64encode(pem).decode()]
    assert entered(cloud, proposed) == 400
    inner["verifiers"] = [*verifiers, *verifiers]
    assert entered(cloud, proposed) == 400
    assert entered(cloud, {}) == 400


def test_the_root_is_another_one_for_each_cloud(cloud):
    with local_sigstore() as other, httpx.Client() as client:
        roots = [client.get(f"{one.url}{TRUST}").json()["trustedRoot"] for one in (cloud, cloud, other)]
    assert roots[0] == roots[1]
    assert roots[0]["certificateAuthorities"] != roots[2]["certificateAuthorities"]


def test_a_certificate_has_the_extensions_that_fulcio_documents():
    said = extensions(claims(JobRequest(**BUILD, sha="1" * 40), AUDIENCE, GitHubStore()))
    assert said[3] == b"1" * 40
    assert said[13] == b"\x0c\x28" + b"1" * 40
    assert said[12] == b"\x0c\x2b" + b"https://github.com/local/sentiment-pipeline"
