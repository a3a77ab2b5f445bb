"""Errors of the Lambda API, with the codes and HTTP statuses that AWS uses."""


class ServiceError(Exception):
    """A refusal that a client sees: an AWS error code, a message for people, and the HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400, **details: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.details = details


def invalid(message: str) -> ServiceError:
    """A parameter has a value that the service does not take."""
    return ServiceError("InvalidParameterValueException", message)


def malformed(value: object, field: str, constraint: str) -> ServiceError:
    """A parameter breaks a constraint of the request's shape (a pattern, a length)."""
    message = f"1 validation error detected: Value '{value}' at '{field}' failed to satisfy constraint: {constraint}"
    return ServiceError("ValidationException", message)


def not_found(message: str) -> ServiceError:
    """What the request names does not exist."""
    return ServiceError("ResourceNotFoundException", message, 404)


def conflict(message: str) -> ServiceError:
    """It exists already, or something else still uses it."""
    return ServiceError("ResourceConflictException", message, 409)


def stale(message: str) -> ServiceError:
    """The caller's ``RevisionId`` or ``CodeSha256`` is not today's: somebody else was faster."""
    return ServiceError("PreconditionFailedException", message, 412)


def throttled(reason: str) -> ServiceError:
    """Too many calls run already: of the function, or of the account."""
    return ServiceError("TooManyRequestsException", "Rate Exceeded.", 429, Reason=reason)
