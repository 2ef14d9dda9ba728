# Everything a developer runs. `make` alone lists it.
#
# The lab needs root (namespaces) and some packages of Debian or Ubuntu; nothing it starts touches the machine's own
# libvirt, network or firewall.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# How many idle guests the lab runs besides its nine.
LOAD ?= 0

# How long `make soak` lasts; SEED repeats what it throws.
MINUTES ?= 10

# What `make test` runs at once: files, each by one process with a lab of its own.
AT_ONCE ?= -n 3 --dist loadfile --no-loadscope-reorder

PYTHON := .venv/bin/python
STAMP := .venv/.kvmtui-installed
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo -E env PYTHONDONTWRITEBYTECODE=1)

PACKAGES := \
	libvirt-daemon-system libvirt-clients libvirt-daemon-driver-qemu libvirt-dev \
	qemu-system-x86 qemu-utils iproute2 iptables dnsmasq-base \
	busybox-static cpio xz-utils zstd tmux openssh-client openssh-server netcat-openbsd \
	pkg-config gcc python3-dev python3-venv

# Newer releases have these drivers in packages of their own; older ones do not know the names.
SPLIT_PACKAGES := libvirt-daemon-driver-network libvirt-daemon-driver-storage libvirt-daemon-driver-nwfilter \
	libvirt-daemon-driver-nodedev libvirt-daemon-driver-interface libvirt-daemon-driver-secret

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do \
	    printf '  make %-12s %s\n' "$$name" "$$text"; done

.PHONY: setup
setup: packages $(STAMP) ## install the missing system packages and the Python environment

.PHONY: packages
packages:
	@missing_of() { \
	    for package in "$$@"; do \
	        case "$$(dpkg-query -W -f '$${Status}' "$$package" 2>/dev/null || true)" in \
	            "install ok installed") ;; *) echo "$$package" ;; \
	        esac; \
	    done; }; \
	if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then \
	    command -v libvirtd >/dev/null && command -v qemu-system-x86_64 >/dev/null && exit 0; \
	    echo "This is not Debian or Ubuntu. Install what these packages hold there, then try again:" >&2; \
	    echo "  $(PACKAGES)" >&2; \
	    exit 2; \
	fi; \
	missing=$$(missing_of $(PACKAGES)); \
	[ -n "$$missing" ] || exit 0; \
	as_root=; \
	if [ "$$(id -u)" != 0 ]; then \
	    command -v sudo >/dev/null || { \
	        echo "These packages are missing; install them as root, then try again:" $$missing >&2; exit 2; }; \
	    as_root=sudo; \
	fi; \
	echo "Installing:" $$missing >&2; \
	$$as_root apt-get update -q >&2; \
	known=$$(apt-cache pkgnames libvirt-daemon-driver- | grep -xF "$$(printf '%s\n' $(SPLIT_PACKAGES))" || true); \
	$$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
	    $$missing $$(missing_of $$known) >&2

$(STAMP): pyproject.toml | packages
	@python=; \
	for candidate in python3 python3.14 python3.13 python3.12 python3.11; do \
	    if command -v "$$candidate" >/dev/null \
	        && "$$candidate" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        python=$$candidate; break; \
	    fi; \
	done; \
	[ -n "$$python" ] || { echo "kvmtui needs Python 3.11 or newer with its venv module: install one." >&2; exit 2; }; \
	[ -x $(PYTHON) ] || "$$python" -m venv .venv >&2; \
	$(PYTHON) -m pip install -q --disable-pip-version-check -e '.[libvirt,export,dev]' >&2; \
	touch $@

.PHONY: lab
lab: setup ## open the dashboard on two hosts made for it: make lab [LOAD=150]
	@$(SUDO) $(PYTHON) -m tests.lab run --load $(LOAD) -- .venv/bin/kvmtui

.PHONY: lab-up
lab-up: setup ## start such hosts in the background and print where they are: make lab-up [LOAD=150]
	@$(SUDO) $(PYTHON) -m tests.lab up --load $(LOAD)

.PHONY: lab-down
lab-down: setup ## end them
	@$(SUDO) $(PYTHON) -m tests.lab down

.PHONY: test
test: setup ## lint, types, layers and all tests, as CI runs them
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(SUDO) $(PYTHON) -m pytest $(AT_ONCE) $(if $(SUDO),-p no:cacheprovider)

.PHONY: bench
bench: setup ## measure, and fail where a budget is exceeded
	@$(SUDO) $(PYTHON) -m tests.bench

.PHONY: soak
soak: setup ## a storm of faults over the real program, and what must hold: make soak [MINUTES=10] [SEED=1]
	@$(SUDO) $(PYTHON) -m tests.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

.PHONY: screenshots
screenshots: setup ## take the pictures of the README anew
	@$(PYTHON) -m tests.ui.screenshots

.PHONY: man
man: setup ## make the manual page, build/kvmtui.1; what pip and pipx install holds it
	@$(PYTHON) -c 'import setup'

.PHONY: format
format: setup ## put the code into shape
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

.PHONY: clean
clean: ## delete everything made here, the Python environment too
	rm -rf .venv build dist ./*.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	rm -f snapshot_report.html bench.json
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
