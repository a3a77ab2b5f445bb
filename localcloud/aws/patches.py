"""Every place where moto 5.2.5 is corrected, by name.

moto is pinned exactly because the patches reach into it. Each patch has one test of the same name in
tests/localcloud/test_aws_patches.py that fails when the patch is gone.
"""

from collections.abc import Callable

from localcloud.aws import budgets, cloudwatch, dynamodb, events, iam, s3, scheduler, sns, stepfunctions, sts
from localcloud.habits import LATE_INDEXES, Habits

PATCHES: tuple[Callable[[], None], ...] = (
    s3.evaluate_bucket_policies,
    s3.refuse_malformed_bucket_policies,
    s3.check_conditions_of_copies,
    s3.check_if_match_of_completed_uploads,
    cloudwatch.start_alarms_without_data,
    cloudwatch.keep_state_of_changed_alarms,
    cloudwatch.refuse_alarms_that_nobody_evaluates,
    cloudwatch.match_metrics_exactly,
    cloudwatch.refuse_malformed_dashboards,
    dynamodb.project_whole_attributes_at_once,
    dynamodb.send_scalar_values_as_they_are,
    scheduler.refuse_roles_that_scheduler_cannot_assume,
    scheduler.refuse_expressions_that_never_fire,
    scheduler.replace_schedules_as_a_whole,
    scheduler.answer_repeated_creations,
    budgets.tell_who_hears_a_notification,
    budgets.change_budgets,
    budgets.keep_tags_of_budgets,
    iam.change_audiences_of_oidc_providers,
    events.refuse_roles_that_events_cannot_assume,
    stepfunctions.refuse_roles_that_states_cannot_assume,
    stepfunctions.refuse_definitions_that_are_not_run,
    sns.deliver_to_lambda,
    sns.share_one_signing_key,
    sns.make_mails_wait_for_confirmation,
    sts.name_unknown_callers_root,
    sts.check_web_identities,
)


def apply_patches() -> None:
    """Apply all patches, and those that follow AWS's habits; call once, before the first request."""
    for patch in PATCHES:
        patch()
    habits = Habits.from_environment()
    if habits.has(LATE_INDEXES):
        dynamodb.let_indexes_follow_late(habits)
