# Everything that people and CI do here. Each target installs what it needs; what it makes lies in target/ and .local/.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# Targets run one after another, but for those that `test` runs side by side.
ifndef SIDE_BY_SIDE
.NOTPARALLEL:
endif

LOCAL := $(or $(GRANARY_LOCAL_DIR),.local)
VENV := $(LOCAL)/venv/bin
LINT_VENV := $(LOCAL)/lint-venv/bin
CARGO_DENY_VERSION := 0.20.2
CARGO_CYCLONEDX_VERSION := 0.5.9
ENVIRONMENT ?= staging

.PHONY: help
help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  \033[1mmake %-14s\033[0m %s\n", $$1, $$2 }'

# ---- The local stack ---------------------------------------------------------------------------------------------------

.PHONY: demo
demo: up ## Seed messages, archive them, verify in full, and show what happened
	@set -a; . $(LOCAL)/env; set +a; local/demo

.PHONY: up
up: ## Start the local stack: Elasticsearch, the ledger's server, the AWS emulator and the deployed functions
	@local/stack up

.PHONY: down
down: ## Stop the local stack; its data stays
	@local/stack down

.PHONY: status
status: ## Show what runs, and where
	@local/stack status

# ---- Checks ------------------------------------------------------------------------------------------------------------

# Tests wait for services more than they compute. There are no tests in documentation: each crate would start a compiler to find none.
export RUST_TEST_THREADS ?= 16

# Cargo is always asked about the whole workspace: a package alone would get other features of the AWS SDK's crates, and
# compile them all once more.

# The ledger's server that the stack doesn't run, beside it: the ledger's own suite passes on both.
OTHER_SERVER := $(if $(filter mysql,$(LEDGER_SERVER)),mariadb,mysql)
OTHER_LEDGER := GRANARY_LOCAL_DIR=$(LOCAL)/other-ledger LEDGER_SERVER=$(OTHER_SERVER) MYSQL_PORT=$${OTHER_MYSQL_PORT:-3397}
ON_OTHER_LEDGER = trap '$(OTHER_LEDGER) local/stack down' EXIT; $(OTHER_LEDGER) local/stack up --ledger; \
	. $(LOCAL)/env; . $(LOCAL)/other-ledger/env

.PHONY: test
test: up ## Run all tests on the local stack, and the ledger's on MySQL as well as on MariaDB
	@. $(LOCAL)/env; rm -f "$$RECORDED_CALLS"; cargo test --workspace --lib --bins --tests --no-fail-fast
	@$(MAKE) --no-print-directory --jobs 2 SIDE_BY_SIDE=1 test-other-ledger test-dashboard
	@$(MAKE) --no-print-directory test-afterwards

# What all suites together have left behind: requests to AWS against grants, and logs without content of messages.
.PHONY: test-afterwards
test-afterwards:
	@. $(LOCAL)/env; cargo test --workspace --no-fail-fast --test afterwards

.PHONY: test-other-ledger
test-other-ledger: up ## Run the ledger's tests alone, on the server that the stack doesn't run
	@$(ON_OTHER_LEDGER); export RUST_TEST_THREADS=4; \
		cargo test --workspace --no-fail-fast --test ledger; cargo test --workspace --lib -- connections::

.PHONY: test-dashboard
test-dashboard: up ## Run the dashboard's tests in a real Chromium alone
	@. $(LOCAL)/env; local/dashboard test

# The suites that take minutes; the source on the oldest Elasticsearch that is supported, a node beside the stack's; the source
# and the demo on the newest, a stack beside the other.
OLDEST := GRANARY_LOCAL_DIR=$(LOCAL)/oldest ES_VERSION=7.17.28 ES_PORT=9217 ES_TRANSPORT_PORT=9317
NEWEST := GRANARY_LOCAL_DIR=$(LOCAL)/newest ES_VERSION=9.5.3 ES_PORT=9219 ES_TRANSPORT_PORT=9319 MYSQL_PORT=3319 AWS_PORT=4569

# A stack whose ledger is a migration ahead afterwards. Its Python tools are the other stack's.
UPGRADED := GRANARY_LOCAL_DIR=$(abspath $(LOCAL))/upgraded ES_PORT=9221 ES_TRANSPORT_PORT=9321 MYSQL_PORT=3321 AWS_PORT=4571 \
	EXPORTER_CONCURRENCY=2 BATCH_SIZE=20

FULL := --features granary-tests/full
SOAK := --features granary-tests/soak
SOAK_TEST := cargo test --release --workspace --test scenarios $(SOAK) soak:: -- --nocapture

.PHONY: test-full
test-full: test ## Run all tests and the long suites
	@. $(LOCAL)/env; cargo test --workspace --no-fail-fast $(FULL) --test scenarios -- crash:: data_stream:: faults::ledger_server:: faults::rotation:: outage:: surveyed::
	@. $(LOCAL)/env; cargo test --workspace --no-fail-fast --test long --test scale -- --test-threads 1 --show-output
	@$(ON_OTHER_LEDGER); cargo test --workspace --no-fail-fast $(FULL) --test scenarios; \
		cargo test --workspace --no-fail-fast --test long --test scale -- --test-threads 1 --show-output
	cargo build --release --workspace --bins $(SOAK)
	@. $(LOCAL)/env; $(SOAK_TEST)
	@$(ON_OTHER_LEDGER); $(SOAK_TEST)
	@. $(LOCAL)/env; $(FUZZ)
	@. $(LOCAL)/env; local/release last
	@$(MAKE) --no-print-directory test-upgrade
	@trap '$(OLDEST) local/stack down' EXIT; $(OLDEST) local/stack up --source; \
		ES_URL=http://127.0.0.1:9217 cargo test --workspace --test it
	@trap '$(NEWEST) local/stack down' EXIT; $(NEWEST) local/stack up; \
		(. $(LOCAL)/newest/env; cargo test --workspace --test it); $(NEWEST) local/demo

.PHONY: test-upgrade
test-upgrade: ## Upgrade a stack of its own to a release with a newer schema, and roll it back, with batches in flight
	@local/release next; local/stack tools
	@mkdir -p $(LOCAL)/upgraded; ln -sfn ../venv $(LOCAL)/upgraded/venv; $(UPGRADED) local/stack wipe
	@trap '$(UPGRADED) local/stack down' EXIT; $(UPGRADED) local/stack up; . $(LOCAL)/upgraded/env; \
		$(UPGRADED) NEXT_RELEASE=$(abspath $(LOCAL))/next cargo test --workspace --test upgrade -- --nocapture

# A short one is a part of the tests.
FUZZ := FUZZ_SECONDS=$${FUZZ_SECONDS:-900} FUZZ_CASES_MIN=$${FUZZ_CASES_MIN:-5000} \
	cargo test --workspace --test scenarios fuzzing:: -- --nocapture

.PHONY: fuzz
fuzz: up ## Send the API thousands of requests of all kinds (FUZZ_SECONDS, FUZZ_CASES_MIN, FUZZ_SEED)
	@. $(LOCAL)/env; cargo build --workspace --bins; $(FUZZ)

.PHONY: docs
docs: ## Write the pages and documents in docs/ that are made of the code: reliability, command line, OpenAPI, Postman
	cargo run --quiet -p granary-reliability
	GRANARY_WRITE_DOCS=1 cargo test --quiet --workspace --bins -- docs_cli_md the_committed

.PHONY: screenshots
screenshots: up ## Write docs/screenshots: every page of the dashboard, light and dark
	@. $(LOCAL)/env; local/dashboard screenshots

.PHONY: soak
soak: up ## Archive for half an hour while everything is killed again and again (SOAK_MINUTES, SOAK_MESSAGES, SOAK_SEED, LEDGER_SERVER)
	cargo build --release --workspace --bins $(SOAK)
	@. $(LOCAL)/env; $(SOAK_TEST)

# Its Elasticsearch compiles as in production, and the functions are release builds on a Runtime API of the benchmark's.
.PHONY: bench
bench: ## Measure harvest and export against the limits of Elasticsearch (BENCH_MESSAGES, BENCH_ROUNDS, BENCH_SEED, BENCH_EXPORTERS, BENCH_MINUTES)
	@ES_JIT=full local/stack up --services
	cargo build --release --workspace --bins
	@. $(LOCAL)/env; export BENCH_COMMIT=$$(git rev-parse --short HEAD 2>/dev/null || true); \
		cargo test --release --workspace --test bench

# On the server that LEDGER_SERVER names. For the other one: . .local/env; . .local/other-ledger/env before the command.
.PHONY: bench-schema
bench-schema: ## Measure candidates for the ledger's table of messages (SCHEMA_MESSAGES, SCHEMA_POOL, SCHEMA_CANDIDATES, LEDGER_SERVER)
	@local/stack up --ledger
	@. $(LOCAL)/env; cargo test --release --workspace --test candidates -- --nocapture

.PHONY: lint
lint: tools lint-tools ## Check format, lints, docs, dependencies, the template, its security and spelling
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	cargo clippy --workspace --test afterwards --test bench --test candidates --test long --test scale --test upgrade --quiet -- -D warnings
	cargo clippy --workspace --tests $(SOAK) $(FULL) --quiet -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --document-private-items --quiet
	cargo fetch --locked --quiet # cargo-deny looks at the crates of every platform; building has fetched those of this one
	$(LOCAL)/cargo/bin/cargo-deny --offline --log-level error check bans licenses sources
	AWS_DEFAULT_REGION=us-east-1 SAM_CLI_TELEMETRY=0 $(VENV)/sam validate --lint --template template.yaml
	$(LINT_VENV)/cfn-lint --regions us-east-1 --template template.yaml
	$(LINT_VENV)/checkov --framework cloudformation --skip-download --compact --quiet --file template.yaml
	$(VENV)/typos

# Not a part of lint: the database of advisories is a repository on GitHub, which no package registry carries, and CI reaches registries
# alone. A release runs it.
.PHONY: advisories
advisories: tools ## Look for known vulnerabilities of the dependencies (needs github.com)
	$(LOCAL)/cargo/bin/cargo-deny --log-level error check advisories

# The tools that lint needs, in the versions that this repository pins.
.PHONY: tools
tools:
	@local/stack tools
	@mkdir -p $(LOCAL)/cargo
	@$(LOCAL)/cargo/bin/cargo-deny --version 2>/dev/null | grep -x 'cargo-deny $(CARGO_DENY_VERSION)' >/dev/null || \
		cargo install --quiet --locked --root $(LOCAL)/cargo cargo-deny --version $(CARGO_DENY_VERSION)

.PHONY: lint-tools
lint-tools:
	@local/stack lint-tools

# ---- AWS ---------------------------------------------------------------------------------------------------------------

.PHONY: deploy
deploy: ## Build for Lambda and deploy to AWS: make deploy ENVIRONMENT=staging (or production)
	@local/stack tools
	PATH="$(abspath $(VENV)):$$PATH" sam build --config-env $(ENVIRONMENT)
	PATH="$(abspath $(VENV)):$$PATH" sam deploy --config-env $(ENVIRONMENT)

ARCH ?= x86_64

.PHONY: package
package: cyclonedx ## Make zips of the functions, their sizes and a software bill of materials each: make package ARCH=x86_64 (or arm64)
	@local/stack tools
	@PATH="$(abspath $(LOCAL)/cargo/bin):$(abspath $(VENV)):$$PATH" local/package $(ARCH)

.PHONY: cyclonedx
cyclonedx:
	@mkdir -p $(LOCAL)/cargo
	@$(LOCAL)/cargo/bin/cargo-cyclonedx cyclonedx --version 2>/dev/null | grep -x 'cargo-cyclonedx-cyclonedx $(CARGO_CYCLONEDX_VERSION)' >/dev/null || \
		cargo install --quiet --locked --root $(LOCAL)/cargo cargo-cyclonedx --version $(CARGO_CYCLONEDX_VERSION)
