# What people and CI call. TAPROOM_STATE, TAPROOM_PORT and the other variables of the README reach the tool as they are.

SHELL := /bin/sh
SWIFT ?= swift
TAPROOM = .build/release/taproom
SWIFT_SOURCES = Package.swift Sources Tests

.DEFAULT_GOAL := help
.PHONY: help packages documents build build-tests up down status test soak bench bench-short lint schema clean-state

help:
	@echo "make up | down | status | test | soak | bench | bench-short | lint | schema | build | build-tests | clean-state"

packages:
	@scripts/install-packages

# The shop does not need its manual: without a package registry it runs all the same.
documents: packages
	@scripts/install-python documents || echo "no Swagger UI could be fetched: /docs/ is not served"

build: documents
	@$(call quietly,$(SWIFT) build -c release)
	@SWIFT="$(SWIFT)" scripts/link-libraries .build/release
	@ln -sfn $(TAPROOM) taproom

build-tests: packages
	@$(call quietly,$(SWIFT) build --build-tests)
	@SWIFT="$(SWIFT)" scripts/link-libraries .build/debug

up: build
	@./taproom up

down:
	@$(call if-built,down,nothing was built here: nothing runs)

status:
	@./taproom status

# Deletes databases, logs and everything else in the state folder. The configuration with its secrets stays.
clean-state:
	@$(call if-built,clean-state,nothing was built here: there is no state)

# Every test, on instances of their own: the one that "make up" started is not touched. The table of charge windows
# comes when the test process ends, so without a terminal the first faults and the runner's summary are said again as
# the last lines.
test: documents build-tests
	@scripts/install-packages curl
	@scripts/install-python test
	@$(MAKE) --no-print-directory lint TAPROOM=.build/debug/taproom
	@run="$(SWIFT) test --skip-build"; \
	if [ -t 1 ]; then exec $$run; fi; \
	log=$$(mktemp); $$run >"$$log" 2>&1; rc=$$?; cat "$$log"; \
	grep ' recorded an issue ' "$$log" | cut -c 1-200 | head -n 8; grep 'Test run with' "$$log" | tail -n 1; \
	rm -f "$$log"; exit $$rc

# Random faults for SOAK_SECONDS, from SOAK_SEED when it is set; see docs/reliability.md. "swift test" would keep its
# progress back where nobody watches.
soak: build-tests
	@SOAK_CHARGES=$${SOAK_CHARGES:-100000} SOAK_SECONDS=$${SOAK_SECONDS:-600} \
		"$$($(SWIFT) build --show-bin-path)/taproomPackageTests.xctest" --testing-library swift-testing --filter SoakTests

# The whole table, of over half an hour, and the gate: some minutes, fails on a ratio that is 20 % from its target.
# BENCH takes options and families, as "bench/run --help" lists them.
bench: build
	@scripts/install-packages --bench
	@bench/run $(BENCH)

bench-short: build
	@scripts/install-packages wrk
	@bench/run --short $(BENCH)

# Writes docs/schema/ anew, after a migration was added.
schema: build-tests
	@WRITE_SCHEMA=1 "$$($(SWIFT) build --show-bin-path)/taproomPackageTests.xctest" --testing-library swift-testing \
		--filter SchemaDocumentTests

# Needs a built tool.
lint:
	@$(SWIFT) format lint --strict --parallel --recursive $(SWIFT_SOURCES)
	@$(TAPROOM) render --check

# Runs a command of the tool. Where nothing was built nothing ran, unless what was built has been removed since.
define if-built
	if [ -x $(TAPROOM) ]; then $(TAPROOM) $(1); \
	elif [ -e "$${TAPROOM_STATE:-var}/instance.json" ]; then \
		echo "$${TAPROOM_STATE:-var} has an instance and the tool is not built: run make build, then make $(1)" >&2; \
		exit 1; \
	else echo "$(2)"; fi
endef

# Shows a command's output only when it fails, or as it comes on a terminal.
define quietly
	log=$$(mktemp); echo "$(1)"; \
	if [ -t 1 ]; then $(1); rc=$$?; else $(1) >"$$log" 2>&1; rc=$$?; [ $$rc = 0 ] || cat "$$log"; fi; \
	rm -f "$$log"; exit $$rc
endef
