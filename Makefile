# Everything runs in .venv, with locked packages. Needs Python 3.11 or later (with venv) and make.

SHELL := /bin/sh
VENV := .venv
PY := $(VENV)/bin/python
KUBECTL := $(VENV)/bin/kubectl
LOCKED := $(VENV)/.locked
INSTALLED := $(VENV)/.installed
ASSETS_CACHE = $${XDG_CACHE_HOME:-$$HOME/.cache}/ecr-secret-operator
UV_COMPILE := $(PY) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras \
	--no-emit-index-url --no-header
# Don't ask the package registry for a newer pip.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export KEEP
VERSION = $$(sed -n 's/^__version__ = "\([0-9.]*[0-9]\).*/\1/p' ecr_operator/__init__.py)
IMG ?= quay.io/rh-mobb/ecr-secret-operator:v$(VERSION)
CONTAINER_TOOL ?= docker
BUNDLE_IMG ?= quay.io/rh-mobb/ecr-secret-operator-bundle:v$(VERSION)
CATALOG_IMG ?= quay.io/rh-mobb/ecr-secret-operator-catalog:v$(VERSION)
ifdef KUBERNETES
export KUBERNETES
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: install uninstall deploy undeploy argocd chart
.PHONY: help venv assets demo test test-busy test-programs check crds reference bench run lock soak sbom manifests \
	image image-push dist clean clean-assets

# What a target needs of the lab; where .venv is missing too, its packages are installed meanwhile.
demo bench: BINARIES := etcd,kube-apiserver
assets test test-busy test-programs soak: BINARIES := etcd,kube-apiserver,kube-controller-manager
GET_BINARIES = @$(PY) -m lab.assets --only $(BINARIES) >/dev/null

help: ## List these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | while IFS='|' read -r target text; do \
		printf '%-25s %s\n' "$$target" "$$text"; \
	done

demo: $(INSTALLED) ## Run the operator on a real API server for half a minute (KEEP=1: until Ctrl-C)
	$(GET_BINARIES)
	@$(PY) -m lab.demo

test: $(INSTALLED) ## Run all tests except test-programs (ONLY=kube: those in tests/kube)
	$(GET_BINARIES)
	@$(PY) -m tools.run_tests $(addprefix tests/,$(ONLY))
	@echo "For the tests with a registry, skopeo, Helm, Prometheus and OLM: make test-programs"

test-busy: $(INSTALLED) ## Run all tests with four busy loops beside them (ONLY=… as for test)
	$(GET_BINARIES)
	@for _ in 1 2 3 4; do $(PY) -c "$(UNTIL_ORPHANED)" $$$$ & done; $(PY) -m tools.run_tests $(addprefix tests/,$(ONLY))

# A busy loop that ends with the shell that started it.
UNTIL_ORPHANED := import os, sys; any(os.getppid() != int(sys.argv[1]) for _ in iter(int, 1))

test-programs: $(INSTALLED) ## Run the tests that need a registry, skopeo, Helm, Prometheus, Argo CD (WITHOUT=argocd: all others)
	$(GET_BINARIES)
	@$(PY) -m lab.programs $(addprefix --without=,$(WITHOUT)) >/dev/null
	@$(PY) -m pytest tests/programs $(patsubst %,--ignore=tests/programs/test_%.py,$(WITHOUT))

check: $(INSTALLED) ## Check format, lint, types, import contracts, and that generated files are up to date
	@echo "Format…"; $(VENV)/bin/ruff format --check .
	@echo "Lint…"; $(VENV)/bin/ruff check .
	@echo "Types…"; $(VENV)/bin/mypy
	@echo "Imports…"; $(VENV)/bin/lint-imports --no-logo
	@echo "CRDs…"; $(PY) -m tools.crds --check
	@echo "Reference…"; $(PY) -m tools.reference --check
	@echo "Argo CD…"; $(PY) -m tools.argocd --check
	@echo "Bundle…"; $(PY) -m tools.bundle --check
	@echo "Chart…"; $(PY) -m tools.chart --check
	@echo "YAML…"; $(VENV)/bin/yamllint --strict .
	@echo "Shell…"; $(VENV)/bin/shellcheck .ci/run tests/e2e/*.sh
	@echo "Workflows…"; $(VENV)/bin/zizmor --quiet --offline .github/workflows
	@if [ -x $(VENV)/bin/hadolint ]; then echo "Dockerfiles…"; $(VENV)/bin/hadolint *Dockerfile; fi

crds: $(INSTALLED) ## Generate the CRDs in config/crd from the models
	@$(PY) -m tools.crds

reference: $(INSTALLED) ## Generate docs/reference.md from the models and the flags
	@$(PY) -m tools.reference

argocd: $(INSTALLED) ## Generate the YAML files with config/argocd/health.lua for Argo CD
	@$(PY) -m tools.argocd

chart: $(INSTALLED) ## Generate the Helm chart in charts from config and the flags
	@$(PY) -m tools.chart

.PHONY: bundle bundle-build bundle-push catalog-build catalog-push
bundle: $(INSTALLED) ## Generate the OLM bundle and its catalog (IMG=… and BUNDLE_IMG=… set the images)
	@$(PY) -m tools.bundle --image "$(IMG)" --bundle-image "$(BUNDLE_IMG)"

bundle-build: bundle ## Build the bundle image (BUNDLE_IMG=…), with docker or CONTAINER_TOOL=podman
	$(CONTAINER_TOOL) build -f bundle.Dockerfile -t $(BUNDLE_IMG) .

bundle-push: ## Push the bundle image
	$(CONTAINER_TOOL) push $(BUNDLE_IMG)

catalog-build: bundle ## Build the catalog image (CATALOG_IMG=…); push the bundle image first
	$(CONTAINER_TOOL) build -f catalog.Dockerfile -t $(CATALOG_IMG) .

catalog-push: ## Push the catalog image
	$(CONTAINER_TOOL) push $(CATALOG_IMG)

soak: $(INSTALLED) ## Change, break and restart things at random, with long tests beside (ARGS="--minutes 10 --seed 7")
	$(GET_BINARIES)
	@$(PY) -m lab.soak $(ARGS)

bench: $(INSTALLED) ## Measure time, calls and memory with up to 10,000 resources (ARGS="--sizes 200,1000 --rounds 1")
	$(GET_BINARIES)
	@$(PY) -m lab.bench $(ARGS)

run: $(INSTALLED) ## Run the operator with the current kubeconfig (ARGS=… adds flags)
	@$(PY) -m ecr_operator $(ARGS)

install: $(INSTALLED) ## Install the CRDs with the current kubeconfig
	@$(KUBECTL) apply -k config/crd

uninstall: $(INSTALLED) ## Delete the CRDs, all resources and their generated Secrets
	@$(KUBECTL) delete --ignore-not-found -k config/crd

deploy: $(INSTALLED) ## Install config/default: CRDs, RBAC and the operator (IMG=… sets its image)
	@$(KUBECTL) kustomize config/default | \
		sed "s|image: quay.io/rh-mobb/ecr-secret-operator:.*|image: $(IMG)|" | $(KUBECTL) apply -f -

manifests: $(INSTALLED) ## Write dist/install.yaml, all of config/default in one file (IMG=… sets its image)
	@mkdir -p dist && $(VENV)/bin/kubectl kustomize config/default | \
		sed "s|image: quay.io/rh-mobb/ecr-secret-operator:.*|image: $(IMG)|" >dist/install.yaml
	@echo "dist/install.yaml is written."

undeploy: $(INSTALLED) ## Delete config/default, all resources and their generated Secrets
	@$(KUBECTL) delete --ignore-not-found -k config/default

venv: $(INSTALLED) ## Create .venv with the project and its dependencies (PYTHON=… sets the interpreter)
	@echo "$(VENV) is complete."

assets: $(INSTALLED) ## Get the lab's etcd and Kubernetes, once (KUBERNETES=… sets the version, BUILD=1 builds all)
	@$(PY) -m lab.assets

sbom: $(INSTALLED) ## Write dist/sbom.cdx.json, a CycloneDX SBOM of the image's packages, with licences
	@mkdir -p dist; folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	$(PY) -m venv --without-pip "$$folder" && \
	$(PY) -m pip --python "$$folder/bin/python" install --quiet --no-deps --require-hashes -r requirements.lock && \
	$(VENV)/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type application \
		--output-reproducible --output-file dist/sbom.cdx.json "$$folder"
	@echo "dist/sbom.cdx.json is written."

image: ## Build the image for this machine's architecture (IMG=name:tag, PLATFORMS=… for several, with buildx)
	$(CONTAINER_TOOL) $(if $(PLATFORMS),buildx build --platform $(PLATFORMS),build) --build-arg VERSION=$(VERSION) \
		$(if $(BASE),--build-arg BASE=$(BASE)) -t $(IMG) .

image-push: ## Push the image (IMG=name:tag)
	$(CONTAINER_TOOL) push $(IMG)

dist: $(INSTALLED) ## Build wheel and sdist in dist/, check both, install and run them with each Python found
	@$(PY) -m tools.dist

lock: $(INSTALLED) ## Update both lock files within the bounds of pyproject.toml, and those of pip-audit and twine
	$(UV_COMPILE) --upgrade pyproject.toml -o requirements.lock
	$(UV_COMPILE) --upgrade --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	for tool in pip-audit twine; do \
		echo $$tool | $(UV_COMPILE) --upgrade --no-annotate - -o .github/$$tool.lock || exit 1; \
	done

clean: ## Remove .venv and all caches in this folder
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage* \
		build dist ./*.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "Done. make clean-assets removes the lab's binaries from $(ASSETS_CACHE)."

clean-assets: ## Remove the lab's binaries from the user's cache
	@rm -rf "$(ASSETS_CACHE)"
	@echo "Done. To empty Go's caches too: go clean -cache -modcache"

# --- .venv -----------------------------------------------------------------------------------------------
# A stamp is written when its step is complete, so an interrupted step starts again.

$(LOCKED): requirements-dev.lock
	@rm -f $(LOCKED) $(INSTALLED)
	@for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python); do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		echo "Creating $(VENV) with $$("$$python" --version)…"; \
		"$$python" -m venv --clear $(VENV) && exit 0; \
		echo "$$python can't create it; on Debian and Ubuntu install the package python3-venv." >&2; exit 1; \
	done; \
	echo "Python 3.11 or later is required. Install it, or set it: make venv PYTHON=/path/to/python3" >&2; exit 1
	@$(PY) -m lab.packages requirements-dev.lock $(BINARIES)
	@touch $(LOCKED)

$(INSTALLED): $(LOCKED) pyproject.toml
	@echo "Installing this project…"
	@$(PY) -m pip install --quiet --no-deps --no-build-isolation --no-index --editable .
	@touch $(INSTALLED)
