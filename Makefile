# Each target makes its own .venv from constraints.txt; nothing has to be installed by hand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test slow check lint bench docs examples clean

demo: $(VENV)/.ready
	$(BIN)/autoencode train digits --recipe vae --out runs/demo-vae --overwrite
	$(BIN)/autoencode train digits --recipe mlp_latent2 --out runs/demo-latent2 --overwrite
	$(BIN)/autoencode evaluate runs/demo-vae
	$(BIN)/autoencode runs runs
	@echo "open runs/demo-vae/report.html and runs/demo-latent2/report.html"

test: $(VENV)/.test
	$(BIN)/python -m pytest -n 2

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

$(VENV)/.lint: $(VENV)/.ready
	$(PIP) install -c constraints.txt -e '.[lint]'
	@touch $@

clean:
	rm -rf $(VENV) runs build dist
