# Two commands on a fresh clone: `make demo` and `make test`. Both set up what is missing, once.
PYTHON ?= python3
BIN := .venv/bin
UV := .localcloud/uv/bin/uv
export UV_PROJECT_ENVIRONMENT := .venv
# Every command here starts many short Python processes: compiling each module anew would more than double their time.
unexport PYTHONDONTWRITEBYTECODE
# `release env` sets these for the program's own environment; this clone's holds more.
unexport UV_FROZEN UV_NO_INSTALL_PROJECT UV_NO_BUILD UV_NO_DEFAULT_GROUPS UV_NO_DEV
# The longest first: two workers take them in this order.
SLOW_TESTS := tests/rehearsal tests/engine tests/localcloud tests/matrix tests/isolation tests/build
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help setup demo docs test check bench recovery soak clean

help: ## Show this help
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

setup: .venv/.ready ## Install the tools of this clone: Python packages, Pulumi engine, linters
	@$(BIN)/localcloud setup

# uv itself comes from the machine's Python, whichever that is; the environment is one of Python 3.11, as the Lambdas are.
.venv/.ready: pyproject.toml uv.lock
	@test -x $(UV) || { echo "setting up .venv"; $(PYTHON) -m venv .localcloud/uv && \
	  .localcloud/uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  --only-binary :all: -r tools/uv/requirements.txt; }
	@$(UV) sync --frozen --quiet --python $$($(PYTHON) -c \
	  'import sys; print(sys.executable if sys.version_info[:2] == (3, 11) else "3.11")')
	@touch $@

demo: setup ## Rehearse the whole promotion on the local cloud, a broken release and its rollback included
	@$(BIN)/python -m localcloud.rehearsal.demo

docs: .venv/.ready ## Build the documentation as a site in .localcloud/site; a broken link fails
	@$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -d .localcloud/site-cache docs .localcloud/site
	@echo "$(CURDIR)/.localcloud/site/index.html"

check: setup ## Lint, types, unit tests (fast)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/ty check --quiet
	@for function in lambdas/*/; do $(BIN)/ty check --quiet $$function*.py --extra-search-path $$function || exit 1; done
	@.localcloud/engine/actionlint
	@$(BIN)/zizmor --offline --persona auditor --no-progress --quiet .github
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-actions .github/actions/*/action.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	@$(BIN)/pytest tests/unit -n 2 -q

test: check ## Everything that CI runs
	@$(BIN)/pytest $(SLOW_TESTS) -n 2 --dist loadfile --no-loadscope-reorder -q --durations 15

bench: setup ## Measure what docs/reference/benchmarks.md states (COLD=1: also a fresh clone with empty caches)
	@$(BIN)/python bench/detection.py
	@$(BIN)/python bench/pipeline.py $(if $(COLD),--cold)

recovery: setup ## Measure how fast production is back after a failing verdict (20 rollbacks, some ten minutes)
	@$(BIN)/python bench/recovery.py

soak: setup ## Kill and fail promotions on the real engine for SOAK_MINUTES (25), and write docs/figures/soak.md
	@SOAK_MINUTES=$(or $(SOAK_MINUTES),25) $(BIN)/pytest tests/soak tests/rehearsal/test_broken_releases.py tests/rehearsal/test_broken_service.py \
	  -k "soak or wrong-digest or broken_function" -n 0 -q -s

clean: ## Stop the local cloud and remove everything that was made in this clone
	@test ! -x $(BIN)/localcloud || $(BIN)/localcloud stop
	@rm -rf .venv .localcloud .release .pytest_cache .ruff_cache .hypothesis
