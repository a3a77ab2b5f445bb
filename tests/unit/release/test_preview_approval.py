"""Who may allow a loss of data, and which label counts: decided without GitHub."""

from datetime import UTC, datetime, timedelta

import pytest

from release.clients.github import LabelEvent
from release.preview.approval import LABEL, decide, named_owners, owns

SINCE = datetime(2026, 11, 1, tzinfo=UTC)


def event(login="owner", seconds=1, kind="User", number=1):
    actor = None if login is None else {"login": login, "type": kind}
    at = (SINCE + timedelta(seconds=seconds)).isoformat()
    return LabelEvent.model_validate({"id": number, "event": "labeled", "actor": actor, "created_at": at})


def granted(*events, labels=(LABEL,), owners=("owner",)):
    return decide(labels, events, SINCE, lambda login: login in owners)


def test_a_label_by_an_owner_after_the_preview_counts():
    assert granted(event()).granted is True
    assert "`owner`" in granted(event()).text


@pytest.mark.parametrize(
    ("events", "labels"),
    [
        ([event()], []),
        ([event()], ["allow-data-loss2", "Allow-data-loss"]),
        ([], [LABEL]),
        ([event(None)], [LABEL]),
        ([event("somebody")], [LABEL]),
        ([event(kind="Bot")], [LABEL]),
        ([event(kind="Organization")], [LABEL]),
        ([event(seconds=0)], [LABEL]),
        ([event(seconds=-1)], [LABEL]),
        ([event(), event("somebody", seconds=2)], [LABEL]),
        ([event("somebody", seconds=2), event()], [LABEL]),
        ([event(number=1), event("somebody", number=2)], [LABEL]),
        ([event("somebody", number=2), event(number=1)], [LABEL]),
    ],
)
def test_any_other_label_does_not_and_the_comment_says_who_may_set_it(events, labels):
    found = granted(*events, labels=labels)
    assert found.granted is False
    assert "CODEOWNERS" in found.text


def test_whether_somebody_owns_the_code_is_asked_last():
    def never(_):
        raise AssertionError

    for events, labels in (([event()], []), ([event(kind="Bot")], [LABEL]), ([event(seconds=0)], [LABEL])):
        assert decide(labels, events, SINCE, never).granted is False


def test_a_login_cannot_write_into_the_comment():
    found = granted(event("`@all` <b>"))
    assert "@all" not in found.text.replace("`` `@all` <b> ``", "")


def test_logins_of_codeowners_count_in_any_case_and_teams_addresses_patterns_and_remarks_do_not():
    text = "# @commented\n\n*  @Owner @org/team mail@example.org # @remark\n/@pattern/  @second\n@alone\n"
    assert named_owners(text) == {"owner", "second"}


@pytest.mark.parametrize(
    ("login", "role", "expected"),
    [
        ("OWNER", "read", True),
        ("somebody", "maintain", True),
        ("somebody", "admin", True),
        ("somebody", "write", False),
        ("somebody", "triage", False),
        ("somebody", "read", False),
        ("somebody", "administrator of nothing", False),
    ],
)
def test_an_owner_is_named_or_maintains_the_repository(login, role, expected):
    assert owns(login, "* @owner", lambda _: role) is expected
