"""What an environment serves and how it came to that: the ledger's view beside the cloud as it is."""

from __future__ import annotations

from typing import Any

from components.naming import CANDIDATE, LIVE
from release.context import Context
from release.lifecycle import PROMISES, Entry, Served


def status(context: Context) -> dict[str, Any]:
    """Ledger, lease and aliases of one environment."""
    view = context.ledger.view()
    known = view.served or view.confirmed
    functions = {
        name: {alias: _serves(context, name, alias) for alias in (LIVE, CANDIDATE)}
        for name in (known.functions if known else {})
    }
    attempt = view.attempt
    return {
        "stack": context.stack,
        "state": view.state,
        "promise": PROMISES[view.state] if view.state else "nothing was ever released here",
        # At the top as well: what a workflow's summary shows of the environment.
        **_release_line(view.confirmed),
        "confirmed": _release(view.confirmed),
        "serves": _release(view.served),
        "under_way": attempt.model_dump(mode="json") if attempt else None,
        "lease": context.lease.holder(),
        "functions": functions,
        "as_recorded": all(_is_as_recorded(functions[name][LIVE], known.functions[name].version) for name in functions)
        if known
        else True,
        "blocked": view.blocked,
    }


def history(context: Context, newest: int | None, *, verify: bool) -> dict[str, Any]:
    """The last entries, newest first, and with `verify` what is wrong with the chain."""
    entries = [_entry(entry) for entry in reversed(context.ledger.entries(newest))]
    return {
        "stack": context.stack,
        "entries": entries,
        **({"problems": context.ledger.verify()} if verify else {}),
    }


def _serves(context: Context, function: str, alias: str) -> dict[str, Any] | None:
    found = context.traffic.alias(function, alias)
    return {"version": found.version, "weights": found.weights} if found else None


def _is_as_recorded(live: dict[str, Any] | None, version: str) -> bool:
    return live is not None and live["version"] == version and not live["weights"]


def _release(served: Served | None) -> dict[str, Any] | None:
    if served is None:
        return None
    return {
        **served.release.as_reported(),
        "at": served.at,
        "versions": served.stable,
        "dashboard_url": served.dashboard_url,
    }


def _release_line(served: Served | None) -> dict[str, Any]:
    if served is None:
        return {}
    return {**served.release.as_reported(), "dashboard_url": served.dashboard_url}


def _entry(entry: Entry) -> dict[str, Any]:
    return entry.model_dump(mode="json", by_alias=True, exclude={"served"})
