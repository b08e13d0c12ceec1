.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

VENV ?= .venv
PORT ?= 8000
# The folder of the sdist and the wheel. Without it, wheel-test builds in a folder that it removes.
DIST ?=
# More arguments for pytest: make test ARGS="tests/test_conf.py -n 0"
ARGS ?=
# All cores. The tests of a file stay together, because they share a server or a browser.
PARALLEL := -n auto --dist loadfile
# Each of these folders has a target of its own.
APART := --ignore tests/services --ignore tests/browser --ignore tests/contract --ignore tests/clients
# What pytest runs under: make test UNDER="coverage run -m"
UNDER ?=
# Where wheel-test installs the wheel, and what beside it.
WHEEL_PYTHON ?= $(RUN)
WHEEL_WITH ?= django
# The first interpreter that runs and is new enough: a pyenv shim may exist and still not run.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$python"; break; }; done)
RUN := $(VENV)/bin/python
# The newest that runs and has cgi, which the oldest boto3 imports and Python 3.13 has no more.
OLD_PYTHON ?= $(shell for python in python3.12 python3.11 python3.10 $(RUN); do \
	"$$python" -W ignore -c 'import cgi' 2>/dev/null && { echo "$$python"; break; }; done)

.PHONY: help
help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(VENV)/.stamp-demo ## a small site on the built-in emulator, on PORT (8000)
	$(RUN) manage.py demo $(PORT)

.PHONY: test
test: $(VENV)/.stamp-test ## the suite without what takes long, on all cores
	$(RUN) -m $(UNDER) pytest $(PARALLEL) $(APART) -m "not slow" $(ARGS)
	@echo 'Left out: tests marked slow (make slow), and those of make services, services-slow, browser, contract and clients.'

.PHONY: slow
slow: $(VENV)/.stamp-test ## the tests that make test leaves out because they take long
	$(RUN) -m $(UNDER) pytest $(PARALLEL) $(APART) -m slow $(ARGS)

.PHONY: lint
lint: $(VENV)/.stamp-lint ## ruff, formatting, and which package may import which
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(VENV)/bin/lint-imports --no-cache --no-logo

# semgrep has an environment of its own, because it pins packages that the tests want newer. It uses no network.
.PHONY: audit
audit: $(VENV)-audit/.stamp ## semgrep with this project's own rules for secrets, logs, HTML and SQL
	$(SEMGREP) --quiet --test --config .semgrep/rules.yaml .semgrep/rules.py
	$(SEMGREP) --quiet --error --config .semgrep/rules.yaml cognito_reset

SEMGREP := SEMGREP_SETTINGS_FILE=$(VENV)-audit/settings.yml PATH="$(abspath $(VENV)-audit/bin):$$PATH" \
	semgrep scan --metrics off --disable-version-check

$(VENV)-audit/.stamp: | $(RUN)
	$(RUN) -m venv $(VENV)-audit
	$(VENV)-audit/bin/python -m pip install --quiet --disable-pip-version-check "semgrep>=1.150"
	@touch $@

.PHONY: format
format: $(VENV)/.stamp-lint ## mend what ruff can mend
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

.PHONY: types
types: $(VENV)/.stamp-types ## mypy, strict, and pyright on the public API as a site uses it
	$(RUN) -m mypy
	$(VENV)/bin/basedpyright --pythonpath $(RUN)
	$(RUN) -m tests.typing_complete

# Every link of the docs is checked (-n), and a warning is an error (-W). No network is needed.
.PHONY: docs
docs: $(VENV)/.stamp-docs ## the documentation site, in build/docs
	$(RUN) -m sphinx --builder html -W -n --keep-going --quiet --fresh-env --doctree-dir build/doctrees docs build/docs
	@echo 'Open build/docs/index.html'

# Pages that are written from the code. The tests fail if one of them isn't up to date.
.PHONY: references
references: $(VENV)/.stamp-test ## write the pages of docs/ that come from the code: settings, checks, errors, signals, doctor, commands, stability
	$(RUN) -m tests.settings_page
	$(RUN) -m tests.checks_page
	$(RUN) -m tests.errors_page
	$(RUN) -m tests.signals_page
	$(RUN) -m tests.doctor_page
	$(RUN) -m tests.commands_page
	$(RUN) -m tests.stability_page

.PHONY: services
services: services-packages ## tests that want a real PostgreSQL, MariaDB, Redis, Memcached or RabbitMQ (under 10 minutes)
	$(RUN) -m pytest tests/services -n 2 --dist loadfile -m "not slow" $(ARGS)
	@echo 'Left out: tests marked slow (make services-slow).'

.PHONY: services-slow
services-slow: services-packages ## the same with other servers, stores and faults, which make services leaves out
	$(RUN) -m pytest tests/services -m slow $(ARGS)

.PHONY: services-packages
services-packages: $(VENV)/.stamp-test $(VENV)/.stamp-services
	@$(RUN) -c "import MySQLdb" 2>/dev/null || $(RUN) -m pip install --quiet --group mariadb || \
		{ echo "MariaDB is left out: mysqlclient can't be built without its client library."; test -z "$$CI"; }

.PHONY: browser
browser: $(VENV)/.stamp-test $(VENV)/.stamp-browser .cache/clients/.stamp ## the tests that drive a headless Chromium
	$(RUN) -m pytest tests/browser $(ARGS)

.PHONY: screenshots
screenshots: $(VENV)/.stamp-test $(VENV)/.stamp-browser ## take the docs' pictures anew
	$(RUN) -m pytest tests/browser/screenshots.py $(ARGS)

.PHONY: contract
contract: $(VENV)/.stamp-test .cache/node_modules ## the emulator against moto's server and cognito-local (needs npm)
	$(RUN) -m pytest tests/contract $(ARGS)

.cache/node_modules:
	npm install --loglevel=error --ignore-scripts --no-audit --no-fund --prefix .cache cognito-local@5.3.0 || \
		{ echo "cognito-local is left out: npm can't install it."; test -z "$$CI"; }

.PHONY: clients
clients: $(VENV)/.stamp-test .cache/clients/.stamp ## real AWS clients against the demo (needs npm for most)
	COGNITO_RESET_CLIENTS=1 $(RUN) -m pytest tests/clients $(ARGS)

# boto3 and the AWS CLI have environments of their own: their versions aren't the suite's. The AWS CLI 2
# and the AWS SDKs for Go are in no registry that pip or npm reads, but in Debian 12: awscli, golang-go,
# golang-github-aws-aws-sdk-go-dev and golang-github-aws-aws-sdk-go-v2-dev. What they do by themselves
# when an answer is lost changes from version to version, so no other CLI is taken.
GOCODE := /usr/share/gocode
.cache/clients/.stamp: $(wildcard tests/clients/*.txt tests/clients/*.json tests/clients/go/*) | $(VENV)/.stamp-pip
	@mkdir -p .cache/clients
	@test -n "$(OLD_PYTHON)" || { rm -rf .cache/clients/boto3-oldest; \
		echo "The oldest boto3 is left out: there is no Python below 3.13 here."; test -z "$$CI"; }
	@set -eu; for client in boto3-oldest=$(OLD_PYTHON) awscli=$(RUN); do \
		name=$${client%%=*}; python=$${client#*=}; test -n "$$python" || continue; \
		"$$python" -m venv --clear --without-pip .cache/clients/$$name; \
		$(RUN) -m pip --python .cache/clients/$$name install --quiet --disable-pip-version-check \
			--requirement tests/clients/$$name.txt; \
	done
	@for aws in $$(which -a aws); do case "$$("$$aws" --version 2>&1)" in \
		aws-cli/2.9.*) ln -sf "$$aws" .cache/clients/aws-cli-2; break ;; esac; done
	@set -eu; if test -d $(GOCODE)/src/github.com/aws/aws-sdk-go-v2 && command -v go >/dev/null; then \
		for version in v1 v2; do GO111MODULE=off GOFLAGS= GOPATH=$(GOCODE) go build \
			-o .cache/clients/go-$$version tests/clients/go/call.go tests/clients/go/$$version.go; done; \
	else echo "The AWS SDKs for Go are left out: Debian's packages of them aren't here."; fi
	cp tests/clients/package.json tests/clients/package-lock.json .cache/clients
	npm ci --loglevel=error --ignore-scripts --no-audit --no-fund --prefix .cache/clients && touch $@ || \
		{ echo "The clients in JavaScript are left out: npm can't install them."; test -z "$$CI"; }

.PHONY: sdk
sdk: .cache/clients/.stamp ## bundle the AWS SDK for the demo's page (needs npm)
	$(RUN) -m tests.clients.bundle

# What the wheel installs, with both extras, in an environment that has nothing else.
.PHONY: sbom
sbom: DIST := $(or $(DIST),dist)
sbom: $(VENV)/.stamp-sbom ## write a CycloneDX bill of materials of the wheel in DIST (dist) to sbom.cdx.json
	@set -eu; folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	$(RUN) -m venv --without-pip "$$folder/venv"; \
	$(RUN) -m pip --python "$$folder/venv" install --quiet --disable-pip-version-check \
		"$$(echo "$(DIST)"/*.whl)[openapi,phone]"; \
	$(VENV)/bin/cyclonedx-py environment --output-reproducible --output-format JSON \
		--output-file sbom.cdx.json "$$folder/venv/bin/python"

.PHONY: dist
dist: DIST := $(or $(DIST),dist)
dist: $(VENV)-build/.stamp ## build the sdist and the wheel into DIST (dist), and print their SHA-256
	@SOURCE_DATE_EPOCH="$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)}" \
		$(VENV)-build/bin/python -m build --outdir "$(DIST)" . >/dev/null
	@cd "$(DIST)" && sha256sum *

# None of the tests' packages is installed here, so that they can't change what is built.
$(VENV)-build/.stamp: | $(RUN)
	$(RUN) -m venv $(VENV)-build
	$(VENV)-build/bin/python -m pip install --quiet --disable-pip-version-check "build>=1.3"
	@touch $@

# The tests get a copy of the wheel. The digests are taken before it and the tests' packages are
# installed, and show whether anything has changed the files in DIST by the end.
.PHONY: wheel-test
wheel-test: $(VENV)/.stamp-test ## the suite against the installed wheel, from a folder without the checkout
	@set -eu; folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; mkdir "$$folder/suite" "$$folder/wheel"; \
	dist="$(or $(abspath $(DIST)),$$folder/dist)"; \
	test -e "$$dist" || $(MAKE) --no-print-directory dist DIST="$$dist"; \
	digests=$$(cd "$$dist" && sha256sum *); cp "$$dist"/*.whl "$$folder/wheel"; \
	"$(WHEEL_PYTHON)" -m venv --without-pip "$$folder/venv"; \
	$(RUN) -m pip --python "$$folder/venv" install --quiet --disable-pip-version-check \
		"$$folder"/wheel/*.whl "$(WHEEL_WITH)" --group test; \
	git ls-files -z -- . ':!cognito_reset' | tar --null -T - -cf - | tar -xf - -C "$$folder/suite"; \
	(cd "$$folder/suite"; COGNITO_RESET_INSTALLED_IN="$$folder/venv" "$$folder/venv/bin/python" -m pytest $(PARALLEL) $(APART) -m "not slow" $(ARGS)); \
	test "$$(cd "$$dist" && sha256sum *)" = "$$digests" || \
		{ echo "Something changed the built files in $$dist during the tests."; exit 1; }

.PHONY: coverage
coverage: $(VENV)/.stamp-test ## the suite again, with the branches that it doesn't reach
	$(RUN) -m coverage erase
	$(RUN) -m coverage run -m pytest $(PARALLEL) $(APART) $(ARGS)
	$(RUN) -m coverage combine --quiet
	$(RUN) -m coverage report

.PHONY: tox
tox: $(VENV)/.stamp-tox ## the suite on every Python and Django that is here
	$(RUN) -m tox run $(ARGS)

# Print the mutants that survived, and fail unless the tests noticed 85 of 100. They notice one that hangs.
KILLED := awk '/: (killed|timeout)$$/ { killed++; next } { print } \
	END { printf "%d of %d mutants killed; 85 %% is wanted\n", killed, NR; exit !NR || 100 * killed < 85 * NR }'

.PHONY: mutants
mutants: $(VENV)/.stamp-test ## mutation testing of what keeps attackers out (an hour)
	$(RUN) -m pip install --quiet --disable-pip-version-check "mutmut>=3"
	$(VENV)/bin/mutmut run
	@$(VENV)/bin/mutmut results --all true | $(KILLED)

.PHONY: benchmark
benchmark: $(VENV)/.stamp-test $(VENV)/.stamp-services ## what the app costs, written to docs/performance.md (needs PostgreSQL and Redis)
	$(RUN) -m benchmarks $(ARGS)

.PHONY: thorough
thorough: lint types audit docs ## everything, with what takes long (hours)
	COGNITO_RESET_TIMING_SAMPLES=300 COGNITO_RESET_SCHEMA_EXAMPLES=1000 COGNITO_RESET_BULK_ORDERS=10000 $(MAKE) test slow
	RACE_ROUNDS=20 COGNITO_RESET_KILL_SEEDS=20 COGNITO_RESET_EVERY_KILL=1 COGNITO_RESET_BULK_PEOPLE=20000 \
		COGNITO_RESET_OUTAGE_SECONDS=60 COGNITO_RESET_SOAK_SECONDS=1800 $(MAKE) services services-slow ARGS="-n 0"
	COGNITO_RESET_EVERY_WIDTH=1 $(MAKE) browser
	$(MAKE) tox ARGS='-e browser-django52 -- tests/browser/test_pages.py tests/browser/test_staff.py -n auto'
	$(MAKE) tox ARGS='-e migrating'
	$(MAKE) benchmark ARGS=--compare
	$(MAKE) contract clients wheel-test tox mutants

.PHONY: messages
messages: $(VENV)/.stamp-test ## collect the texts to translate (needs gettext)
	cd cognito_reset && ../$(RUN) -m django makemessages --all --no-location --no-obsolete --no-wrap --ignore "testing/*"

.PHONY: compilemessages
compilemessages: $(VENV)/.stamp-test ## compile the translations (needs gettext)
	cd cognito_reset && ../$(RUN) -m django compilemessages

.PHONY: requirements
requirements: $(RUN) ## write docs/requirements.md from the tests' markers
	$(RUN) -m tests.requirements_page

.PHONY: lambda
lambda: $(VENV)/.stamp-test ## write the compiled translations into the Lambda function
	$(RUN) -m tests.lambda_texts

# A virtual environment that is already there is used as it is, never made anew.
$(RUN):
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found."; exit 1; }
	$(PYTHON) -m venv $(VENV)

# pip reads dependency groups since 25.1.
$(VENV)/.stamp-pip: | $(RUN)
	$(RUN) -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	@touch $@

# An editable install warns about folders beside the package; there are none that matter.
$(VENV)/.stamp-%: setup.cfg pyproject.toml $(VENV)/.stamp-pip
	PYTHONWARNINGS=ignore $(RUN) -m pip install --quiet --disable-pip-version-check --editable . --group $*
	@touch $@
