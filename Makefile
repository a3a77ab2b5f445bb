# Two commands on a fresh clone: `make demo` and `make test`. Both set up what is missing, once.
PYTHON ?= python3
BIN := .venv/bin
UV := .localcloud/uv/bin/uv
export UV_PROJECT_ENVIRONMENT := .venv
# Every command here starts many short Python processes: compiling each module anew would more than double their time.
unexport PYTHONDONTWRITEBYTECODE
# `release env` sets these for the program's own environment; this clone's holds more.
unexport UV_FROZEN UV_NO_INSTALL_PROJECT UV_NO_BUILD UV_NO_DEFAULT_GROUPS UV_NO_DEV
# Two workers take their files in this order, or the longest first (tests/scheduling.py).
SLOW_TESTS := tests/rehearsal tests/engine tests/executed tests/localcloud tests/matrix tests/isolation tests/build
COVERAGE := .localcloud/coverage
# Package, and the per cent of lines and branches below which `make test` fails.
REACHED := lambdas:95 components:99 release:81
# One process per linter. What a failing one says is shown in one piece, and the others go on to their end.
TOGETHER := $(MAKE) --no-print-directory --keep-going --jobs $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)
LINTERS := lint-format lint-code lint-types lint-functions lint-workflows lint-security lint-schemas
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help setup demo docs test check bench recovery soak clean branches slow $(LINTERS)

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

demo: setup ## Rehearse the whole promotion on the local cloud, two broken releases and their rollbacks included
	@$(BIN)/python -m localcloud.rehearsal.demo

docs: .venv/.ready ## Build the documentation as a site in .localcloud/site; a broken link fails
	@$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -d .localcloud/site-cache docs .localcloud/site
	@echo "$(CURDIR)/.localcloud/site/index.html"

check: setup ## Lint, types, quick unit tests, all beside each other
	@$(TOGETHER) $(LINTERS) quick-release quick-rest

test: setup ## Everything that CI runs
	@rm -rf $(COVERAGE) && mkdir -p $(COVERAGE)
	@$(TOGETHER) $(LINTERS) unit-release unit-rest
	@$(MAKE) --no-print-directory branches slow

lint-format:
	@$(BIN)/ruff format --check --quiet .
lint-code:
	@$(BIN)/ruff check --quiet .
lint-types:
	@$(BIN)/ty check --quiet
lint-functions: # each by itself: their modules have the same names
	@for function in lambdas/*/; do $(BIN)/ty check --quiet $$function*.py --extra-search-path $$function || exit 1; done
lint-workflows:
	@.localcloud/engine/actionlint
lint-security:
	@$(BIN)/zizmor --offline --persona auditor --no-progress --quiet .github
lint-schemas:
	@$(BIN)/python tools/schemas.py

# Two halves that take as long as each other. Two workers of pytest-xdist would each collect everything.
quick-release unit-release: FILES := tests/unit/release
quick-rest unit-rest: FILES := tests/unit --ignore tests/unit/release
quick-release quick-rest:
	@$(BIN)/pytest $(FILES) -m "not slow" --hypothesis-profile check -n 0 -q
# All examples, the slow ones too, and what they reach.
unit-release unit-rest:
	@$(BIN)/coverage run -m pytest $(FILES) -n 0 -q --junitxml .localcloud/junit/$@.xml

branches:
	@$(BIN)/coverage combine --quiet
	@for package in $(REACHED); do \
	  $(BIN)/coverage report --include "$${package%:*}/*" --fail-under $${package#*:} >$(COVERAGE)/report || \
	    { cat $(COVERAGE)/report; exit 1; }; \
	  echo "lines and branches reached in $${package%:*}: $$(awk '/^TOTAL/ {print $$NF}' $(COVERAGE)/report)"; done

slow:
	@$(BIN)/python -m pytest -p tests.scheduling $(SLOW_TESTS) -n 2 --dist loadfile --no-loadscope-reorder -q \
	  --durations 25 --junitxml .localcloud/junit/slow.xml

bench: setup ## Measure what docs/reference/benchmarks.md states (COLD=1: also a fresh clone with empty caches)
	@$(BIN)/python bench/detection.py
	@$(BIN)/python bench/alarms.py
	@$(BIN)/python bench/pipeline.py $(if $(COLD),--cold)

recovery: setup ## Measure how fast production is back after a failing verdict (20 rollbacks, some ten minutes)
	@$(BIN)/python bench/recovery.py

soak: setup ## Kill and fail promotions on the real engine for SOAK_MINUTES (25), and write docs/figures/soak.md
	@rm -rf .localcloud/soak
	@SOAK_MINUTES=$(or $(SOAK_MINUTES),25) $(BIN)/pytest tests/soak -n 2 --dist load -q
	@SOUND_PROMOTIONS_RATE=0.01 $(BIN)/pytest tests/matrix/test_sound_promotions.py -n 2 -q
	@SOAK_MINUTES=1 $(BIN)/pytest tests/rehearsal/test_broken_releases.py tests/rehearsal/test_broken_service.py \
	  tests/rehearsal/test_broken_in_production.py \
	  -k "health-500 or wrong-digest or broken_function or stopped_nowhere" -n 0 -q -s
	@SOAK_MINUTES=1 $(BIN)/pytest tests/rehearsal/test_identities.py -n 0 -q
	@SOAK_MINUTES=1 $(BIN)/pytest tests/executed/test_executed_workflows.py -n 0 -q
	@SOAK_MINUTES=1 $(BIN)/pytest tests/rehearsal/test_attestations.py -n 0 -q

clean: ## Stop the local cloud and remove everything that was made in this clone
	@test ! -x $(BIN)/localcloud || $(BIN)/localcloud stop
	@rm -rf .venv .localcloud .release .pytest_cache .ruff_cache .hypothesis
