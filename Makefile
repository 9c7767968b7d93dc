# Headrace: `make build`, `make demo` and `make test` do all the set-up, in .venv.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --constraint constraints/pip.txt

# Real models and data sets for tests and measurements; what needs them is skipped without.
HEADRACE_DATA ?= $(abspath $(wildcard ../shared))
ifneq ($(HEADRACE_DATA),)
export HEADRACE_DATA
endif

.PHONY: build demo bench test test-torch test-slow test-all browser clean

build: $(VENV)/ready-sim
	$(BIN)/python -m hw.build --board ulx3s

demo: $(VENV)/ready-sim
	@$(BIN)/python -m sim.demo

bench: $(VENV)/ready-dev
	$(BIN)/python -m bench.codecs
	$(BIN)/python -m bench.speed

test: $(VENV)/ready-dev browser
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-slow: $(VENV)/ready-dev
	$(BIN)/python -m pytest -n 2 -m slow

# What needs PyTorch, which the rest does without.
test-torch: $(VENV)/ready-dev
	$(PIP) --editable ".[torch]"
	$(BIN)/python -m pytest tests/sw/importers/test_pt2.py tests/sw/importers/test_torch.py \
	    tests/sw/test_network.py tests/sw/test_zoo.py tests/sw/predict/test_learned.py -m "not slow"
	$(BIN)/python -m pytest tests/docs

test-all: test
	$(MAKE) test-slow

$(VENV)/ready-sim: pyproject.toml constraints/pip.txt | $(VENV)/created
	$(PIP) --editable ".[sim]"
	@touch $@

$(VENV)/ready-dev: pyproject.toml constraints/pip.txt | $(VENV)/created
	$(PIP) --editable ".[sim,bench,predict,dev]"
	@touch $@ $(VENV)/ready-sim

# A test looks at the page of sw.profile in Debian's browser.
browser:
	@command -v chromium >/dev/null || \
	    { [ "$$(id -u)" = 0 ] && apt-get update -qq && \
	      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium; } >/dev/null 2>&1 || \
	    echo "chromium is missing, tests/sw/test_page.py will fail: apt install chromium" >&2

$(VENV)/created:
	@command -v g++ >/dev/null || { echo "g++ is missing: apt install g++" >&2; exit 1; }
	@command -v perl >/dev/null || { echo "perl is missing: apt install perl" >&2; exit 1; }
	@$(PYTHON) -c "import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))" 2>/dev/null || \
	    { echo "Python 3.11 or 3.12 is missing: apt install python3" >&2; exit 1; }
	@$(PYTHON) -c "import ensurepip, venv" 2>/dev/null || \
	    { echo "Python's venv package is missing: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

clean:
	rm -rf build
