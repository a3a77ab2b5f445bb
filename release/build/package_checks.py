"""Checks of a package before it counts as built, and the cleaning of an installed tree."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from components.service.functions import ARCHITECTURE, RUNTIME
from release.build.zipfiles import PackedFile
from release.errors import ReleaseError
from release.processes import Children

PYTHON_PLATFORM: Final = "x86_64-manylinux2014"
"""Wheels that load on this runtime: python3.11 runs on Amazon Linux 2 (glibc 2.26), so manylinux_2_28 is too new."""
_NEWEST_GLIBC = (2, 26)

_MB = 1024 * 1024
MAX_UNPACKED_BYTES: Final = 250 * _MB
"""Lambda's limit."""
MAX_ZIPPED_MB: Final = 50
"""Lambda's limit for a zip that is sent to it; one that it fetches itself may be larger, but starts slowly."""
_IMPORT_SECONDS = 60

# Installers write these: who installed, from where, when, and digests of files that we may drop.
_INSTALLER_NOTES = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json")
_AWS_MODEL_FOLDERS = ("botocore/data", "boto3/data")

_ELF_CLASS_64 = 2
_ELF_LITTLE = 1
_ELF_X86_64 = 62
_NATIVE = re.compile(r"\.(so(\.[0-9]+)*|pyd|dll|dylib)$")
_FOREIGN_ABI = re.compile(r"\.(cpython-(?!311-x86_64-linux-gnu\b)|pypy|graalpy)[^/]*\.so$")
_GLIBC = re.compile(rb"GLIBC_([0-9]+)\.([0-9]+)")


class PackageError(ReleaseError):
    """A package that must not be released."""


def clean(tree: Path) -> None:
    """Remove what an installer leaves behind and no function reads, so that the tree depends on the lock alone."""
    for path in sorted(tree.rglob("*")):
        if path.name == "__pycache__" and path.is_dir():
            shutil.rmtree(path)
        elif path.suffix == ".pyc" or (path.parent.suffix == ".dist-info" and path.name in _INSTALLER_NOTES):
            path.unlink(missing_ok=True)
    shutil.rmtree(tree / "bin", ignore_errors=True)
    (tree / ".lock").unlink(missing_ok=True)


def keep_aws_services(tree: Path, function: str, services: Sequence[str]) -> None:
    """Drop the botocore and boto3 models of all AWS services but `services`.

    Raises:
        PackageError: botocore has no service of such a name.
    """
    models = tree / _AWS_MODEL_FOLDERS[0]
    unknown = sorted(service for service in services if not (models / service).is_dir())
    if unknown:
        raise PackageError(
            f"{function}: botocore knows no AWS service named {', '.join(unknown)}.",
            why="`aws-services` under [tool.release] takes the names that boto3.client() takes.",
            next_step=f"Correct `aws-services` in lambdas/{function}/pyproject.toml.",
        )
    for folder in _AWS_MODEL_FOLDERS:
        for path in (tree / folder).glob("*/"):
            if path.name not in services:
                shutil.rmtree(path)


def check_no_shadowing(function: str, sources: Sequence[str], tree: Path) -> None:
    """Refuse source files (paths in the package) that would hide a dependency or a module of the standard library."""
    installed = {path.name.split(".")[0] for path in tree.iterdir()}
    for name in sorted({source.split("/")[0].split(".")[0] for source in sources}):
        owner = (
            "the standard library" if name in sys.stdlib_module_names else "a dependency" if name in installed else ""
        )
        if owner:
            raise PackageError(
                f"{function}: the function's own `{name}` hides `{name}` of {owner}.",
                why="A package's folder comes first on the import path.",
                next_step=f"Rename it in lambdas/{function}/.",
            )


def check_size(function: str, files: Sequence[PackedFile], zipped: int, budget_mb: float) -> None:
    """Refuse what Lambda would refuse (250 MB unpacked), and a zip of `zipped` bytes over the function's own budget."""
    unpacked = sum(file.size for file in files)
    for what, size, limit, more in (
        ("unpacked", unpacked, MAX_UNPACKED_BYTES, ""),
        ("zipped", zipped, budget_mb * _MB, " Or give it more there: `size-budget-mb` under [tool.release]."),
    ):
        if size > limit:
            by_folder: Counter[str] = Counter()
            for file in files:
                by_folder[file.name.split("/")[0]] += file.size
            largest = ", ".join(f"{name} {_mb(total)}" for name, total in by_folder.most_common(3))
            raise PackageError(
                f"{function}: the package has {_mb(size)} {what}, the budget is {_mb(limit)}.",
                why=f"Largest parts, unpacked: {largest}.",
                next_step=f"Drop or replace dependencies in lambdas/{function}/pyproject.toml, then: uv lock.{more}",
            )


def check_native_modules(function: str, tree: Path, files: Sequence[PackedFile]) -> int:
    """Refuse native modules of another platform, interpreter or newer C library; returns how many there are."""
    natives = [file.name for file in files if _NATIVE.search(file.name)]
    for name in natives:
        wrong = _why_it_cannot_load(name, (tree / name).read_bytes())
        if wrong:
            raise PackageError(
                f"{function}: {name} cannot be loaded by {RUNTIME} on {ARCHITECTURE}.",
                why=wrong,
                next_step="Choose a version of the dependency with a wheel for cp311 or abi3, manylinux2014_x86_64.",
            )
    return len(natives)


def _why_it_cannot_load(name: str, content: bytes) -> str:
    if not re.search(r"\.so(\.[0-9]+)*$", name):
        return "It is made for another operating system."
    if _FOREIGN_ABI.search(name):
        return "Its name says that it is made for another interpreter."
    if content[:4] != b"\x7fELF":
        return "It is no ELF file."
    machine = int.from_bytes(content[18:20], "little")
    if (content[4], content[5], machine) != (_ELF_CLASS_64, _ELF_LITTLE, _ELF_X86_64):
        return f"It is made for another processor (ELF machine {machine}, x86_64 is {_ELF_X86_64})."
    newest = max(((int(major), int(minor)) for major, minor in _GLIBC.findall(content)), default=(0, 0))
    if newest > _NEWEST_GLIBC:
        return f"It needs glibc {newest[0]}.{newest[1]}, the runtime has {_NEWEST_GLIBC[0]}.{_NEWEST_GLIBC[1]}."
    return ""


# Runs in a process that sees the package and the standard library, nothing else.
_IMPORTER = """
import importlib, os, sys
root, module, attribute = sys.argv[1:]
sys.path.insert(0, root)
found = importlib.import_module(module)
if not os.path.realpath(found.__file__).startswith(os.path.realpath(root) + os.sep):
    raise ImportError(f"{module} was imported from {found.__file__}, not from the package")
if not callable(getattr(found, attribute, None)):
    raise AttributeError(f"{module}.py has no function {attribute!r}")
"""


def check_import(function: str, unpacked: Path, handler: str, children: Children) -> None:
    """Import the package as its runtime would, in a clean process; `handler` is `module.function`.

    Raises:
        PackageError: the import fails, takes longer than a minute, or there is no such handler.
    """
    # -I: no PYTHON* variables, no current folder. -S: no site-packages. -B: leave the tree as it was packed.
    command = [sys.executable, "-I", "-S", "-B", "-c", _IMPORTER, str(unpacked), *handler.rsplit(".", 1)]
    env = {"LC_ALL": "C.UTF-8", "TZ": "UTC", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}
    try:
        done = children.run(command, cwd=unpacked, env=env, timeout=_IMPORT_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise PackageError(
            f"{function}: importing {handler} from the package took more than {_IMPORT_SECONDS} seconds.",
            why="Lambda gives an import ten seconds.",
            next_step="Move slow work out of module level.",
        ) from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").replace(f"{unpacked}/", "").strip().splitlines()
        raise PackageError(
            f"{function}: the package cannot be imported ({handler}), so no version of it would ever answer.",
            why="\n".join(said[-6:]) or f"The process ended with {done.returncode}.",
            next_step=f"If a module is missing, add it in lambdas/{function}/pyproject.toml, then: uv lock",
        )


def _mb(size: float) -> str:
    return f"{size / _MB:.1f} MB"
