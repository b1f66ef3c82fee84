# Each target makes its own .venv from constraints.txt; nothing has to be installed by hand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# What the page of the explorer is made from, and tried in: no other target needs them.
NODE := $(shell command -v npm)
NPM := npm --prefix web --no-audit --no-fund --loglevel=error

.PHONY: demo test slow check lint bench docs examples web web-lint web-test clean

demo: $(VENV)/.ready
	$(BIN)/autoencode train digits --recipe vae --out runs/demo-vae --overwrite
	$(BIN)/autoencode train digits --recipe mlp_latent2 --out runs/demo-latent2 --overwrite
	$(BIN)/autoencode evaluate runs/demo-vae
	$(BIN)/autoencode runs runs
	@echo "open runs/demo-vae/report.html and runs/demo-latent2/report.html"

test: $(VENV)/.test
	$(BIN)/python -m pytest -n 2
	@echo "left out: tests of pages in a browser; make web-test runs them"

# What takes minutes and is tried in short by the others.
slow: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 -m slow

# What changed since main, or a cross-section, in a minute.
check: $(VENV)/.test
	$(BIN)/python tests/helpers/check.py

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
ifeq ($(NODE),)
	@echo "left out: the page's sources in web/, for there is no npm here"
else
	@$(MAKE) --no-print-directory web-lint
endif

# The program of the explorer's page, from TypeScript into the package.
web: web/node_modules/.ready
	$(NPM) run build

# Rules, format, strict types, unit tests, and whether the package holds what web/ makes.
web-lint: web/node_modules/.ready
	$(NPM) run lint
	$(NPM) run types
	$(NPM) run test
	$(NPM) run check

# Pages in Chromium, which has to be installed.
web-test: $(VENV)/.web-test web/node_modules/.ready
	$(BIN)/python -m pytest -n 2 -m browser tests/web

examples: $(VENV)/.ready
	for example in examples/*.py; do $(BIN)/python $$example --fast || exit 1; done

bench: $(VENV)/.ready
	$(BIN)/python benchmarks/quality.py
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/time_to_quality.py
	$(BIN)/python benchmarks/imports.py

docs: $(VENV)/.ready
	$(BIN)/python docs/make_reference.py

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.test: $(VENV)/.ready
	$(PIP) install -c constraints.txt -e '.[test]'
	@touch $@

$(VENV)/.web-test: $(VENV)/.test
	$(PIP) install -c constraints.txt -e '.[web-test]'
	@touch $@

web/node_modules/.ready: web/package.json web/package-lock.json
	$(NPM) ci
	@touch $@

$(VENV)/.lint: $(VENV)/.ready
	$(PIP) install -c constraints.txt -e '.[lint]'
	@touch $@

clean:
	rm -rf $(VENV) runs build dist web/node_modules
