# Vedette. `make run` starts everything on this machine; `make test` passes all tests.
SHELL := /bin/bash
GO ?= go
export GOFLAGS ?= -buildvcs=false
# A Node of our own, where make setup found the system's too old.
export PATH := $(CURDIR)/bin/tools/node/bin:$(PATH)
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
DATA ?= run
PORT ?= 8443
FUZZTIME ?= 30s
CHAOS ?= 2500
SEEDS ?= 1 2 3
ORACLE ?= ../shared/oracle/kql-emulator-cases.json
RECORDED ?= 2026-08-02T22:00:00Z
PICTURES ?= bin/pictures

.PHONY: vm vm-test chaos web check-web portal-look portal-budget conformance kqlcompare run test test-unit test-e2e e2e-graph check check-fast build bench e2e fuzz generate setup setup-test lint clean

## run: install what is missing, build, start the server and an agent on this host
run: setup build
	@tools/run.sh $(DATA) $(PORT)

## build: bin/vedetted with the portal in it, bin/vedette-agent, bin/vedette, bin/vedette-kql
build: web
	@mkdir -p bin
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/vedetted ./cmd/vedetted
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/vedette-kql ./cmd/vedette-kql
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/vedette-agent ./cmd/vedette-agent
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/vedette ./cmd/vedette

## web: the portal, built into web/dist, which the server embeds (needs Node 20.19 or newer)
web: web/dist/.stamp

WEB := $(shell find web/src web/public web/scripts web/index.html web/vite.config.ts web/package.json -type f 2>/dev/null)

web/node_modules/.stamp: web/package-lock.json
	cd web && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error
	@touch $@

web/dist/.stamp: web/node_modules/.stamp $(WEB)
	cd web && npm run --silent build
	@touch $@

## check-web: types of the portal against the API's document, which it is generated from, and its tests that need no browser
check-web: web/node_modules/.stamp
	cd web && npm run --silent generate >/dev/null && npm run --silent check

## portal-look: pictures of every page, light and dark, 1440 and 1024 wide, on the demonstration, in PICTURES
portal-look: setup-test build
	VEDETTE_BIN=$(CURDIR)/bin VEDETTE_SHOTS=$(abspath $(PICTURES)) VEDETTE_LOOK=1 $(GO) test -count=1 -v -timeout 40m -run '^TestEveryPageOfThePortal$$' ./e2e

## portal-budget: the portal's budgets, with a million events on one device and 500 things in one incident
portal-budget: setup-test build
	VEDETTE_BIN=$(CURDIR)/bin tools/bench.sh portal

## test: everything that must pass, end-to-end with real binaries included (root)
test: setup-test check-fast test-unit test-e2e

test-unit:
	KQLCOMPARE=1 $(GO) test -p 2 -timeout 20m $$($(GO) list ./... | grep -v '/e2e$$')

test-e2e: build bin/identityprovider
	VEDETTE_BIN=$(CURDIR)/bin $(GO) test -count=1 -p 1 -timeout 40m ./e2e

# An OpenID Connect provider of other hands, which the end-to-end tests sign in by.
bin/identityprovider: $(wildcard e2e/identityprovider/*.go e2e/identityprovider/go.*)
	@mkdir -p bin
	cd e2e/identityprovider && $(GO) build -trimpath -o $(CURDIR)/bin/identityprovider .

## e2e: the end-to-end tests alone, verbose
e2e: setup-test build bin/identityprovider
	VEDETTE_BIN=$(CURDIR)/bin $(GO) test -count=1 -v -p 1 -timeout 40m ./e2e

## e2e-graph: Microsoft's own Go SDK for Graph against a server and an agent (its build takes minutes)
e2e-graph: setup-test build
	cd e2e/graphclient && VEDETTE_BIN=$(CURDIR)/bin $(GO) test -count=1 -timeout 20m .

## check: everything that a machine can check without running the product
check: check-fast lint

## check-fast: formatting, vet, cross-compilation, the import law, generated files
check-fast: check-web
	@out=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$out" ] || { echo "gofmt these:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 $(GO) vet ./agent/... ./wire/... ./journal/... ./cmd/vedette-agent
	CGO_ENABLED=0 GOOS=windows GOARCH=amd64 $(GO) vet ./agent/... ./wire/... ./journal/... ./cmd/vedette-agent
	$(GO) test -count=1 -run 'TestImportLaw|TestGenerated' . ./schema ./tools/...

## lint: the linters of .golangci.yml (builds golangci-lint once)
lint: bin/tools/golangci-lint
	bin/tools/golangci-lint run ./...

bin/tools/golangci-lint:
	GOBIN=$(CURDIR)/bin/tools $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

## vm: a contained device restarts, in an emulated machine; make vm-test PKG="agent/enforce/name …" SUITE=bookworm: tests on another kernel (minutes)
SUITE ?= bookworm
PKG ?= agent/enforce/address agent/enforce/name agent/enforce/fileless agent/enforce/file agent/sensor/ebpf
vm: build
	tools/vm.sh image $(SUITE)
	VEDETTE_VM=$(CURDIR)/bin/vm/$(SUITE) VEDETTE_BIN=$(CURDIR)/bin VEDETTE_PATIENCE=8m $(GO) test -count=1 -v -timeout 60m -run TestAContainedDeviceRestarts ./e2e

vm-test:
	tools/vm.sh test $(SUITE) $(PKG)

## bench: the figures of docs/benchmarks.md (takes minutes, root)
bench: setup-test build
	VEDETTE_BIN=$(CURDIR)/bin tools/bench.sh

## chaos: random actions with faults over simulated devices, for CHAOS actions and each of SEEDS
chaos:
	for seed in $(SEEDS); do VEDETTE_CHAOS=$(CHAOS) VEDETTE_SEED=$$seed $(GO) test ./fleetsim -count=1 -v -timeout 60m -run 'TestChaos|TestActionsSurviveKills' || exit 1; done

## fuzz: every fuzz target for FUZZTIME each (`make test` runs their seeds and every input that once failed)
fuzz:
	@tools/fuzz.sh $(FUZZTIME)

## generate: documentation and code made from declarations
generate:
	$(GO) run ./tools/schemadoc > docs/schema.md
	$(GO) run ./tools/kqldoc functions > docs/kql/functions.md
	$(GO) test ./server -count=1 -run 'TestOpenAPI|TestEveryPublishedOperationIsServed' -write

## kqlcompare: queries of CORPUS ({"text": …} lines) against Kusto's own parser
kqlcompare: setup-test
	$(GO) run ./tools/kqlcompare $(CORPUS)

## conformance: docs/kql/conformance.md from the oracle's cases, on both engines
conformance: build
	-bin/vedette kql run --cases $(ORACLE) --now $(RECORDED) --report bin/eval.json
	-bin/vedette kql run --cases $(ORACLE) --now $(RECORDED) --engine sql --report bin/sql.json
	$(GO) run ./tools/kqldoc conformance bin/eval.json bin/sql.json > docs/kql/conformance.md

setup:
	@tools/setup.sh run

setup-test:
	@tools/setup.sh test

clean:
	rm -rf bin web/build web/node_modules
	find web/dist -mindepth 1 ! -name README.txt -delete
