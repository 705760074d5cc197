# `make` lists the targets. Go is enough for build and test; Node.js adds the web
# console, and PostgreSQL, skopeo and Chromium widen what is tested (see .ci/run for
# how to get them).

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null)
FUZZTIME ?= 20s
KILLS    ?= 300
CHAOS    ?= 5m
PACKAGES ?= ./...

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: console-where-possible ## build bin/lighterage, with the web console where Node.js is
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/lighterage ./cmd/lighterage

# The console's files are not in git: the Go compiler takes them from internal/console/dist.
CONSOLE_SOURCES := $(filter-out web/src/api/schema.d.ts,$(shell find web/src web/public web/scripts -type f)) \
	web/index.html web/tsconfig.json web/vite.config.ts internal/api/openapi.yaml

web/node_modules/.installed: web/package.json web/package-lock.json web/.npmrc
	cd web && npm ci --fetch-retries 5
	touch $@

internal/console/dist/index.html: web/node_modules/.installed $(CONSOLE_SOURCES)
	cd web && npm run --silent build
	touch $@

.PHONY: console
console: internal/console/dist/index.html ## build the web console (needs Node.js 20.19 or later)

.PHONY: console-where-possible
console-where-possible:
	@if ! scripts/has-node.sh; then \
	  echo "WITHOUT THE WEB CONSOLE: Node.js 20.19 or later with npm is not here"; \
	elif ! $(MAKE) --no-print-directory web/node_modules/.installed; then \
	  echo "WITHOUT THE WEB CONSOLE, or with an old one: npm could not install what it is built from"; \
	else $(MAKE) --no-print-directory console; fi

.PHONY: screenshots
screenshots: console ## write pictures of the console's pages to web/screenshots (needs Chromium)
	LIGHTERAGE_SCREENSHOTS=$(CURDIR)/web/screenshots go test -count=1 -timeout 20m -run TestScreenshots -v ./internal/console/browser

.PHONY: demo
demo: build ## push an image and watch it being replicated; DEMO_EXIT=1 ends by itself
	DEMO_EXIT=$(DEMO_EXIT) ./scripts/demo.sh

.PHONY: release
release: console ## write the programs, chart and checksums of VERSION=v1.2.3 to dist (needs GNU tar)
	scripts/release.sh $(VERSION)

.PHONY: image
image: console-where-possible ## build the container image lighterage:VERSION (needs buildah or podman)
	VERSION=$(VERSION) scripts/image.sh lighterage:$(or $(VERSION),dev) $(ARCH)

# How many packages are tested side by side: one more than there are processors, since
# those with a browser or a cluster wait for these half of the time.
SIDE_BY_SIDE ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))

.PHONY: test
test: ## run all tests (PACKAGES=./internal/queue/... for some)
	go -C tools test ./...
	go -C tools/chart test ./...
	{ go test -p $(SIDE_BY_SIDE) -timeout 25m -json $(TESTFLAGS) $(PACKAGES); echo "exit $$?"; } | go -C tools run ./testsummary -dir .. $(TESTFLAGS)

.PHONY: test-race
test-race: ## run all tests with the race detector (needs a C compiler)
	{ CGO_ENABLED=1 go test -race -timeout 30m -json $(TESTFLAGS) $(PACKAGES); echo "exit $$?"; } | go -C tools run ./testsummary -dir .. -race $(TESTFLAGS)

.PHONY: test-kill
test-kill: ## kill the server, and the copy of a storage, at KILLS=300 random moments and look for what was lost
	LIGHTERAGE_KILLS=$(KILLS) go test -count=1 -timeout 90m -v -run KillDrill ./internal/server/... ./internal/migration/...

.PHONY: test-chaos
test-chaos: ## change, kill and interrupt everything at random for CHAOS=5m, and compare with what the rules say
	LIGHTERAGE_CHAOS=$(CHAOS) go test -count=1 -timeout 60m -v -run 'TestChaos$$' ./internal/server

.PHONY: test-migrate-kill
test-migrate-kill: ## kill the copy of a registry in use at KILLS=300 random moments
	LIGHTERAGE_KILLS=$(KILLS) go test -count=1 -timeout 120m -v -run MigrationKillDrill ./internal/migration

.PHONY: bench-window
bench-window: ## say for how long a Harbor on Kubernetes is read-only while it is moved, with 200 and with 2,000 tags
	LIGHTERAGE_REQUIRE_KUBE=1 go test -run '^$$' -bench BenchmarkTheWindow -benchtime 1x -timeout 60m ./internal/kube

.PHONY: test-kube
test-kube: ## run the tests that need Kubernetes, which is built first: a quarter of an hour, once
	CGO_ENABLED=0 GOFLAGS=-trimpath go -C test/kube vet .
	LIGHTERAGE_REQUIRE_KUBE=1 go test -count=1 -timeout 60m ./internal/kube/... ./internal/cli ./deploy/...

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME=20s
	@for package in $$(go list $(PACKAGES)); do \
	  for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz'); do \
	    echo "$$package $$target"; \
	    go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
	  done; \
	done

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, import rules
	@unformatted=$$(git ls-files --cached --others --exclude-standard -- '*.go' | xargs -r gofmt -l); \
	  if [ -n "$$unformatted" ]; then echo "not formatted (run make fmt):"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go -C tools vet ./...
	go -C tools/chart vet ./...
	go -C test/distribution-v2 vet ./...
	go -C test/versitygw vet ./...
	go -C test/minio vet ./...
	go tool -modfile=tools/go.mod staticcheck ./...
	go test -count=1 ./internal/archtest

.PHONY: fmt
fmt: ## format all Go files
	git ls-files --cached --others --exclude-standard -- '*.go' | xargs -r gofmt -w

.PHONY: bench
bench: ## measure the parts, then bench-replication, bench-events, bench-audit, bench-bandwidth and bench-storage
	go test -run '^$$' -bench . -benchtime 2s $(PACKAGES)
	$(MAKE) bench-replication
	$(MAKE) bench-events
	$(MAKE) bench-audit
	$(MAKE) bench-bandwidth
	$(MAKE) bench-storage

.PHONY: bench-replication
bench-replication: build ## replicate the same images with us and with other tools, and compare
	go run ./bench/replication

.PHONY: bench-events
bench-events: build ## measure how soon a push is in the cluster's registry, and bursts of pushes
	go run ./bench/events

.PHONY: bench-audit
bench-audit: build ## measure what the audit log costs a push
	go run ./bench/audit

.PHONY: bench-bandwidth
bench-bandwidth: build ## measure how exactly the limits of rules and registries are kept
	go run ./bench/bandwidth

.PHONY: bench-storage
bench-storage: build ## move the same volumes to S3 with us and with other tools, and compare
	go run ./bench/storage -profile small,many,large

.PHONY: clean
clean: ## delete what the other targets made
	rm -rf bin dist coverage* web/dist web/node_modules web/screenshots web/src/api/schema.d.ts
	find internal/console/dist -mindepth 1 ! -name README -delete
