import os
import subprocess
import sys

from uv import find_uv_bin

PROJECT = '[project]\nname = "{name}"\nversion = "0"\nrequires-python = "==3.11.*"\ndependencies = [{dependencies}]\n\n'
PACKAGE_FALSE = "[tool.uv]\npackage = false\n"
LOCK_OF_NOTHING = """version = 1
revision = 3
requires-python = "==3.11.*"

[[package]]
name = "{name}"
version = "0"
source = {{ virtual = "." }}
"""
HELLO = "def handle(event, context):\n    return 'hello'\n"
IDENTITY = {
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.com",
    "GIT_AUTHOR_DATE": "2026-11-23T06:52:00+01:00",
    "GIT_COMMITTER_DATE": "2026-11-23T06:52:00+01:00",
    "GIT_CONFIG_GLOBAL": "/dev/null",
}


class Repository:
    """A small git repository with functions in `lambdas/`."""

    def __init__(self, path):
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments):
        env = os.environ | IDENTITY
        command = ["git", *arguments]
        done = subprocess.run(command, cwd=self.path, env=env, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def write(self, name, content):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def add_function(self, name, *, handler=HELLO, dependencies="", settings=""):
        project = PROJECT.format(name=name, dependencies=dependencies) + PACKAGE_FALSE + settings
        folder = self.write(f"lambdas/{name}/pyproject.toml", project).parent
        self.write(f"lambdas/{name}/handler.py", handler)
        if dependencies:
            subprocess.run([find_uv_bin(), "lock", "-q", "--python", sys.executable], cwd=folder, check=True)
        else:
            (folder / "uv.lock").write_text(LOCK_OF_NOTHING.format(name=name))

    def commit(self):
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "A commit")
        return self.git("rev-parse", "HEAD")
