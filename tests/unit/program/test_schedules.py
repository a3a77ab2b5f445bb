"""How far apart runs are, and which schedules the program takes."""

import json

import pytest

from components.schedules import ScheduleError, longest_gap
from components.settings import SettingError
from localcloud.news.plan import REQUESTS, WINDOW_SECONDS
from release.pulumi.stack_config import OVERLAY, load
from tests.news_plan import RELEASE_REQUESTS, RELEASES
from tests.stacks import STACK_FILES
from tests.unit.program.harness import SERVICE_STACKS, run

HOUR, DAY = 3600, 24 * 3600


@pytest.mark.parametrize(
    ("expression", "gap"),
    [
        ("rate(1 minute)", 60),
        ("rate(15 minutes)", 900),
        ("rate(3 days)", 3 * DAY),
        ("cron(0/15 * * * ? *)", 900),
        ("cron(0,10 * * * ? *)", 3000),
        ("cron(0 6 * * ? *)", DAY),
        ("cron(0 6,7 * * ? *)", 23 * HOUR),
        ("cron(*/5 8-17 ? * MON-FRI *)", 3 * DAY - 9 * HOUR - 55 * 60),
        ("cron(0 6 ? * 2,4,6 *)", 3 * DAY),
        ("cron(0 6 1/2 * ? *)", 2 * DAY),
        ("cron(0 6 28 FEB ? *)", 366 * DAY),
        ("cron(30 6 29 2 ? *)", 4 * 365 * DAY + DAY),
        ("cron(0 6 L * ? *)", 31 * DAY),
        ("cron(0 6 ? * 6#3 *)", 31 * DAY),
        ("cron(0 6 ? 1-11 MON *)", 6 * 7 * DAY),
    ],
)
def test_the_longest_time_between_two_runs_is_that_of_the_calendar(expression, gap):
    assert longest_gap(expression) == gap


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("at(2026-11-01T00:00:00)", "neither rate"),
        ("cron(0 6 * * ? 2030)", "its runs end"),
        ("cron(0 6 * * * *)", "must be ?"),
        ("cron(0 6 ? * ? *)", "must be ?"),
        ("cron(60 6 * * ? *)", "its minute '60' is none"),
        ("cron(0 24 * * ? *)", "its hour '24' is none"),
        ("cron(0 6 0 * ? *)", "its day of month '0' is none"),
        ("cron(0 6 ? * MOO *)", "its day of week 'MOO' is none"),
        ("cron(0/0 6 * * ? *)", "its minute '0/0' is none"),
        ("cron(0 17-8 * * ? *)", "its hour '17-8' is none"),
        ("cron(0 6 31 2 ? *)", "has no runs"),
    ],
)
def test_an_expression_that_names_no_runs_says_why(expression, said):
    with pytest.raises(ScheduleError, match=said):
        longest_gap(expression)


def test_default_schedules_and_releases_of_both_environments_fit_the_plan_of_one_news_key():
    asked = 0
    for stack in SERVICE_STACKS:
        settings = load(stack, STACK_FILES, {})
        assert settings.schedule_expression.startswith("rate("), "the runs of a rate are evenly apart"
        runs = WINDOW_SECONDS // longest_gap(settings.schedule_expression) + 1  # one at each end of the window
        asked += runs * len(settings.watch_tags)
    assert asked + RELEASES * RELEASE_REQUESTS <= REQUESTS


@pytest.mark.parametrize("expression", ["rate(84 hours)", "cron(0 6 ? * MON-FRI *)"])
def test_a_schedule_whose_missing_runs_an_alarm_can_see_is_taken(expression):
    overlaid = {"sentiment-pipeline:scheduleExpression": expression}
    assert load("prod", STACK_FILES, {OVERLAY: json.dumps(overlaid)}).schedule_expression == expression


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("rate(85 hours)", r"at most 84 hours apart \(these are up to 85\)"),
        ("cron(0 6 ? * MON *)", "CloudWatch looks back seven days at most"),
        ("cron(0 6 * * ? 2030)", "its runs end"),
    ],
)
def test_a_schedule_whose_missing_runs_no_alarm_can_see_is_refused_before_anything_is_made(expression, said):
    with pytest.raises(Exception, match=said) as refused:
        run("prod", scheduleExpression=expression)
    assert isinstance(refused.value.__cause__, SettingError)
