"""The site of the documentation is built as `make docs` builds it, and a broken link fails it."""

import shutil
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def built(docs, out):
    """Build a site as the Makefile does."""
    options = ["--fail-on-warning", "--keep-going", "--quiet", "-d", str(out.with_suffix(".cache"))]
    return subprocess.run(
        [sys.executable, "-m", "sphinx", *options, str(docs), str(out)], capture_output=True, text=True, check=False
    )


def test_the_site_is_built_without_a_warning_and_asks_no_other_host(tmp_path):
    site = tmp_path / "site"
    done = built(DOCS, site)
    assert (done.returncode, done.stderr) == (0, "")
    pages = [page.read_text() for page in site.rglob("*.html")]
    assert len(pages) > 40
    assert not any("–stack" in page for page in pages), "two hyphens of an option became a dash"  # noqa: RUF001
    for tag in ('src="http', 'rel="stylesheet" href="http', 'rel="stylesheet" type="text/css" href="http', "@import"):
        assert not any(tag in page for page in pages), tag


def test_a_broken_link_a_lost_anchor_and_a_page_in_no_list_fail_it(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    shutil.copy(DOCS / "conf.py", docs)
    shutil.copytree(DOCS / "_static", docs / "_static")
    (docs / "index.md").write_text("# Index\n\n[gone](gone.md) [lost](#lost)\n")
    (docs / "alone.md").write_text("# Alone\n")
    done = built(docs, tmp_path / "site")
    assert done.returncode != 0
    assert all(word in done.stderr for word in ("gone.md", "lost", "alone.md"))
