# SPDX-License-Identifier: GPL-2.0
#
# What a person types; `make help` lists it. The kernel's own build reads Kbuild instead.

KDIR ?= /lib/modules/$(shell uname -r)/build
RUSTC ?= $(firstword $(wildcard /usr/bin/rustc) rustc)
CARGO ?= cargo
CARGO_TARGET_DIR ?= $(CURDIR)/build/target
DEPMOD ?= depmod
INSTALL ?= install
DESTDIR ?=
INSTALL_MOD_PATH ?= $(DESTDIR)
MANDIR ?= /usr/share/man
XTLIBDIR ?= $(shell pkg-config --variable=xtlibdir xtables)
BINDIR ?= /usr/bin
UNITDIR ?= /usr/lib/systemd/system

export CARGO_TARGET_DIR

version := $(shell cat VERSION)
built = $(CARGO_TARGET_DIR)/$(addsuffix /,$(CARGO_BUILD_TARGET))release
built_ext = $(built)/libxt_TARPIT.so
built_monitor = $(programs:%=$(built)/%)
programs := tarpit-top tarpit-exporter
crates := tarpit libxt_TARPIT monitor
roots := xt_TARPIT.rs compat/kernel/lib.rs compat/compiler_builtins.rs
linted := $(crates) tarpit/fuzz tests/oracle tests/stacks/smoltcp tests/zoo

# As the kernel's own lints: in 1.85 this one wants parentheses around every shift.
clippy_flags := -Dwarnings -Aclippy::precedence

# The kernel's build of this folder. With TARPIT_BUILD=kernel, tools/metadata names the directory to
# build against, or says in one sentence why there is none.
find_kdir = $(if $(filter kernel,$(TARPIT_BUILD)),RUSTC=$(RUSTC) tools/metadata --find "$(KDIR)",echo "$(KDIR)")
kbuild = $(can_build) && kdir=$$($(find_kdir)) && $(MAKE) -C "$$kdir" M="$(CURDIR)" RUSTC=$(RUSTC)
can_build = { $(if $(word 2,$(CURDIR)),false,true) || $(call refuse,the kernel's build cannot handle the spaces in $(CURDIR): build elsewhere.); } && \
	{ test -w "$(CURDIR)" || $(call refuse,$(CURDIR) cannot be written to$(comma) and the build leaves its outputs there: copy the tree.); } && \
	{ test -e "$(KDIR)/Makefile" || $(call refuse,$(KDIR) holds no kernel headers: install those of the kernel (Debian: apt install linux-headers-$(or $(filter-out $(KDIR),$(patsubst /lib/modules/%/build,%,$(KDIR))),RELEASE)) or name another KDIR=.); } && \
	{ test -e "$(KDIR)/include/config/auto.conf" || $(call refuse,$(KDIR) holds no configured kernel (include/config/auto.conf is missing): install the kernel's headers again or name another KDIR=.); }
comma := ,
refuse = { echo "xt_TARPIT: $(1)" >&2; exit 1; }

# What `uname -r` says there. Debian 12 has another text in include/config/kernel.release.
release = $$(sed -n 's/.* UTS_RELEASE "\(.*\)"/\1/p' "$(KDIR)/include/generated/utsrelease.h")

.PHONY: all
all: modules ext ## module and extension (the default)

.PHONY: help
help: ## this list
	@echo "xt_TARPIT $(version)"
	@awk -F ':.*## ' '/^[a-z_]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "KDIR=$(KDIR)"
	@echo "For packages: DESTDIR, INSTALL_MOD_PATH, XTLIBDIR, MANDIR, BINDIR, UNITDIR. For check and what follows it: KERNEL, DEBIAN_MIRROR."

.PHONY: modules
modules: ## xt_TARPIT.ko, for the kernel of KDIR
	@$(kbuild) modules

.PHONY: metadata
metadata: ## what Debian's headers lack to build Rust modules, for KDIR (once per kernel, two minutes)
	@RUSTC=$(RUSTC) tools/metadata "$(KDIR)"

.PHONY: ext
ext: ## libxt_TARPIT.so, the iptables extension
	cd libxt_TARPIT && $(CARGO) build --release --locked
	libxt_TARPIT/check-so "$(built_ext)"

.PHONY: monitor
monitor: ## tarpit-top and tarpit-exporter, which show who is held
	cd monitor && $(CARGO) build --release --locked

# Installing builds nothing, so that it can be done by another user (sudo), who may know no compiler.
.PHONY: install
install: modules_install ext_install $(and $(wildcard $(built_monitor)),monitor_install) ## both, and the programs if they are built, with the man pages

.PHONY: modules_install
modules_install: ## the module, under INSTALL_MOD_PATH; depmod unless under DESTDIR
	@test -e xt_TARPIT.ko || { echo "xt_TARPIT.ko is not built: run 'make' first" >&2; exit 1; }
	@# Where depmod looks first; the own choice of 6.1 is the folder extra.
	$(MAKE) -C "$(KDIR)" M="$(CURDIR)" INSTALL_MOD_PATH="$(INSTALL_MOD_PATH)" INSTALL_MOD_DIR=updates modules_install
ifeq ($(DESTDIR),)
	@# The kernel's own call is skipped where there is no System.map, as with Debian's headers.
	$(DEPMOD) $(addprefix -b ,$(INSTALL_MOD_PATH)) "$(release)"
endif

.PHONY: ext_install
ext_install: ## the extension and its man page
	@test -e "$(built_ext)" || { echo "libxt_TARPIT.so is not built: run 'make' first" >&2; exit 1; }
	@test -n "$(XTLIBDIR)" || { echo "pkg-config does not know xtables: apt install libxtables-dev pkgconf" >&2; exit 1; }
	$(INSTALL) -D -m 644 "$(built_ext)" "$(DESTDIR)$(XTLIBDIR)/libxt_TARPIT.so"
	$(INSTALL) -d "$(DESTDIR)$(MANDIR)/man8"
	libxt_TARPIT/man-page $(version) >"$(DESTDIR)$(MANDIR)/man8/xt_TARPIT.8"

.PHONY: monitor_install
monitor_install: ## the programs, their man pages and the exporter's unit
	@test -e "$(firstword $(built_monitor))" || { echo "the programs are not built: run 'make monitor' first" >&2; exit 1; }
	$(INSTALL) -D -t "$(DESTDIR)$(BINDIR)" $(built_monitor)
	$(INSTALL) -D -m 644 -t "$(DESTDIR)$(UNITDIR)" monitor/tarpit-exporter.service
	$(INSTALL) -d "$(DESTDIR)$(MANDIR)/man8"
	@set -ex; for page in $(programs); do \
		sed 's/@VERSION@/$(version)/' monitor/$$page.8.in >"$(DESTDIR)$(MANDIR)/man8/$$page.8"; done

.PHONY: uninstall
uninstall: ## takes away what install put
	rm -f "$(DESTDIR)$(XTLIBDIR)/libxt_TARPIT.so" "$(DESTDIR)$(MANDIR)/man8/xt_TARPIT.8"
	rm -f $(programs:%="$(DESTDIR)$(BINDIR)/%") $(programs:%="$(DESTDIR)$(MANDIR)/man8/%.8") \
		"$(DESTDIR)$(UNITDIR)/tarpit-exporter.service"
	rm -f "$(INSTALL_MOD_PATH)/lib/modules/$(release)"/updates/xt_TARPIT.ko*
ifeq ($(DESTDIR),)
	$(DEPMOD) $(addprefix -b ,$(INSTALL_MOD_PATH)) "$(release)"
endif

.PHONY: fmt
fmt: ## is everything formatted?
	rustfmt --check --edition 2021 $(roots)
	@set -e; for crate in $(linted); do (set -x; cd $$crate && $(CARGO) fmt --check); done

.PHONY: format
format: ## formats everything
	rustfmt --edition 2021 $(roots)
	@set -e; for crate in $(linted); do (set -x; cd $$crate && $(CARGO) fmt); done

.PHONY: lint
lint: ## clippy (the kernel's lint set for the module), sparse, shellcheck, ruff, checkpatch, codespell, tests/unsafe, tests/commands
	@set -e; for crate in $(linted); do (set -x; cd $$crate && $(CARGO) clippy --locked --all-targets -- $(clippy_flags)); done
	@$(kbuild) CLIPPY=1 CLIPPY_CONF_DIR="$(CURDIR)" KRUSTFLAGS=-Dwarnings modules
	@$(MAKE) --no-print-directory sparse
	tests/lint
	tests/unsafe
	tests/commands
	@for crate in $(linted); do grep -qx 'version = "$(version)"' $$crate/Cargo.toml || \
		{ echo "$$crate/Cargo.toml and VERSION name different versions" >&2; exit 1; }; done
	@grep -q '^xt-tarpit ($(version))' debian/changelog || { echo "debian/changelog does not tell of VERSION" >&2; exit 1; }

# 7.3's build tries sparse first with a script that Debian's headers lack, and goes on without it. In
# the build root of tests/machine, which sets LINTERS, sparse must be installed.
.PHONY: sparse
sparse: ## sparse on the module's C, with endian checks, where the kernel's headers can run it
	@if ! command -v sparse >/dev/null; then \
		echo "lint: sparse is not installed: C types are not checked here, but by make check." >&2; test -z "$(LINTERS)"; \
	elif said=$$($(kbuild) C=2 CHECK=sparse CF="-D__CHECK_ENDIAN__ -Wsparse-error" modules 2>&1); then \
		case $$said in *"is not available or not up to date"*) \
			echo "lint: the headers in $(KDIR) lack scripts/checker-valid.sh: C types are not checked." >&2 ;; esac; \
	else echo "$$said" >&2; exit 1; fi

.PHONY: test
test: ext ## tests that need no kernel: core, extension, programs, compat/
	tests/compat
	@set -e; for crate in $(crates); do (set -x; cd $$crate && $(CARGO) test --locked); done
	libxt_TARPIT/tests/cli.sh "$(CARGO_TARGET_DIR)/release" || test $$? = 4 # skipped

.PHONY: deb
deb: ## Debian packages, in build/deb (needs debhelper, dh-dkms and what debian/control names)
	rm -rf build/deb && mkdir -p build/deb/xt-tarpit-$(version)
	tar c --exclude-vcs --exclude=./build --exclude=./own --exclude=target --exclude='*.mod.c' . | tar x -C build/deb/xt-tarpit-$(version)
	cd build/deb/xt-tarpit-$(version) && dpkg-buildpackage -us -uc -b
	rm -r build/deb/xt-tarpit-$(version)
	@ls build/deb/*.deb

.PHONY: dist
dist: ## the source of HEAD, in build/: the same bytes whoever makes it
	mkdir -p build
	git -c tar.umask=0022 archive --prefix=xt-tarpit-$(version)/ HEAD | xz -T1 >build/xt-tarpit-$(version).tar.xz
	@sha256sum build/xt-tarpit-$(version).tar.xz

.PHONY: check
check: ## everything, in a machine of its own: formatter, lints, tests, stock kernel in QEMU
	@tests/machine check

.PHONY: check_kernels
check_kernels: ## a share of the scenarios and a day of hold on each kernel, with each build; build/kernels.json
	@tests/machine kernels

.PHONY: check_packages
check_packages: ## the packages on a stock Debian: installed, booted, signed, removed
	@tests/machine packages

.PHONY: demo
demo: ## shows it: a client caught on a stock kernel in QEMU, beside xtables-addons' TARPIT
	@tests/machine demo

.PHONY: hold
hold: ## the table of how long clients are held, beside xtables-addons, DROP and silence
	@tests/machine hold

.PHONY: bench
bench: ## the table of what a packet costs in instructions, beside xtables-addons, REJECT and DROP
	@tests/machine bench

.PHONY: sanitize
sanitize: ## the scenarios on a kernel that looks for faults: KASAN, UBSAN, lockdep, kmemleak (ROUNDS=5)
	@tests/machine sanitize

.PHONY: soak
soak: ## ten million odd segments, in hours; goes on where it was stopped
	@tests/machine soak

.PHONY: fuzz
fuzz: ## fuzzes the core until 10^9 executions (hours); may be stopped and goes on (FUZZ_RUNS, FUZZ_SECONDS)
	@tests/machine fuzz

.PHONY: shell
shell: ## a shell in that machine
	@tests/machine shell

.PHONY: clean
clean: ## removes what was built here
	@test ! -e "$(KDIR)/Makefile" || $(MAKE) -C "$(KDIR)" M="$(CURDIR)" clean
	rm -rf build own
