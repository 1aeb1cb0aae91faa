# `make demo` and `make test` work from a fresh clone: they need make, git, python3-venv and no root.
#
#   PYTHON       the Python that makes the environment (3.10 or newer)
#   TORCH        what to ask pip for. A torch of your own choice, e.g. TORCH="torch==2.13.0"
#   TORCH_INDEX  a package index to take torch from, e.g. the one with CPU builds that PyTorch's
#                "Get started" page names. Without it, Linux on x86-64 gets the CUDA build: several GB.
#   VENV_FLAGS   --system-site-packages reuses a torch that this Python already has
#   HOSTS_VENV   where `make test-hosts` installs; Python 3.10 to 3.12, about 9 GB
#   PYTEST_ARGS  more arguments for pytest
#   DEMO_ARGS    more arguments for `iris demo`
PYTHON ?= python3
VENV ?= .venv
HOSTS_VENV ?= .venv-hosts
VENV_FLAGS ?=
TORCH ?= torch>=2.4
TORCH_INDEX ?=
PYTEST_ARGS ?=
DEMO_ARGS ?=

PIP = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check
PYTEST = $(VENV)/bin/python -m pytest

.PHONY: help demo test test-hosts lint docs clean long-run long-run-status long-run-pause long-run-resume \
        long-run-end long-run-land

help:
	@echo "make demo        install what it needs, then label sample studies from one example"
	@echo "make test        install what it needs, then run the tests of the core"
	@echo "make test-hosts  the slower tests with nnU-Net, MONAI Label and a browser"
	@echo "make lint        ruff, and the types with mypy"
	@echo "make docs        the pages of docs/ and of the code as a site, build/site/index.html"
	@echo "make long-run    starts the long training in the background, or goes on with it (docs/training.md);"
	@echo "                 long-run-status, -pause, -resume, -end and -land look after it"
	@echo "make clean       remove $(VENV) and $(HOSTS_VENV)"

demo: $(VENV)/core.stamp
	$(VENV)/bin/iris demo $(DEMO_ARGS)

test: $(VENV)/dev.stamp
	$(PYTEST) -m "not hosts" $(PYTEST_ARGS)

# The hosts need their own environment: their torchvision must match the torch that pip finds for it, so
# TORCH has no say here. They also hold the older DICOM packages (pydicom 2, highdicom 0.22; `make test` has
# pydicom 3), so what is marked `dicom` runs in both. Orthanc and Chromium are the system's: see CONTRIBUTING.md.
test-hosts: $(HOSTS_VENV)/hosts.stamp
	$(HOSTS_VENV)/bin/python -m pytest -m "hosts or dicom" $(PYTEST_ARGS)

lint: $(VENV)/dev.stamp
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

# Fails at a broken link, a docstring that cannot be read, or a page that fetches anything when it is read.
docs: $(VENV)/docs.stamp
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --quiet

LONG_RUN = $(VENV)/bin/python -m benchmarks.long_run

long-run: $(VENV)/core.stamp
	@$(LONG_RUN) start

long-run-status long-run-pause long-run-resume long-run-end long-run-land: long-run-%: $(VENV)/core.stamp
	@$(LONG_RUN) $*

clean:
	rm -rf $(VENV) $(HOSTS_VENV)

%/venv.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo \
	  "Python 3.10 or newer is needed; '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Try make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV_FLAGS) $* || { rm -rf $*; echo \
	  "No virtual environment could be made. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@touch $@

$(VENV)/core.stamp: $(VENV)/venv.stamp setup.cfg pyproject.toml
	@echo "Installing $(TORCH) into $(VENV) (minutes the first time) ..."
	@$(PIP) $(if $(TORCH_INDEX),--index-url "$(TORCH_INDEX)") "$(TORCH)"
	@echo "Installing Iris and the rest ..."
	@$(PIP) --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/core.stamp
	@echo "Installing what the tests need ..."
	@$(PIP) --editable ".[dev]"
	@touch $@

$(VENV)/docs.stamp: $(VENV)/core.stamp
	@echo "Installing what the site needs ..."
	@$(PIP) --editable ".[docs]"
	@touch $@

$(HOSTS_VENV)/hosts.stamp: $(HOSTS_VENV)/venv.stamp setup.cfg pyproject.toml
	@echo "Installing nnU-Net, MONAI Label and what their tests need into $(HOSTS_VENV) (minutes) ..."
	@$(HOSTS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
	  --editable ".[nnunet,app,browser,dev]"
	@touch $@
