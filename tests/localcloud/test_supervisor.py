"""The `localcloud` command and the processes behind it, each test with clouds in folders of its own."""

import io
import json
import os
import signal
import subprocess
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import boto3
import psutil
import pytest

from localcloud.process.state import CloudState
from tests.cloud import BIN, ROOT, Ran

PARTS = ["aws", "lambdas", "alarms", "schedules", "github", "news"]
pytestmark = [pytest.mark.timeout(60)]


def until(condition, seconds=15.0):
    """Wait for a condition; return what it came to."""
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return met


@dataclass(frozen=True)
class Home:
    """One LOCALCLOUD_HOME and the commands that a person types there."""

    folder: Path

    @property
    def variables(self):
        nowhere = "http://127.0.0.1:9"  # a proxy that never answers: nothing on loopback may ask it
        return os.environ | {
            "LOCALCLOUD_HOME": str(self.folder),
            "LOCALCLOUD_CLOCK": "x60",
            "http_proxy": nowhere,
            "HTTPS_PROXY": nowhere,
        }

    def begin(self, *command, **options):
        return subprocess.Popen(
            [BIN / "localcloud", *command],
            env=self.variables,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def run(self, *command, expected=0) -> Ran:
        process = self.begin(*command)
        stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == expected, f"{command} ended with {process.returncode}\n{stdout}\n{stderr}"
        assert "Traceback" not in stderr
        return Ran(process.returncode, stdout, stderr)

    def state(self):
        return json.loads((self.folder / "cloud.json").read_text())

    def supervisor(self):
        return psutil.Process(self.state()["pid"])

    def part(self, name):
        return next(child for child in self.supervisor().children() if f"localcloud.{name}" in child.cmdline())

    def processes(self):
        """Everything that lives and belongs to this folder, whoever is its parent now."""
        found = []
        for process in psutil.process_iter():
            try:
                ours = process.environ().get("LOCALCLOUD_HOME") == str(self.folder)
                ours = ours or any(str(self.folder) in word for word in process.cmdline())
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def sandboxes(self):
        return [process for process in self.processes() if any("launcher.py" in word for word in process.cmdline())]

    def client(self, service):
        port = self.state()["ports"]["lambdas" if service == "lambda" else "aws"]
        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="us-east-1",
        )

    def buckets(self):
        return {bucket["Name"] for bucket in self.client("s3").list_buckets()["Buckets"]}

    def warm_a_function(self):
        """Run a function once; its sandbox stays."""
        package = io.BytesIO()
        with zipfile.ZipFile(package, "w") as archive:
            archive.writestr("handler.py", "def handle(event, context):\n    return 1\n")
        self.client("s3").create_bucket(Bucket="packages")
        self.client("s3").put_object(Bucket="packages", Key="one.zip", Body=package.getvalue())
        trusted = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        role = self.client("iam").create_role(
            RoleName="one", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trusted]})
        )
        lambdas = self.client("lambda")
        lambdas.create_function(
            FunctionName="one",
            Runtime="python3.11",
            Handler="handler.handle",
            Role=role["Role"]["Arn"],
            Code={"S3Bucket": "packages", "S3Key": "one.zip"},
        )
        assert lambdas.invoke(FunctionName="one")["Payload"].read() == b"1"
        assert len(self.sandboxes()) == 1

    def end(self):
        """Leave nothing behind, whatever the test came to."""
        for process in self.processes():
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue


@pytest.fixture
def home(tmp_path):
    one = Home(tmp_path / "home")
    yield one
    one.end()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A cloud that runs and that no test ends."""
    one = Home(tmp_path_factory.mktemp("running"))
    one.run("start")
    yield one
    one.end()


def test_status_names_the_parts_their_addresses_and_logs(running):
    said = running.run("status").stderr
    assert all(part in said and f"{part}.log" in said for part in PARTS)
    document = json.loads(running.run("status", "--json").stdout)
    assert document["running"] is True
    assert list(document["parts"]) == PARTS


def test_starting_twice_gives_the_same_cloud(running):
    before = running.state()
    running.run("start")
    assert running.state() == before


def test_the_environment_names_this_cloud_and_no_credentials_of_the_machine(running):
    variables = json.loads(running.run("env", "--json").stdout)
    assert variables["AWS_ENDPOINT_URL"] == f"http://127.0.0.1:{running.state()['ports']['aws']}"
    assert variables["AWS_CONFIG_FILE"] == os.devnull
    shell = subprocess.run(
        ["sh", "-c", running.run("env").stdout + 'echo "$AWS_ENDPOINT_URL"'], capture_output=True, text=True, check=True
    )
    assert shell.stdout.strip() == variables["AWS_ENDPOINT_URL"]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["logs", "lambda"], "logs that exist: alarms, aws, github, lambdas, news, schedules, supervisor"),
        (["run"], "localcloud run -- COMMAND"),
        (["run", "--", "no-such-command"], "there is no command 'no-such-command'"),
        (["run", "--", "/"], "'/' cannot be run"),
        (["frobnicate"], "No such command 'frobnicate'"),
    ],
)
def test_a_mistake_is_answered_with_what_to_do(running, command, says):
    assert says in running.run(*command, expected=2).stderr


def test_ctrl_c_ends_the_command_and_not_the_cloud(running):
    before = running.state()
    command = running.begin("run", "--", "sleep", "100", start_new_session=True)
    assert until(lambda: "sleep" in psutil.Process(command.pid).cmdline()[:1])
    os.killpg(command.pid, signal.SIGINT)
    command.communicate(timeout=10)
    assert command.returncode == -signal.SIGINT
    assert running.state() == before
    assert json.loads(running.run("status", "--json").stdout)["running"] is True


def test_two_clouds_do_not_see_each_other_and_a_stopped_one_leaves_no_process(running, home):
    home.run("start")
    assert not set(home.state()["ports"].values()) & set(running.state()["ports"].values())
    home.warm_a_function()
    assert "packages" in home.buckets()
    assert "packages" not in running.buckets()
    assert len(home.processes()) == len(PARTS) + 2

    assert "stopped" in home.run("stop").stderr

    assert home.processes() == []
    assert not (home.folder / "cloud.json").exists()
    assert json.loads(running.run("status", "--json").stdout)["running"] is True
    assert "not running" in home.run("stop").stderr
    assert "the local cloud is not running" in home.run("status", expected=2).stderr
    assert json.loads(home.run("status", "--json", expected=2).stdout)["running"] is False


def test_a_killed_supervisor_takes_everything_with_it_and_the_next_run_says_that_it_begins_empty(home):
    home.run("start")
    home.warm_a_function()
    home.supervisor().kill()
    assert until(lambda: not home.processes()), home.processes()

    for command in (["status"], ["env"], ["fill-secrets"]):
        said = home.run(*command, expected=2).stderr
        assert "ended from outside" in said
        assert "localcloud start" in said

    again = home.run("run", "--", "pulumi", "preview", "--stack", "preprod-foundation")
    assert "ended from outside" in again.stderr
    assert "starting a new one, which is empty" in again.stderr
    assert "to create" in again.stdout
    assert "empty" not in home.run("run", "--", "true").stderr


def test_a_killed_part_ends_the_cloud_and_every_later_command_says_which(home):
    home.run("start")
    variables = home.variables | json.loads(home.run("env", "--json").stdout)
    home.warm_a_function()
    home.part("lambdas").kill()
    assert until(lambda: not home.processes()), home.processes()

    assert "`lambdas` ended with code -9" in home.state()["failure"]
    log = str(home.folder / "logs" / "lambdas.log")
    for command in (["status"], ["env"], ["fill-secrets"]):
        said = home.run(*command, expected=2).stderr
        assert "its part `lambdas` ended with code -9" in said
        assert log in said
        assert "localcloud start" in said
    assert "`lambdas`" in json.loads(home.run("status", "--json", expected=2).stdout)["why"]
    wrapped = subprocess.run(
        ["pulumi", "preview", "--stack", "preprod"],
        env=variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (wrapped.returncode, wrapped.stdout) == (2, "")
    assert "its part `lambdas` ended with code -9" in wrapped.stderr
    assert "Traceback" not in wrapped.stderr


def test_two_starts_at_the_same_moment_give_one_cloud(home):
    starts = [home.begin("start") for _ in range(2)]
    said = [start.communicate(timeout=60)[1] for start in starts]
    assert [start.returncode for start in starts] == [0, 0], said
    assert len([process for process in home.processes() if "localcloud.process.supervisor" in process.cmdline()]) == 1
    assert all(f"running as process {home.state()['pid']}" in line for line in said)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "SIGKILL"])
def test_a_start_that_is_broken_off_leaves_nothing(home, ending):
    starting = home.begin("start", start_new_session=True)
    assert until(lambda: len(home.processes()) > 2)
    os.killpg(starting.pid, ending)
    starting.communicate(timeout=30)
    if ending == signal.SIGINT:
        assert starting.returncode == 130
        assert home.processes() == [], "it has ended before the command returns"
    assert until(lambda: not home.processes()), home.processes()
    assert not (home.folder / "cloud.json").exists()


def test_a_supervisor_that_has_ended_counts_as_gone_where_nobody_asks_for_its_exit_code():
    child = subprocess.Popen(["true"])
    process = psutil.Process(child.pid)
    created = process.create_time()
    assert until(lambda: process.status() == psutil.STATUS_ZOMBIE)
    assert not CloudState(pid=child.pid, created=created, clock="x1").running
    child.wait()
