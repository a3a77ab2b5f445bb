"""Assumes the role of the job's environment at the local cloud, with the token that the job's permissions allow."""

import os
import sys

from run import Run, tell

from localcloud.iam import jobs


def main() -> None:
    """Give the later steps the credentials of the role, by the file that GITHUB_ENV names."""
    role, session, region = sys.argv[1:]
    run = Run()
    environment = run.known["environment"]
    if not environment:
        sys.exit(f"{run.job} names no environment, so no role trusts it")
    wanted = run.ask(f"/environments/{environment}/variables/AWS_ROLE_ARN")["value"]
    if role != wanted:
        sys.exit(f"{role!r} is not the role of the environment {environment}: {wanted}")
    if "AWS_ACCESS_KEY_ID" in os.environ:
        sys.exit("the job has credentials before it has assumed a role")
    secrets = jobs.assume(os.environ["AWS_ENDPOINT_URL"], role, session, token(run))
    sys.stdout.writelines(f"::add-mask::{value}\n" for value in secrets.values())
    sys.stdout.flush()
    shown = secrets | {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    tell("GITHUB_ENV", [f"{name}={value}" for name, value in shown.items()])
    run.note("roles.jsonl", environment=environment, role=role, session=session)


def token(run: Run) -> str:
    """Return the token by which the job shows who it is; GitHub gives one to jobs with `id-token: write` alone."""
    if not run.known["identity"]:
        sys.exit(f"{run.job} may ask for no token: its permissions lack `id-token: write`")
    started = run.told["run"]["workflow"]
    wanted = {
        "environment": run.known["environment"],
        "workflow": run.known["file"],
        "caller": started if started != run.known["file"] else "",
        "ref": os.environ["GITHUB_REF"],
        "sha": os.environ["GITHUB_SHA"],
        "event_name": os.environ["GITHUB_EVENT_NAME"],
        "actor": os.environ["GITHUB_ACTOR"],
        "run_id": int(os.environ["GITHUB_RUN_ID"]),
        "run_attempt": int(os.environ["GITHUB_RUN_ATTEMPT"]),
    }
    return jobs.token_of(jobs.register(run.told["github"], **wanted))


if __name__ == "__main__":
    main()
