# The front door. `make demo` and `make test` need only Python 3.11 and a network that reaches a package index.
VENV   ?= .venv
PY      = $(VENV)/bin/python
PYTHON ?= python3

# A Sallyport is many Python processes: each would compile Django anew if it might not keep the result.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo demo-reset test real-cluster read thorough lint type arch unit e2e bench screenshots format setup setup-dev browser netns lock

help:
	@echo "make demo        start everything on this machine and print where to click"
	@echo "make demo-reset  forget the demo's state"
	@echo "make test        install what the tests need and run them all"
	@echo "make lint type arch unit e2e   the parts of it;  make thorough  the long ones, whole;  make bench  the benchmarks;  make screenshots  every page;  make real-cluster  tests against a real API server"

demo: setup
	@$(PY) -m deploy.demo up

demo-reset:
	@if [ -x $(PY) ]; then $(PY) -m deploy.demo reset; else rm -rf .demo; fi

# Reading the code takes one core and leaves the tests the other: side by side they are done sooner.
test: setup-dev browser netns
	@$(MAKE) --no-print-directory -j2 read unit

read:
	@$(MAKE) --no-print-directory -j1 lint type arch

# -- installing ---------------------------------------------------------------------------------------------------
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "Sallyport needs Python 3.11: set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "Python's venv module is missing: apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/bin/uv: | $(VENV)/bin/python
	@if command -v uv >/dev/null 2>&1; then ln -sf "$$(command -v uv)" $(VENV)/bin/uv; \
	 else $(VENV)/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-uv.lock; fi

setup: $(VENV)/.installed-any
$(VENV)/.installed-any: requirements.lock | $(VENV)/bin/uv
	@$(VENV)/bin/uv pip install -q --python $(PY) --require-hashes -r requirements.lock
	@touch $@

setup-dev: $(VENV)/.installed-dev
$(VENV)/.installed-dev: requirements-dev.lock | $(VENV)/bin/uv
	@$(VENV)/bin/uv pip install -q --python $(PY) --require-hashes -r requirements-dev.lock
	@touch $@ $(VENV)/.installed-any

browser:
	@sh deploy/install-browser.sh

netns:
	@sh deploy/install-netns.sh

images:
	@deploy/images/build.sh

lock:
	uv pip compile pyproject.toml --extra demo --generate-hashes --universal --no-emit-index-url --no-header -q -o requirements.lock
	uv pip compile pyproject.toml --extra dev --generate-hashes --universal --no-emit-index-url --no-header -q -c requirements.lock -o requirements-dev.lock
	uv pip compile pyproject.toml deploy/images/console.in --generate-hashes --universal --no-emit-index-url --no-header -q -c requirements.lock -o deploy/images/console.lock
	for image in door verifier; do uv pip compile deploy/images/$$image.in --python-version 3.11 --generate-hashes --universal --no-emit-index-url --no-header -q -c requirements.lock -o deploy/images/$$image.lock; done

# -- checking -----------------------------------------------------------------------------------------------------
lint:
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/djlint templates --lint --quiet

type:
	$(VENV)/bin/mypy apps console deploy

arch:
	$(VENV)/bin/lint-imports

# What starts a whole Sallyport or a browser comes after the rest, two at a time.
unit:
	$(VENV)/bin/pytest -q -n 3 --dist loadfile --no-loadscope-reorder -m "not e2e and not kill and not slow"
	$(VENV)/bin/pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m "e2e or kill"

# What `make test` does in part, whole: 20,000 generated cases, 50 rollouts under fire, 200 bad calls to each address; and
# what is too slow for it.
thorough: setup-dev
	SALLYPORT_AGREEMENT_CASES=20000 $(VENV)/bin/pytest -q tests/agreement/test_one_policy.py
	SALLYPORT_EQUIVALENCE_EXAMPLES=1000 $(VENV)/bin/pytest -q tests/compiler/test_equivalence.py
	SALLYPORT_FUZZ_EXAMPLES=200 $(VENV)/bin/pytest -q -n 2 tests/api/test_open_addresses.py
	$(VENV)/bin/pytest -q -n 2 --dist loadfile -m "slow and not kill"
	SALLYPORT_KILL_ROLLOUTS=50 $(VENV)/bin/pytest -q tests/kill
	SALLYPORT_LOOKS=both $(VENV)/bin/pytest -q tests/e2e/test_pages.py

# A real kube-apiserver, built from Debian's sources, in place of the stand-in. Not part of `make test`.
REAL_CLUSTER ?= $(HOME)/.cache/sallyport/realcluster
real-cluster: setup-dev
	@deploy/realcluster/build.sh $(REAL_CLUSTER)
	SALLYPORT_REAL_CLUSTER=$(REAL_CLUSTER) $(VENV)/bin/pytest -q tests/contract/kubernetes tests/localcluster tests/rollout/cluster tests/rollout/test_kubernetes_interrupted.py tests/rollout/test_kubernetes_trouble.py

e2e:
	$(VENV)/bin/pytest -q -m e2e

format:
	$(VENV)/bin/ruff check --fix . && $(VENV)/bin/ruff format .

bench:
	$(PY) -m tests.bench

screenshots:
	$(PY) -m tests.e2e.screenshots
