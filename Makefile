.DEFAULT_GOAL := help
.PHONY: help dev check test test-long bench clean-stack

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

dev: ## all services in one process on port 8080, nothing else needed; ARGS="--data none"
	cargo run -p muster -- dev $(ARGS)

check: ## the quick checks: rustfmt, clippy, tests that need no server
	@deployments/local/check

test: ## every check, with real Postgres and Redis, which it installs, starts and stops
	@deployments/local/test

test-long: ## the same with the long forms of the tests
	@MUSTER_TEST_LONG=1 deployments/local/test

bench: ## the benchmarks, with real Postgres and Redis; ARGS go to muster-bench
	@deployments/local/bench $(ARGS)

clean-stack: ## stops every server under .stack/run, and removes .stack
	@deployments/local/stack clean
