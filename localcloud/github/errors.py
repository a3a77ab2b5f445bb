"""Refusals in GitHub's own shape."""

from __future__ import annotations

from typing import Any

_DOCUMENTATION = "https://docs.github.com/rest"


class GitHubError(Exception):
    """The API says no.

    Attributes:
        status: HTTP status of the answer.
        message: what GitHub would say.
        errors: the fields that are wrong, for a 422.
    """

    def __init__(self, status: int, message: str, errors: list[str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.errors = status, message, errors

    def body(self) -> dict[str, Any]:
        """Return the JSON body of the answer."""
        body: dict[str, Any] = {"message": self.message}
        if self.errors:
            body["errors"] = self.errors
        return body | {"documentation_url": _DOCUMENTATION, "status": str(self.status)}


def not_found() -> GitHubError:
    """What GitHub says about everything that is not there, or not for you."""
    return GitHubError(404, "Not Found")


def invalid(*errors: str) -> GitHubError:
    """What GitHub says about a body that it cannot take."""
    return GitHubError(422, "Validation Failed", list(errors))
