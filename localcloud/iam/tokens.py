"""Web identities: tokens of an issuer, checked as STS does before it looks at a role's trust."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from components.arns import GITHUB_ISSUER
from localcloud.process.direct import DIRECTLY

ISSUER: Final = f"https://{GITHUB_ISSUER}"

Audiences = Callable[[str], list[str] | None]
"""From an issuer without its scheme to the audiences of its provider in IAM; None where there is no provider."""


class TokenError(Exception):
    """STS refuses a token, with AWS's code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class WebIdentity:
    """What a token says that STS believes."""

    issuer: str
    """Without its scheme, as IAM names providers and condition keys."""
    claims: Mapping[str, Any]

    @property
    def context(self) -> dict[str, str]:
        """The claims as condition keys of the trust policy."""
        return {f"{self.issuer}:{name}": str(value) for name, value in self.claims.items()}


def verified(token: str, audiences: Audiences, keys_at: str) -> WebIdentity:
    """Return whom a token stands for.

    The keys of GitHub's issuer are asked for at `keys_at`; any other issuer is out of reach here.

    Raises:
        TokenError: it is no token, of an issuer without a provider, for another audience, expired, or not signed by it.
    """
    claims = _read(token)
    url = str(claims.get("iss", ""))
    issuer = url.removeprefix("https://")
    known = audiences(issuer)
    if known is None:
        raise TokenError("InvalidIdentityToken", f"No OpenIDConnect provider found in your account for {url}")
    if claims.get("aud") not in known:
        raise TokenError("InvalidIdentityToken", "Incorrect token audience")
    now, until = time.time(), claims.get("exp")
    if not isinstance(until, int | float):
        raise TokenError("InvalidIdentityToken", "Missing a required claim: exp")
    if now >= until:
        raise TokenError(
            "ExpiredTokenException",
            f"Token expired: current date/time {now:.0f} must be before the expiration date/time {until:.0f}",
        )
    try:
        jwt.decode(token, KeySet.import_key_set(_keys(keys_at if url == ISSUER else "")), algorithms=["RS256"])
    except (JoseError, ValueError):
        raise TokenError(
            "InvalidIdentityToken",
            "The web identity token that was passed could not be validated: its signature is not of the issuer's keys",
        ) from None
    return WebIdentity(issuer, claims)


def _read(token: str) -> dict[str, Any]:
    try:
        claims = json.loads(jws.extract_compact(token.encode()).payload)
    except (JoseError, ValueError):
        claims = None
    if not isinstance(claims, dict):
        raise TokenError("InvalidIdentityToken", "The ID Token provided is not a valid JWT")
    return claims


def _keys(address: str) -> Any:
    try:
        document = _get(f"{address}/.well-known/openid-configuration")
        return _get(document["jwks_uri"])
    except (OSError, ValueError, KeyError):
        raise TokenError(
            "InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider"
        ) from None


def _get(url: str) -> Any:
    with DIRECTLY.open(url, timeout=10) as answer:
        return json.load(answer)
