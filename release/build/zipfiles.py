"""Zip files whose bytes depend on nothing but the names, contents and modes of the files in them.

The standard library's writer with every field of an entry set by us. (The packages that promise the same read their
settings from environment variables, so a variable on the build machine would change the bytes.)
"""

from __future__ import annotations

import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path

from release.canonical import canonical_json, sha256

# The oldest time that a zip can hold.
_TIME = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_LEVEL = 9


@dataclass(frozen=True, kw_only=True, slots=True)
class PackedFile:
    """One file of a package, known by its digest."""

    name: str
    sha256: str
    mode: int
    """0o644 or 0o755: what the owner may do decides, so the umask of the build does not matter."""
    size: int


def files_of(folder: Path) -> list[PackedFile]:
    """Every file under `folder`, sorted by name."""
    found = []
    for path in folder.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            continue
        mode = path.lstat().st_mode
        if not stat.S_ISREG(mode):
            raise ValueError(f"{path.relative_to(folder)} is no plain file")
        content = path.read_bytes()
        found.append(
            PackedFile(
                name=path.relative_to(folder).as_posix(),
                sha256=sha256(content),
                mode=0o755 if mode & stat.S_IXUSR else 0o644,
                size=len(content),
            )
        )
    return sorted(found, key=lambda file: file.name.encode())


def content_digest(files: list[PackedFile]) -> str:
    """Digest over (name, digest, mode) of each file: equal for equal contents, whatever compressed them."""
    rows = [[file.name, file.sha256, f"{file.mode:04o}"] for file in files]
    return sha256(canonical_json(rows))


def write_zip(folder: Path, files: list[PackedFile], target: Path) -> None:
    """Pack `files` of `folder`, in the order given, into a new zip at `target`."""
    with zipfile.ZipFile(target, "x") as archive:
        for file in files:
            entry = zipfile.ZipInfo(file.name, _TIME)
            entry.create_system = _UNIX
            entry.external_attr = (stat.S_IFREG | file.mode) << 16
            archive.writestr(entry, (folder / file.name).read_bytes(), zipfile.ZIP_DEFLATED, _LEVEL)
