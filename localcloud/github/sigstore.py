"""Sigstore as GitHub's jobs meet it: an authority for short-lived certificates, and a log of what was signed with them.

Its keys are made when they are first needed and are nowhere else, so nothing that it signs is worth anything beyond
this process. `TRUST` hands out what a verifier has to know of it. Of the log each entry is a tree of its own.
"""

import hashlib
import json
import struct
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from fastapi import APIRouter, Depends, Request
from joserfc import jwt
from joserfc.errors import JoseError

from localcloud.environment import TRUST
from localcloud.github.errors import GitHubApiError, invalid
from localcloud.github.oidc import Issuer, Signer
from localcloud.github.routing import REPO, JsonBody
from localcloud.iam.tokens import ISSUER

AUDIENCE: Final = "sigstore"
_SITE: Final = "https://github.com"
_MINUTES: Final = 10
_PEM, _DER = serialization.Encoding.PEM, serialization.Encoding.DER
_SCTS: Final = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_FULCIO: Final = "1.3.6.1.4.1.57264.1"
_SHA256, _ECDSA, _PRECERTIFICATE = 4, 3, 1
_STATEMENT: Final = "application/vnd.in-toto+json"

routes = APIRouter()


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class Sigstore:
    """The authority and the log, each with a key of its own."""

    authority: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    certificates: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    """Signs that a certificate was logged."""
    log: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    """Signs that an entry was logged."""
    entries: list[bytes] = field(default_factory=list)
    bundles: list[tuple[frozenset[str], Any]] = field(default_factory=list)
    """What the repository was given: digests of files, and the bundle that is about them."""

    def __post_init__(self) -> None:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of the local cloud")])
        now = datetime.now(UTC)
        public = self.authority.public_key()
        self.root = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self.authority, hashes.SHA256())
        )

    def certificate(self, claims: Mapping[str, Any], request: x509.CertificateSigningRequest) -> x509.Certificate:
        """Return a certificate for the job whose token has these claims, with Fulcio's extensions."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.root.subject)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + timedelta(minutes=_MINUTES))
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.authority.public_key()), critical=False
            )
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(_at(claims["job_workflow_ref"]))]),
                critical=True,
            )
        )
        for number, value in extensions(claims).items():
            kind = x509.UnrecognizedExtension(x509.ObjectIdentifier(f"{_FULCIO}.{number}"), value)
            builder = builder.add_extension(kind, critical=False)
        unlogged = builder.sign(self.authority, hashes.SHA256()).tbs_certificate_bytes
        logged = x509.UnrecognizedExtension(_SCTS, self._timestamp(unlogged))
        return builder.add_extension(logged, critical=False).sign(self.authority, hashes.SHA256())

    def _timestamp(self, unlogged: bytes) -> bytes:
        """Return the signed certificate timestamp of RFC 6962 (section 3.2), as the extension holds it."""
        issuer = hashlib.sha256(_public(self.authority)).digest()
        at = struct.pack("!Q", int(time.time() * 1000))
        entry = issuer + len(unlogged).to_bytes(3) + unlogged
        signed = b"\0\0" + at + struct.pack("!H", _PRECERTIFICATE) + entry + b"\0\0"
        signature = self.certificates.sign(signed, ec.ECDSA(hashes.SHA256()))
        one = b"\0" + hashlib.sha256(_public(self.certificates)).digest() + at + b"\0\0"
        one += bytes([_SHA256, _ECDSA]) + struct.pack("!H", len(signature)) + signature
        return _der(4, struct.pack("!HH", len(one) + 2, len(one)) + one)

    def enter(self, envelope: Mapping[str, Any], verifier: str) -> dict[str, Any]:
        """Log a DSSE envelope that the certificate `verifier` (PEM in base64) has signed, and return the entry."""
        (signature,) = envelope["signatures"]
        payload = b64decode(envelope["payload"])
        certificate = x509.load_pem_x509_certificate(b64decode(verifier))
        certificate.verify_directly_issued_by(self.root)
        public = certificate.public_key()
        if not isinstance(public, ec.EllipticCurvePublicKey) or envelope["payloadType"] != _STATEMENT:
            raise ValueError("no statement, or signed by a key of another kind")
        signed = f"DSSEv1 {len(_STATEMENT)} {_STATEMENT} {len(payload)} ".encode() + payload
        public.verify(b64decode(signature["sig"]), signed, ec.ECDSA(hashes.SHA256()))
        spec = {
            "envelopeHash": {"algorithm": "sha256", "value": _sha256(_canonical(envelope))},
            "payloadHash": {"algorithm": "sha256", "value": _sha256(payload)},
            "signatures": [{"signature": signature["sig"], "verifier": verifier}],
        }
        body = _canonical({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})
        self.entries.append(body)
        return self._entry(body, len(self.entries) - 1)

    def _entry(self, body: bytes, index: int) -> dict[str, Any]:
        root, log = hashlib.sha256(b"\0" + body).digest(), hashlib.sha256(_public(self.log)).digest()
        note = f"localcloud\n1\n{b64encode(root).decode()}\n"
        signed = b64encode(log[:4] + self._logged(note.encode())).decode()
        entry = {
            "body": b64encode(body).decode(),
            "integratedTime": int(time.time()),
            "logID": log.hex(),
            "logIndex": index,
        }
        proof = {
            "checkpoint": f"{note}\n\N{EM DASH} localcloud {signed}\n",
            "hashes": [],
            "logIndex": 0,
            "rootHash": root.hex(),
            "treeSize": 1,
        }
        promise = b64encode(self._logged(_canonical(entry))).decode()
        return {**entry, "verification": {"inclusionProof": proof, "signedEntryTimestamp": promise}}

    def _logged(self, what: bytes) -> bytes:
        return self.log.sign(what, ec.ECDSA(hashes.SHA256()))

    def trust(self, address: str) -> dict[str, Any]:
        """Return the configuration by which Sigstore's clients find and trust this one, which answers at `address`."""
        since = {"start": "2020-01-01T00:00:00Z"}
        service = {"url": address, "majorApiVersion": 1, "validFor": since, "operator": "localcloud"}

        def instance(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
            public = _public(key)
            return {
                "baseUrl": address,
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": b64encode(public).decode(),
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "validFor": since,
                },
                "logId": {"keyId": b64encode(hashlib.sha256(public).digest()).decode()},
            }

        chain = [{"rawBytes": b64encode(self.root.public_bytes(_DER)).decode()}]
        authority = {
            "subject": {"organization": "localcloud", "commonName": "authority of the local cloud"},
            "uri": address,
            "certChain": {"certificates": chain},
            "validFor": since,
        }
        return {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": {
                "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
                "tlogs": [instance(self.log)],
                "certificateAuthorities": [authority],
                "ctlogs": [instance(self.certificates)],
                "timestampAuthorities": [],
            },
            "signingConfig": {
                "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
                "caUrls": [service],
                "oidcUrls": [],
                "rekorTlogUrls": [service],
                "rekorTlogConfig": {"selector": "ANY"},
                "tsaUrls": [],
                "tsaConfig": {"selector": "ANY"},
            },
        }


def extensions(claims: Mapping[str, Any]) -> dict[int, bytes]:
    """Return Fulcio's extensions for a token of GitHub's, by the last number of their identifiers.

    As its configuration maps claims (config/identity/config.yaml); the first six are plain text, the others DER.
    """
    owner = claims["repository_owner"]
    run = f"{claims['repository']}/actions/runs/{claims['run_id']}/attempts/{claims['run_attempt']}"
    plain = {
        1: claims["iss"],
        2: claims["event_name"],
        3: claims["sha"],
        5: claims["repository"],
        6: claims["ref"],
    }
    encoded = {
        8: claims["iss"],
        9: _at(claims["job_workflow_ref"]),
        11: claims["runner_environment"],
        12: _at(claims["repository"]),
        13: claims["sha"],
        14: claims["ref"],
        15: claims["repository_id"],
        16: _at(owner),
        17: claims["repository_owner_id"],
        18: _at(claims["workflow_ref"]),
        20: claims["event_name"],
        21: _at(run),
        23: claims.get("environment", ""),
    }
    texts = {number: _der(12, str(value).encode()) for number, value in encoded.items()}
    return {number: str(value).encode() for number, value in plain.items()} | texts


def _at(path: str) -> str:
    return f"{_SITE}/{path}"


def _usage(**allowed: bool) -> x509.KeyUsage:
    every = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    every += ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**dict.fromkeys(every, False) | allowed)


def _der(tag: int, content: bytes) -> bytes:
    """A value of ASN.1 in DER: 4 is an octet string, 12 a text."""
    size = len(content)
    if size < 0x80:  # noqa: PLR2004 -- up to here the length is one byte
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + content


def _public(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(_DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _canonical(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


async def _sigstore(request: Request) -> Sigstore:
    return request.app.state.sigstore


Logged = Annotated[Sigstore, Depends(_sigstore)]


@routes.post(f"{REPO}/attestations", status_code=201)
async def _attest(asked: JsonBody, sigstore: Logged) -> dict[str, int]:
    try:
        said = json.loads(b64decode(asked["bundle"]["dsseEnvelope"]["payload"]))
        about = {f"sha256:{one['digest']['sha256']}" for one in said["subject"]}
    except (KeyError, ValueError, TypeError):
        raise invalid("bundle is none, or its statement is about no file") from None
    sigstore.bundles.append((frozenset(about), asked["bundle"]))
    return {"id": len(sigstore.bundles)}


@routes.get(f"{REPO}/attestations/{{digest}}")
async def _attestations(digest: str, sigstore: Logged) -> dict[str, Any]:
    return {"attestations": [{"bundle": bundle} for about, bundle in sigstore.bundles if digest in about]}


@routes.get(TRUST)
async def _trust(request: Request, sigstore: Logged) -> dict[str, Any]:
    return sigstore.trust(str(request.base_url).rstrip("/"))


@routes.post("/api/v2/signingCert")
async def _certify(asked: JsonBody, request: Request, issuer: Signer, sigstore: Logged) -> dict[str, Any]:
    claims = _claims(request.headers.get("authorization", "").partition(" ")[2], issuer)
    try:
        wanted = x509.load_pem_x509_csr(b64decode(asked["certificateSigningRequest"]))
    except (KeyError, ValueError):
        raise invalid("certificateSigningRequest is none") from None
    if not wanted.is_signature_valid:
        raise invalid("the request is not signed by the key that it names")
    chain = [one.public_bytes(_PEM).decode() for one in (sigstore.certificate(claims, wanted), sigstore.root)]
    return {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}


def _claims(token: str, issuer: Issuer) -> dict[str, Any]:
    """The claims of a token that this issuer has signed for Sigstore, and that has not expired."""
    try:
        claims = jwt.decode(token, issuer.key, algorithms=["RS256"]).claims
        jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": ISSUER},
            aud={"essential": True, "value": AUDIENCE},
            exp={"essential": True},
        ).validate(claims)
    except (JoseError, ValueError) as error:
        raise GitHubApiError(401, f"There was an error processing the identity token: {error}") from None
    return claims


@routes.post("/api/v1/log/entries", status_code=201)
async def _enter(asked: JsonBody, sigstore: Logged) -> dict[str, Any]:
    try:
        proposed = asked["spec"]["proposedContent"]
        (verifier,) = proposed["verifiers"]
        entry = sigstore.enter(json.loads(proposed["envelope"]), verifier)
    except (KeyError, ValueError, TypeError, InvalidSignature) as error:
        raise GitHubApiError(400, f"error processing entry: {error}") from None
    return {_sha256(b64decode(entry["body"])): entry}
