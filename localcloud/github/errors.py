"""Refusals in GitHub's own shape."""

from typing import Any, TypeVar

T = TypeVar("T")
_DOCUMENTATION = "https://docs.github.com/rest"


class GitHubApiError(Exception):
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


def not_found() -> GitHubApiError:
    """Return what GitHub says about everything that is not there, or not for you."""
    return GitHubApiError(404, "Not Found")


def found(thing: T | None) -> T:
    """Return the thing; 404 when there is none."""
    if thing is None:
        raise not_found()
    return thing


def invalid(*errors: str) -> GitHubApiError:
    """Return what GitHub says about a body that it cannot take."""
    return GitHubApiError(422, "Validation Failed", list(errors))
