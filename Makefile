# Build, test and check rocketmqtt. "make test" is the promise; CONTRIBUTING.md says what the rest is for.

GOLANGCI_VERSION := v2.15.0
GOLANGCI         := .tools/golangci-lint-$(GOLANGCI_VERSION)
FUZZTIME         ?= 60s
BENCH            ?= .
SIMMINUTES       ?= 10
TESTFLAGS        ?=

# Packages whose tests take minutes, mostly waiting for RocketMQ: they begin first, and one more of them than there are processors.
LONGTESTS        := ./tests/rocketmq ./tests/cluster ./internal/store/rocketmq ./tests/crash ./tests/e2e ./tests/limits ./internal/store/local ./internal/rocketmqtest
TESTPROCS        ?= $(shell expr 1 + $$(getconf _NPROCESSORS_ONLN))

.PHONY: build test tools doctor lint fuzz sim bench microbench clean

build: ## bin/rocketmqtt, static
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o bin/rocketmqtt ./cmd/rocketmqtt

# The end to end tests start the binary, which Go's test cache does not know of: so nothing is taken from the cache.
test: doctor ## all tests, end to end ones included, with the race detector
	go test -race -count=1 -timeout 14m -p $(TESTPROCS) $(TESTFLAGS) $(LONGTESTS) ./...
	go -C bench test -count=1 -timeout 10m . ./internal/...

doctor: ## says which programs for the tests are missing, and how to get them; fails when CI=true
	@go run ./tests/doctor

tools: ## fetches the clients that npm and PyPI have, into tests/e2e/.tools, RocketMQ, into the user's cache directory, and what examples/go needs
	sh tests/e2e/install
	go run ./internal/rocketmqtest/fetch
	go -C examples/go list -deps ./... >/dev/null

lint: $(GOLANGCI) ## vet, linters, format, go.mod
	go vet ./...
	$(GOLANGCI) run ./...
	cd bench && $(CURDIR)/$(GOLANGCI) run . ./internal/...
	cd examples/go && $(CURDIR)/$(GOLANGCI) run ./...
	$(GOLANGCI) fmt --diff
	go mod tidy -diff
	go -C bench mod tidy -diff
	go -C examples/go mod tidy -diff

$(GOLANGCI):
	GOBIN=$(CURDIR)/.tools/install go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv .tools/install/golangci-lint $@
	rmdir .tools/install

# Before 1.27 Go may report the end of the fuzz time as a failure (golang/go#75804); a real one writes down its input.
fuzz: ## every fuzz target for FUZZTIME
	@set -eu; \
	for dir in $$(grep -rlE '^func Fuzz' --include='*_test.go' internal | xargs -n1 dirname | sort -u); do \
		for target in $$(go test -list '^Fuzz' ./$$dir | grep '^Fuzz'); do \
			if out=$$(go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5s ./$$dir 2>&1); then \
				echo "$$dir $$target: $$(echo "$$out" | grep execs | tail -n 1)"; \
			elif echo "$$out" | grep -q 'Failing input' || ! echo "$$out" | grep -q 'context deadline exceeded'; then \
				echo "$$dir $$target:"; echo "$$out"; exit 1; \
			fi; \
		done; \
	done

sim: ## simulations of the sessions' changelog of several nodes, new seeds for SIMMINUTES; a seed that fails is printed
	ROCKETMQTT_SIM_MINUTES=$(SIMMINUTES) go test -count=1 -timeout 0 -v -run '^TestSimulation$$' ./internal/store/changelog

bench: ## this broker beside mosquitto, mochi-mqtt and NATS, and in front of RocketMQ: bench/RESULTS.md
	go -C bench run .

microbench: ## benchmarks of packages; BENCH names some
	go test -run '^$$' -bench '$(BENCH)' -benchmem ./internal/...

clean:
	rm -rf bin/rocketmqtt .tools tests/.bin tests/e2e/.tools
