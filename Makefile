.DEFAULT_GOAL := help
.PHONY: help dev stack stack-down check test test-long bench reference clean-stack

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

dev: ## all services in one process on port 8080, nothing else needed; ARGS="--data none"
	cargo run -p muster -- dev $(ARGS)

stack: ## what production has, on this machine: services behind Envoy on port 8080, Postgres, Redis, Kafka
	@deployments/local/system up

stack-down: ## ends it in good order; its data stays
	@deployments/local/system down

check: ## the quick checks: rustfmt, clippy, tests that need no server
	@deployments/local/check

test: ## every check, with real servers, which it installs, starts and stops
	@deployments/local/test

test-long: ## the same with the long forms of the tests, and checks whose tools take minutes to build
	@MUSTER_TEST_LONG=1 deployments/local/test

bench: ## the benchmarks, with real servers; ARGS go to muster-bench
	@deployments/local/bench $(ARGS)

reference: ## docs/reference, made from the protos
	cargo run --quiet --package pkg-reference -- docs/reference

clean-stack: ## stops every server of ours, and removes their data and .stack
	@deployments/local/stack clean
