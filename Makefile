# Everything a user or a contributor runs. Needs Python 3.11 or newer, make and git, and nothing else.

# The first that is new enough is taken.
PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11
BIN    := .venv/bin

PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
LOCK   := $(BIN)/uv pip compile --quiet --system-certs --universal --python-version 3.11 --generate-hashes \
          --no-annotate --no-header
# One worker per core; more than four gain little. Each has half of the tests, and who is done early takes from the other.
PYTEST := $(BIN)/pytest --numprocesses=logical --maxprocesses=4 --dist=worksteal

# Writes the generated documents into the folder it is given.
GENERATE       := $(BIN)/python -m keystead.api.rest.generate
GENERATED      := openapi.json configuration.md permissions.md limit-rules.md api.md errors.md
PROVE_ROTATION := $(BIN)/python -m bench.prove_rotation
PROVE_VERIFIER := $(BIN)/python -m bench.prove_verifier
MUTANTS        := $(BIN)/python -m bench.mutants
BENCH          := $(BIN)/python -m bench
BENCH_MILLION  := $(BIN)/python -m bench.million
EVIDENCE       := $(BIN)/python -m bench.evidence

# Examples listen here, and ask Keystead at KEYSTEAD_URL, http://127.0.0.1:3000 by default.
PORT     ?= 4000
API_PORT ?= 4001
BUILD    ?= build
EXAMPLES := fastapi django flask express go nginx spa-cookie spa-token

CHECKS := format code types imports dependencies migrations workflows generated evidence docs

# Stamps name what they stand for (the folder, the contents of the locks), so that a moved checkout or another
# branch installs what it needs, and nothing else does.
checksum    = $(shell cksum $(1) | cksum | tr ' ' -)
ENVIRONMENT := .venv/.made-$(shell echo '$(CURDIR) $(PYTHON)' | cksum | tr ' ' -)
EMBEDDED    := .venv/.embedded-$(call checksum,pyproject.toml requirements/build.lock requirements/embedded.lock)
DEV         := .venv/.dev-$(call checksum,pyproject.toml requirements/build.lock requirements/dev.lock)

.DEFAULT_GOAL := help
.PHONY: help serve test test-unit test-integration fmt security clean lock docs docs-generated docs-images evidence bench bench-million bench-verifier bench-api-key bench-challenge bench-pytest-plugin mutants \
        prove-rotation prove-tickets prove-verifier prove-limits prove-blocklist prove-overload prove-timing check $(addprefix check-,$(CHECKS)) examples $(addprefix example-,$(EXAMPLES))

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: $(EMBEDDED) ## Start Keystead with its own PostgreSQL and Valkey (ARGS="--workers 2")
	@exec $(BIN)/keystead serve $(ARGS)

# Hundreds of processes start in a run: they read what the first has compiled, also where the environment forbids it.
test test-unit test-integration: export PYTHONDONTWRITEBYTECODE =

test: $(DEV) ## Run every test, with the coverage gate (ARGS="-k login")
	@$(PYTEST) --cov $(ARGS)

test-unit: $(DEV) ## Run the tests that need no database, cache or server
	@$(PYTEST) -m "not integration" $(ARGS)

test-integration: $(DEV) ## Run the tests that need them
	@$(PYTEST) -m integration $(ARGS)

check: $(addprefix check-,$(CHECKS)) ## Check everything but the tests; `make check-types` and the like for one part

check-format: $(DEV)
	@$(BIN)/ruff format --check --output-format concise || { echo "Mend the format with: make fmt" >&2; exit 1; }

check-code: $(DEV)
	@$(BIN)/ruff check --quiet

check-types: $(DEV)
	@$(BIN)/mypy --no-error-summary

check-imports: $(DEV)
	@$(BIN)/lint-imports --no-logo

check-dependencies: $(DEV)
	@$(BIN)/deptry .
	@$(PIP) check

check-migrations: $(DEV)
	@$(BIN)/squawk src/keystead/migrations/*.sql

check-workflows: $(DEV)
	@$(BIN)/actionlint

check-generated: $(DEV)
	@set -e; fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; $(GENERATE) "$$fresh"; stale=; \
	for file in $(GENERATED); do diff -u "docs/$$file" "$$fresh/$$file" || stale=yes; done; \
	[ -z "$$stale" ] || { echo "Generated files are stale. Renew them with: make docs-generated" >&2; exit 1; }

check-evidence: $(DEV)
	@set -e; fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; $(EVIDENCE) "$$fresh"; stale=; \
	for page in "$$fresh"/security/*.md; do diff -u "docs/security/$$(basename "$$page")" "$$page" || stale=yes; done; \
	[ -z "$$stale" ] || { echo "Pages of the evidence are stale. Renew them with: make evidence" >&2; exit 1; }

check-docs: $(DEV)
	@built=$$(mktemp -d); trap 'rm -rf "$$built"' EXIT; \
	NO_MKDOCS_2_WARNING=true $(BIN)/mkdocs build --strict --site-dir "$$built/site" >"$$built/log" 2>&1 || \
	    { grep -v '^INFO' "$$built/log" >&2; exit 1; }

fmt: $(DEV) ## Format the code and mend what can be mended by itself
	@$(BIN)/ruff check --fix-only --quiet
	@$(BIN)/ruff format

security: $(DEV) ## Look for unsafe code, unsafe workflows and committed secrets (offline)
	@$(BIN)/bandit --configfile pyproject.toml --recursive --quiet src
	@$(BIN)/zizmor --offline --quiet .github/workflows
	@$(BIN)/gitleaks git --no-banner --redact --log-level warn .

docs: $(DEV) ## Build the docs site into site/, offline
	@NO_MKDOCS_2_WARNING=true $(BIN)/mkdocs build --strict --clean
	@echo "The docs are in site/index.html"

docs-generated: $(DEV) ## Renew docs/openapi.json and the pages that are made from the code
	@$(GENERATE) docs

evidence: $(DEV) ## Renew the pages of docs/security that say which test shows what
	@$(EVIDENCE) docs

docs-images: $(DEV) ## Take the pictures of the front end that the README shows
	@KEYSTEAD_SCREENSHOTS=docs/images $(BIN)/pytest -q tests/examples -k first_sign_in

lock: $(DEV) ## Renew the locks from pyproject.toml (ARGS="--upgrade" for newer versions)
	@$(LOCK) pyproject.toml $(ARGS) --extra embedded --group dev -o requirements/dev.lock
	@$(LOCK) pyproject.toml -c requirements/dev.lock --extra embedded -o requirements/embedded.lock
	@$(LOCK) pyproject.toml -c requirements/dev.lock -o requirements/runtime.lock
	@$(LOCK) --group build $(ARGS) -c requirements/dev.lock -o requirements/build.lock

prove-rotation: $(DEV) ## Prove the rotation of refresh tokens in full (long)
	@$(PROVE_ROTATION) $(ARGS)

prove-tickets: $(DEV) ## Use each kind of mailed link two hundred times at once
	@KEYSTEAD_PROOF_WIDTH=200 $(PYTEST) tests/proofs/test_tickets.py $(ARGS)

prove-verifier: $(DEV) ## Verify tokens while the issuer is down, slow, rotating and wrong (five minutes)
	@$(PROVE_VERIFIER) $(ARGS)

prove-limits: $(DEV) ## Guess, overshoot, sign an office in, and torment Valkey (fifteen minutes; ARGS=--small)
	@$(BIN)/python -m bench.prove_limits $(ARGS)

prove-blocklist: $(DEV) ## Build a file of 10^8 known passwords and ask it (minutes, 6 GB; ARGS="--count 10000000")
	@$(BIN)/python -m bench.prove_blocklist $(ARGS)

prove-overload: $(DEV) ## A herd of logins and 10,000 slow connections (five minutes; ARGS="--small", "--only herd")
	@$(BIN)/python -m bench.prove_overload $(ARGS)

prove-timing: $(DEV) ## Whether anything about an account can be told by time, 10,000 pairs each (hours; ARGS="--only blocked --keep FILE")
	@$(BIN)/python -m bench.timing $(ARGS)

mutants: $(DEV) ## Break the code on purpose and see the tests find it (long)
	@$(MUTANTS) $(ARGS)

bench: $(DEV) ## Measure requests per second and start times
	@$(BENCH) $(ARGS)

bench-million: $(DEV) ## Import a million users and time the listing among them (long; ARGS="--users 100000")
	@$(BENCH_MILLION) $(ARGS)

examples: ## List the examples, which run against `make serve`
	@printf 'make example-%s\n' $(EXAMPLES); echo "What each shows: docs/examples/index.md"

# As this checkout has the package; elsewhere: pip install -r requirements.txt
example-fastapi example-django example-flask: export PYTHONPATH = packages/keystead-verify/src

example-fastapi: $(DEV)
	@exec $(BIN)/uvicorn --app-dir examples/fastapi main:app --port $(PORT)

example-django: $(DEV)
	@exec $(BIN)/python examples/django/manage.py runserver --noreload $(PORT)

example-flask: $(DEV)
	@exec $(BIN)/flask --app examples/flask/main run --port $(PORT)

example-express:
	@cd examples/express && npm install --no-package-lock --no-audit --no-fund && PORT=$(PORT) exec node server.js

example-go:
	@cd examples/go && go build -o $(abspath $(BUILD))/example-go
	@PORT=$(PORT) exec $(abspath $(BUILD))/example-go

example-nginx:
	@mkdir -p $(BUILD)/nginx; keystead=$${KEYSTEAD_URL:-http://127.0.0.1:3000}; sed -e "s/127.0.0.1:3000;/$${keystead#*://};/" \
	    -e "s/:4000;/:$(PORT);/; s/:4001;/:$(API_PORT);/" examples/nginx/nginx.conf >$(BUILD)/nginx/nginx.conf
	@exec nginx -g "master_process off;" -e stderr -p $(abspath $(BUILD)/nginx) -c nginx.conf

example-spa-cookie example-spa-token: $(ENVIRONMENT)
	@echo "Open http://127.0.0.1:$(PORT)/$(@:example-%=%)/"
	@exec $(BIN)/python -m http.server --bind 127.0.0.1 --directory examples $(PORT)

bench-verifier: $(DEV) ## Measure the verifier package beside the bare signature
	@$(BIN)/python -m bench.verifier

bench-api-key: $(DEV) ## Measure a request with an API key beside one with a JWT
	@$(BIN)/python -m bench.api_key

bench-challenge: $(DEV) ## Measure how long a proof of work takes its client, and what it costs the server
	@$(BIN)/python -m bench.challenge

bench-limits: $(DEV) ## Measure what a limit costs beside the bare script, and a leased token
	@$(BIN)/python -m bench.limits

bench-pytest-plugin: $(DEV) ## Measure how soon the pytest plugin has a Keystead
	@$(BIN)/python -m bench.pytest_plugin

clean: ## Remove the environment and every cache; your data stays
	@rm -rf .venv build dist htmlcov site .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache \
	    .pytest_cache .ruff_cache
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(ENVIRONMENT):
	@python=; for each in $(PYTHON); do \
	    if $$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$each; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "Keystead needs Python 3.11 or newer. Tried: $(PYTHON)." >&2; \
	    echo "Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python" >&2; exit 1; \
	fi; \
	if ! $$python -c 'import ensurepip, venv' 2>/dev/null; then \
	    echo "$$python lacks venv or ensurepip. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; \
	fi; \
	echo "Making .venv with $$($$python --version) ..."; \
	$$python -m venv --clear .venv && touch $@

# Every package is checked against its hash, the project's own build backend too; nothing is built from source.
define install
	@echo "Installing $(1) ..."
	@rm -f .venv/.embedded-* .venv/.dev-*
	@$(PIP) install --require-hashes --no-deps --only-binary :all: -r requirements/build.lock -r $(1)
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $(2)
endef

$(EMBEDDED): $(ENVIRONMENT)
	$(call install,requirements/embedded.lock,$(EMBEDDED))

$(DEV): $(ENVIRONMENT)
	$(call install,requirements/dev.lock,$(EMBEDDED) $(DEV))
