# `make` alone lists what there is. Python 3.11 or newer is all it needs; PYTHON=python3.12 picks another.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.installed
SCRIPTS := api/static/vendor/LICENCES.txt
WITH_TRAIN := .venv/.with-train
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header

.DEFAULT_GOAL := help
.PHONY: help install demo serve test coverage chaos soak check format bench readme-picture pictures compare train-deps lock clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.lock locks/uv.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Hilum needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
	       "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { \
	  echo "$(PYTHON) cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 2; }
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --require-hashes --requirement locks/uv.lock
	$(BIN)/uv pip sync --require-hashes requirements.lock $(if $(wildcard $(WITH_TRAIN)),locks/train.lock)
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(SCRIPTS): package.json package-lock.json .npmrc api/vendor.py | $(READY)
	$(BIN)/npm ci >/dev/null
	@$(BIN)/python -m api.vendor

install: $(READY) $(SCRIPTS) ## Make .venv with everything of requirements.lock, and fetch what pages load

demo: $(READY) $(SCRIPTS) ## Start the whole system and send a study: STUDY=folder-or-zip, else a phantom
	@$(BIN)/hilum demo $(if $(STUDY),"$(STUDY)")

serve: $(READY) $(SCRIPTS) ## Run the whole system on this machine until Ctrl-C
	@$(BIN)/hilum serve

test: $(READY) $(SCRIPTS) ## Run all tests
	@$(BIN)/pytest $(ARGS)

coverage: $(READY) $(SCRIPTS) ## Run all tests and count the branches they take, which makes them slower
	@$(BIN)/pytest --cov --cov-report=term $(ARGS)

chaos: $(READY) ## Break a whole system and count what came of every job: JOBS=1000 FAULTS=200 SEED=1
	@$(BIN)/python -m tests.chaos --jobs $(or $(JOBS),1000) --faults $(or $(FAULTS),200) --seed $(or $(SEED),1)

soak: $(READY) ## Run a whole system for an hour and see whether memory stays flat: MINUTES=60
	@$(BIN)/python -m tests.chaos.soak --minutes $(or $(MINUTES),60)

check: $(READY) ## Lint, formatting, types, the import rule, spelling
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

format: $(READY) ## Put code into its one form
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

bench: $(READY) ## Measure speed and print it as JSON; BENCH_STUDY=folder-or-zip, else a phantom
	@$(BIN)/python -m benchmarks

readme-picture: $(READY) ## Draw the README's picture anew, from the phantom
	@$(BIN)/hilum phantom build/phantom
	@$(BIN)/hilum segment build/phantom --out build/picture
	@mkdir -p docs/images && cp build/picture/card.png docs/images/report.png

pictures: $(READY) $(SCRIPTS) ## Take the pictures of pages in docs/images anew, of the phantom
	@$(BIN)/python -m tests.browser.pictures

compare: $(READY) ## Compare both networks: DATA=labelled-folder [CONTROLS=folder] [RUNS=fold-runs, else shipped weights]
	@test -n "$(DATA)" || { echo "Name the labelled slices: make compare DATA=folder RUNS=runs" >&2; exit 2; }
	@$(BIN)/hilum compare resnet50 resnet101 --data "$(DATA)" --docs docs/networks \
	  $(if $(CONTROLS),--controls "$(CONTROLS)") $(if $(RUNS),--runs "$(RUNS)")

train-deps: $(READY) ## Add the chest-CT backbone that training starts from (235 MB)
	$(BIN)/uv pip install --require-hashes --requirement locks/train.lock
	@touch $(WITH_TRAIN)

lock: $(READY) ## Bring every lock file up to date with pyproject.toml
	$(COMPILE) --extra api --extra worker --extra s3 --extra local --extra web --extra research --group dev \
	  --output-file requirements.lock pyproject.toml
	$(COMPILE) --extra api --extra s3 --constraint requirements.lock \
	  --output-file locks/api.lock pyproject.toml
	$(COMPILE) --extra worker --extra s3 --constraint requirements.lock \
	  --output-file locks/worker.lock pyproject.toml
	$(COMPILE) --extra train --constraint requirements.lock \
	  --output-file locks/train.lock pyproject.toml
	echo uv | $(COMPILE) --no-annotate --constraint requirements.lock --output-file locks/uv.lock -

clean: ## Remove .venv, what npm fetched and caches; .hilum, where studies are, stays
	rm -rf .venv node_modules api/static/vendor build dist htmlcov .coverage* .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
