.PHONY: setup demo test check fmt lock bench-judge clean
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-stamp

setup: $(STAMP)  ## make .venv with the command `tidegate` in it

$(STAMP): requirements.lock pyproject.toml
	test -x $(BIN)/python || python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(STAMP)

demo: setup  ## real flights, a good candidate promoted, a bad one taken back
	$(BIN)/python -m examples.flights.demo $(DEMO_ARGS)

test: setup  ## every test, with real Envoy and real model files
	-@bash scripts/get_promtool.sh > /dev/null  # without it the tests of alert rules are skipped, and say so
	$(BIN)/python -m pytest -n 3 --dist loadfile tests

check: setup  ## lint, format check, strict types, import layers, docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m scripts.generate --check

bench-judge: setup  ## false rollbacks and detection times of the judge and of what others do
	$(BIN)/python -m benchmarks.judge --full

fmt: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock:  ## renew requirements.lock: names, versions and hashes only
	uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url --output-file requirements.lock

clean:
	rm -rf $(VENV) .tools
