"""What is read off the distributions in a package, and which of them refuse the build."""

import json

import pytest

from release.build.distributions import installed
from release.build.package_checks import PackageError
from release.build.sbom import bill_of_materials

MIT = "License-Expression: MIT\n"
LOCK = """
[[package]]
name = "fast-one"
version = "1.2"
wheels = [
    {{ url = "https://example.com/fast_one-1.2-cp312-cp312-manylinux_2_17_x86_64.whl", hash = "sha256:{other}" }},
    {{ url = "https://example.com/fast_one-1.2-{tags}.whl", hash = "sha256:{right}" }},
]
"""
NATIVE = "cp311-cp311-manylinux_2_17_x86_64"


@pytest.fixture
def install(tmp_path):
    def installing(metadata=MIT, tags=("py3-none-any",), files=()):
        folder = tmp_path / "Fast_One-1.2.dist-info"
        (folder / "licenses").mkdir(parents=True)
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.4\nName: Fast_One\nVersion: 1.2\n{metadata}\nAbout it.\n"
        )
        (folder / "WHEEL").write_text("Wheel-Version: 1.0\n" + "".join(f"Tag: {tag}\n" for tag in tags))
        for file in files:
            (folder / file).write_text("text")
        return tmp_path

    return installing


@pytest.mark.parametrize(
    "tag",
    [
        "py3-none-any",
        "py2.py3-none-any",
        "cp311-none-any",
        "cp38-abi3-manylinux2014_x86_64",
        "cp311-cp311-manylinux_2_5_x86_64.manylinux1_x86_64",
        NATIVE,
    ],
)
def test_a_wheel_for_the_runtime_is_taken(install, tag):
    (one,) = installed("greeter", install(tags=[tag]))
    assert (one.name, one.version, one.license.expression) == ("fast-one", "1.2", "MIT")


@pytest.mark.parametrize(
    "tag",
    [
        "cp312-cp312-manylinux_2_17_x86_64",
        "cp312-abi3-manylinux_2_17_x86_64",
        "cp311-cp311-manylinux_2_17_aarch64",
        "cp311-cp311-manylinux_2_28_x86_64",
        "cp311-cp311-musllinux_1_2_x86_64",
        "cp311-cp311-macosx_11_0_arm64",
        "cp311-cp311-win_amd64",
        "cp311-cp311-linux_x86_64",
        "pp311-pypy311_pp73-manylinux_2_17_x86_64",
        "py2-none-any",
        "nonsense",
    ],
)
def test_a_wheel_for_another_interpreter_processor_or_system_is_refused_by_name_and_tags(install, tag):
    with pytest.raises(PackageError, match=r"greeter: fast-one 1\.2 .* python3\.11 on x86_64") as failed:
        installed("greeter", install(tags=[tag]))
    assert tag in failed.value.why


def test_a_wheel_without_tags_is_refused(install):
    with pytest.raises(PackageError) as failed:
        installed("greeter", install(tags=[]))
    assert "Its tags: none" in failed.value.why


def test_a_licence_that_is_not_allowed_is_refused_by_name_with_the_way_forward(install):
    with pytest.raises(PackageError, match=r"greeter: fast-one 1\.2 has the licence GPL-3\.0-only") as failed:
        installed("greeter", install("License-Expression: gpl-3.0-only\n"))
    assert "MIT" in failed.value.why
    assert "Choose another package" in failed.value.next_step


def test_a_licence_that_cannot_be_told_is_refused_with_what_is_said_about_it(install):
    with pytest.raises(PackageError, match="does not say clearly which licence") as failed:
        installed("greeter", install("License: as you like\nClassifier: License :: Other\nClassifier: Topic :: Fun\n"))
    assert failed.value.why == "Its metadata say: License: as you like; Classifier: License :: Other."
    assert "release/build/licenses.py" in failed.value.next_step


def test_a_licence_of_which_nothing_is_said_is_refused(install):
    with pytest.raises(PackageError) as failed:
        installed("greeter", install(""))
    assert failed.value.why == "Its metadata say: nothing."


def test_the_texts_that_a_wheel_brings_are_found_beside_its_metadata_and_in_their_folder(install):
    brought = ["LICENSE", "NOTICE.txt", "licenses/GPL-or-not.md", "top_level.txt"]
    (one,) = installed("greeter", install(files=brought))
    inside = "Fast_One-1.2.dist-info"
    assert one.texts == (f"{inside}/LICENSE", f"{inside}/NOTICE.txt", f"{inside}/licenses/GPL-or-not.md")


@pytest.mark.parametrize("tags", [NATIVE, f"{NATIVE}.manylinux2014_x86_64"])
def test_the_bill_has_the_digest_of_the_wheel_that_was_installed(install, tags):
    platforms = [f"cp311-cp311-{platform}" for platform in tags.split("-")[2].split(".")]
    lock = LOCK.format(tags=tags, right="a" * 64, other="b" * 64).encode()
    bill = bill_of_materials("greeter", installed("greeter", install(tags=platforms)), lock)
    (component,) = json.loads(bill)["components"]
    assert component["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert component["purl"] == "pkg:pypi/fast-one@1.2"


def test_the_bill_says_no_digest_where_the_lock_does_not_tell_the_wheel(install):
    lock = LOCK.format(tags="py2-none-any", right="a" * 64, other="b" * 64).encode()
    bill = bill_of_materials("greeter", installed("greeter", install()), lock)
    (component,) = json.loads(bill)["components"]
    assert component["hashes"] == []
