# ipvs-operator: `make demo` and `make test` need nothing before them on a fresh Debian 12 with Go and some Node.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

NODE := tools/node
KERNELS := 6.1 6.12
GO_SOURCES := $(shell find helper -name '*.go' -not -path '*/testdata/*' 2>/dev/null) helper/go.mod helper/go.sum
TS_SOURCES := $(shell find operator -name '*.ts' 2>/dev/null) tools/bundle-operator.ts tools/ipvs-operator.sh package-lock.json
export CGO_ENABLED := 0

.PHONY: help deps lock packages build generate format lint check test bench-latency bench-allocator bench-helper bench-scale e2e e2e-kubernetes demo lab images controlplane clean

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

# ---- what the rest needs ---------------------------------------------------------------------------------------------

deps: .build/npm.stamp
.build/npm.stamp: package.json package-lock.json
	@echo "==> installing npm packages (Node 24 among them)"
	@npm ci --ignore-scripts --no-fund --no-audit --loglevel=error
	@mkdir -p .build && touch $@

lock: ## write package-lock.json anew from package.json
	@npm install --package-lock-only --ignore-scripts --loglevel=error
	@$(NODE) tools/complete-lockfile.ts

packages:
	@tools/install-packages

# ---- building --------------------------------------------------------------------------------------------------------

build: dist/ipvs-helper dist/ipvs-operator ## dist/ipvs-helper and dist/ipvs-operator

dist/ipvs-helper: $(GO_SOURCES)
	@echo "==> building dist/ipvs-helper"
	@mkdir -p dist
	@go -C helper build -trimpath -ldflags '-s -w' -o ../dist/ipvs-helper .

dist/ipvs-operator: .build/npm.stamp $(TS_SOURCES)
	@echo "==> bundling dist/ipvs-operator"
	@$(NODE) tools/bundle-operator.ts
	@touch dist/ipvs-operator

.build/bench-helper: $(GO_SOURCES)
	@mkdir -p .build
	@go -C helper build -trimpath -o ../.build/bench-helper ./bench

.build/contract.test: $(GO_SOURCES)
	@echo "==> building the helper's contract suite"
	@mkdir -p .build
	@go -C helper test -c -trimpath -o ../.build/contract.test ./contract

controlplane: .build/npm.stamp
	@$(NODE) test/lab/build-controlplane.ts

images: .build/npm.stamp packages dist/ipvs-helper
	@$(NODE) test/lab/image/build-image.ts --helper dist/ipvs-helper $(foreach k,$(KERNELS),--kernel $k)

generate: .build/npm.stamp ## write crds/ from the schemas
	@$(NODE) tools/generate-crds.ts

format: .build/npm.stamp ## format all sources
	@$(NODE) node_modules/@biomejs/biome/bin/biome check --write operator test tools package.json biome.json tsconfig.json
	@gofmt -w helper test/lab

# ---- checking --------------------------------------------------------------------------------------------------------

check: lint ## format, lint, types, generated files, go vet and unit tests: one to three minutes
	@$(NODE) tools/run-tests.ts unit go

lint: .build/npm.stamp
	@echo "==> format and lint"
	@$(NODE) node_modules/@biomejs/biome/bin/biome ci --colors=off --error-on-warnings operator test tools package.json biome.json tsconfig.json
	@$(NODE) node_modules/oxlint/bin/oxlint --type-aware --deny-warnings operator test tools
	@unformatted=$$(gofmt -l helper test/lab); [ -z "$$unformatted" ] || { echo "not gofmt'ed: $$unformatted" >&2; exit 1; }
	@echo "==> types"
	@$(NODE) node_modules/typescript/bin/tsc -p .
	@echo "==> generated files"
	@$(NODE) tools/generate-crds.ts --check
	@echo "==> go vet"
	@go -C helper vet ./...

test: packages build controlplane images .build/contract.test lint ## every test, unit to end to end, on real parts
	@$(NODE) tools/run-tests.ts unit go race laws integration kernel lab dataplane e2e

bench-latency: packages build controlplane images ## Service created → EXTERNAL-IP, change → kernel: median, p99, n
	@test/lab/lab run -- $(NODE) test/bench/latency.ts

bench-helper: packages dist/ipvs-helper images .build/bench-helper ## the helper against ipvsadm and a bare netlink loop, in a VM, counted in instructions: ratios of medians
	@$(NODE) test/lab/vm/run-in-vm.ts --kernel $(lastword $(KERNELS)) --memory 1024 --timeout 1700 --instruction-clock \
		--file dist/ipvs-helper:/ipvs-helper --file .build/bench-helper:/bench-helper -- /bench-helper

bench-scale: build controlplane ## requests, writes and latency with 100 and with 10,000 Services; a restart; memory
	@$(NODE) test/bench/scale.ts

bench-allocator: .build/npm.stamp ## what an allocation costs, by size and fill of the pool: medians, ratios
	@$(NODE) test/bench/allocator.ts

e2e: packages build controlplane images ## the end-to-end tests only: real cluster, directors, traffic
	@$(NODE) tools/run-tests.ts e2e

e2e-kubernetes: packages build controlplane images ## cases E01 to E17 with every variant, also those that test leaves out: more than an hour
	@$(NODE) tools/run-tests.ts kubernetes

# ---- seeing ----------------------------------------------------------------------------------------------------------

demo: packages build controlplane images ## a real cluster, two real directors, and the product at work
	@test/lab/lab run -- $(NODE) test/demo/main.ts

lab: packages build controlplane images ## an interactive shell inside a running lab, with kubectl, until exit
	@test/lab/lab shell

clean: ## remove everything that was built
	@rm -rf dist .build node_modules coverage
