# `make` prints this help. Everything is set up in .venv; nothing is installed elsewhere (but Chromium, by test-ui, and Java, by test-spark).
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
CONFIG ?= $(CURDIR)/loglake.yaml
export LOGLAKE_CONFIG = $(CONFIG)
export DAGSTER_HOME = $(CURDIR)/.dagster_home

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 16

demo: $(VENV)/run  ## build a sample lake from examples/sample_day and show what is in it
	@$(BIN)/loglake demo

up: $(VENV)/run $(DAGSTER_HOME)/dagster.yaml  ## open the UI on the same lake, http://127.0.0.1:3000
	@$(BIN)/dagster dev -w workspace.yaml -h 127.0.0.1 -p 3000

test: $(VENV)/dev  ## fast tests; no AWS, no Java, no browser
	@$(BIN)/pytest -n 2 -m "not cli and not aws and not browser and not spark and not slow"

test-cli: $(VENV)/dev  ## the command line as people start it, and what the documents show of it
	@$(BIN)/pytest -n 2 -m cli

test-aws: $(VENV)/dev  ## tests against a real S3 server on this machine
	@$(BIN)/pytest -m aws

test-ui: $(VENV)/dev chromium  ## tests in a real browser
	@$(BIN)/pytest -m browser

test-spark: $(VENV)/spark java  ## the Spark engine on a cluster of two workers, and readers on Spark; needs Java
	@$(BIN)/pytest -m spark

test-slow: $(VENV)/dev  ## minutes: many seeds, large workloads, memory
	@$(BIN)/pytest -m slow

test-sanitized: $(VENV)/dev  ## the compiled columns' tests under the address and undefined behaviour sanitizers; needs gcc
	@CFLAGS="-O1 -g -fsanitize=address,undefined" $(PIP) --no-deps --force-reinstall -e .
	@status=0; LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" ASAN_OPTIONS=detect_leaks=0 \
	  $(BIN)/pytest loglake_dagster_tests/kernels/test_columns.py loglake_dagster_tests/kernels/test_undeclared.py \
	    loglake_dagster_tests/kernels/test_hashing.py loglake_dagster_tests/sources/test_cloudtrail.py || status=$$?; \
	  $(PIP) --no-deps --force-reinstall -e .; exit $$status

spark-package: $(VENV)/dev  ## what EMR Serverless and Glue are given, into build/spark: URI=s3://bucket/loglake
	@rm -rf build/spark
	@$(BIN)/python -m deploy.spark.package build/spark --uri "$(URI)" --environment

bench: $(VENV)/dev  ## the benchmark against peers, half an hour, into bench/RESULTS.md
	@$(BIN)/python -m bench.run

fuzz: $(VENV)/dev  ## three minutes: thousands of mutants of real objects, another seed each time
	@$(BIN)/python -m loglake_dagster_tests.fuzz

check: $(VENV)/dev  ## what CI checks; writes nothing
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/python -m loglake_dagster.generate --check
	@$(BIN)/pytest -q loglake_dagster_tests/test_architecture.py

fix: $(VENV)/dev  ## format and mend what tools can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: $(VENV)/run  ## write the tables' pages and their DDL from the records
	@$(BIN)/python -m loglake_dagster.generate

constraints: $(VENV)/dev  ## take the installed versions as the tested ones
	@{ head -2 constraints.txt; $(BIN)/pip freeze --all --exclude-editable | grep -v '^pip=='; } > constraints.new && mv constraints.new constraints.txt

clean:  ## remove what the commands made: the environment, the sample lake and its history
	rm -rf loglake_dagster/kernels/*.so build $(VENV) $(DAGSTER_HOME) lake landing *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/run: setup.py constraints.txt $(wildcard loglake_dagster/kernels/*.c loglake_dagster/kernels/compiled/*.h) | $(VENV)/bin/python
	@echo "installing Log Lake into $(VENV) (a minute or two, once)"
	@$(PIP) -e '.[ui]'
	@touch $@

$(VENV)/dev: setup.py constraints.txt $(VENV)/run
	@echo "installing what tests need into $(VENV) (once)"
	@$(PIP) -e '.[ui,dev]'
	@touch $@

$(VENV)/spark: $(VENV)/dev
	@echo "installing Spark into $(VENV) (once)"
	@$(PIP) -e '.[ui,dev,spark]'
	@touch $@

$(DAGSTER_HOME)/dagster.yaml: dagster.yaml
	@mkdir -p $(DAGSTER_HOME) && cp dagster.yaml $@

chromium:
	@command -v chromium >/dev/null || { \
	  echo "installing Debian's chromium"; \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } >/dev/null \
	  || { echo "the browser tests need chromium: as root, run 'apt-get install chromium'" >&2; exit 1; }; }

java:
	@command -v java >/dev/null || { \
	  echo "installing Debian's Java"; \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends default-jre-headless; } >/dev/null \
	  || { echo "the Spark tests need Java 17 or newer: as root, run 'apt-get install default-jre-headless'" >&2; exit 1; }; }

.PHONY: help demo up test test-cli test-aws test-ui test-spark test-slow test-sanitized spark-package bench fuzz check fix docs constraints clean chromium java
