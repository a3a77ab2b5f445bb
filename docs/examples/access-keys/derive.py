"""Turn a clone into the variant with access keys: python docs/examples/access-keys/derive.py CLONE.

It changes how jobs log in, and whom the roles trust, and nothing else. What it does not find it refuses to guess.
`--keep` writes the changed workflows beside this file instead, where readers find them.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
CLONE = HERE.parents[2]
TOKEN = re.compile(r" +(id-token|attestations): write.*\n")
CALL = re.compile(r"(?P<indent> +)uses: \./\.github/workflows/\S+\n")
ENVIRONMENT = re.compile(r" +name: (?P<environment>(?:preprod|prod)[a-z-]*)\n")
ROLE = re.compile(r"(?P<indent> +)role-to-assume: .+\n")


def workflow(text: str) -> str:
    """A bundled workflow that logs in with access keys: no token of GitHub's, and called workflows get the secrets."""
    lines: list[str] = []
    environment = after_environment = ""
    for line in text.splitlines(keepends=True):
        if TOKEN.fullmatch(line):
            continue
        named = ENVIRONMENT.fullmatch(line)
        if named and after_environment:
            environment = named["environment"]
        after_environment = "yes" if line.strip() == "environment:" else ""
        if role := ROLE.fullmatch(line):
            lines += [f"{role['indent']}{said}\n" for said in _keys(environment)]
        lines.append(line)
        if role:
            # A session of a user takes no tags, unless the role allows them too.
            lines.append(f"{role['indent']}role-skip-session-tagging: true\n")
        if call := CALL.fullmatch(line):
            lines.append(f"{call['indent']}secrets: inherit\n")
    return "".join(lines)


def _keys(environment: str) -> tuple[str, str]:
    prefix = "PREPROD" if environment.startswith("preprod") else "PROD"
    return (
        f"aws-access-key-id: ${{{{ secrets.{prefix}_AWS_ACCESS_KEY_ID }}}}",
        f"aws-secret-access-key: ${{{{ secrets.{prefix}_AWS_SECRET_ACCESS_KEY }}}}",
    )


def identities(text: str) -> str:
    """components/foundation/identities.py, whose roles trust users, and which makes them."""
    text = _once(
        text,
        "from components.identities import identities, trust_of\n",
        "from components.foundation.users import Users, UsersArgs, trust_of_user\n"
        "from components.identities import identities\n",
    )
    text = _once(text, "trust_of(identity, args.settings)", "trust_of_user(identity, args.settings)")
    made = '        Users("users", UsersArgs(settings=args.settings), pulumi.ResourceOptions(parent=self))\n'
    return _once(text, "        self.role_arns = {}\n", f"{made}        self.role_arns = {{}}\n")


def _once(text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        raise SystemExit(f"the program has changed: {old.strip()!r} stands {text.count(old)} times in it, not once")
    return text.replace(old, new)


def main() -> None:
    """Change the clone, or with --keep the copies beside this file."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("clone", nargs="?", type=Path, help="the clone to change")
    arguments.add_argument("--keep", action="store_true", help="only write the changed workflows beside this file")
    wanted = arguments.parse_args()
    if wanted.keep == (wanted.clone is not None):
        arguments.error("name a clone, or say --keep")
    source = wanted.clone or CLONE
    target = HERE / "workflows" if wanted.keep else source / ".github" / "workflows"
    target.mkdir(exist_ok=True)
    for file in sorted((source / ".github" / "workflows").glob("*.yml")):
        changed = workflow(file.read_text(encoding="utf-8"))
        if not wanted.keep or changed != file.read_text(encoding="utf-8"):
            (target / file.name).write_text(changed, encoding="utf-8")
    if wanted.clone:
        foundation = source / "components" / "foundation"
        program = foundation / "identities.py"
        program.write_text(identities(program.read_text(encoding="utf-8")), encoding="utf-8")
        (foundation / "users.py").write_text((HERE / "users.py").read_text(encoding="utf-8"), encoding="utf-8")


if __name__ == "__main__":
    main()
