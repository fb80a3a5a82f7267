# make demo: install, run the workflow on the embedded default, say where the report is.
# make test: install, run all tests. make lint: install, check style, layering and the workflow's form.

PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
VENV := .venv
BIN := $(VENV)/bin
PIP_ARGS ?=

.PHONY: demo test lint clean
.DEFAULT_GOAL := demo

$(VENV)/installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; $(PYTHON) is older. Try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check $(PIP_ARGS) --requirement requirements.lock
	touch $@

demo: $(VENV)/installed
	$(BIN)/snakemake --cores $(CORES)
	@echo "The report: $(CURDIR)/results/report/index.html"

test: $(VENV)/installed
	$(BIN)/python -m pytest --numprocesses $(CORES) --maxprocesses 4 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow/Snakefile workflow/rules
	PYTHONPATH=workflow $(BIN)/lint-imports
	$(BIN)/snakemake --lint

clean:
	rm -rf results logs .snakemake resources
