# pg2any: build, test and install every tool from one make, without recursion into folders.
# `make help` lists the targets. GNU make 4.3 or later.

# The version that is worked on; nothing else says it. CHANGELOG.md has it when it is released.
VERSION   := 0.2.0
BUILD     ?= build
PREFIX    ?= /usr/local
BINDIR    ?= $(PREFIX)/bin
MANDIR    ?= $(PREFIX)/share/man
DOCDIR    ?= $(PREFIX)/share/doc/pg2any
DATADIR   ?= $(PREFIX)/share/pg2any
UNITDIR   ?= $(PREFIX)/lib/systemd/system
BASHDIR   ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR    ?= $(PREFIX)/share/zsh/site-functions

CFLAGS      ?= -O2 -g
PKG_CONFIG  ?= pkg-config
CLANG       ?= clang
CLANG_TIDY  ?= clang-tidy
CLANG_FORMAT ?= clang-format
INSTALL     ?= install
SANITIZE    ?=
WERROR      ?=
# V=1 shows the whole commands.
V           ?=
JOBS        ?= $(shell nproc)
# What `make demo` writes into.
TARGET      ?= sqlite
# For how long `make fuzz` runs each target.
FUZZ_SECONDS ?= 60
# How many histories `make check-histories` runs, and the seed of the first.
SEEDS     ?= 5000
SEED      ?= 1
# For how long `make check-chaos` runs.
MINUTES   ?= 10

SHELL := /bin/sh
.SHELLFLAGS := -ec
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := all

# A tool is a folder with a main.c; one whose folder is not there yet is left out. What it links
# besides libpg2any.a stands here: pkg-config names, so that no tool drags in another's libraries.
PKGS_pg-capture   := libpq
PKGS_txn-assemble :=
PKGS_apply-sqlite := sqlite3
PKGS_frame-dump   := jansson
PKGS_frame-tee    :=
PKGS_pg2any       :=
PKGS_metrics-http := libmicrohttpd
# MariaDB's client library (Debian's default), or Oracle's.
PKGS_apply-mysql  := $(or $(firstword $(foreach p,libmariadb mysqlclient,\
	$(shell $(PKG_CONFIG) --exists $(p) 2>/dev/null && echo $(p)))),libmariadb)
# FreeTDS's db-lib comes without a file for pkg-config.
PKGS_apply-mssql  := sybdb
CFLAGS_sybdb      :=
LIBS_sybdb        := -lsybdb
ALL_TOOLS := pg-capture txn-assemble apply-sqlite apply-mysql apply-mssql frame-dump frame-tee pg2any metrics-http
COMMON_PKGS := msgpack libxxhash

# METRICS=0 builds without metrics-http, and without the HTTP library.
METRICS   ?= 1
TOOLS := $(foreach t,$(if $(filter 0,$(METRICS)),$(filter-out metrics-http,$(ALL_TOOLS)),$(ALL_TOOLS)),\
	$(if $(wildcard $(t)/main.c),$(t)))

# pkg-config is asked when a recipe first needs the answer, once: `make deps` has to work before
# pkg-config or any of the packages is there.
pkg_config = $(shell $(PKG_CONFIG) $(1))$(if $(filter-out 0,$(.SHELLSTATUS)),$(error \
	$(PKG_CONFIG) $(1) failed: run `make deps`))
define remember_pkg
CFLAGS_$(1) = $$(eval CFLAGS_$(1) := $$(call pkg_config,--cflags $(1)))$$(CFLAGS_$(1))
LIBS_$(1) = $$(eval LIBS_$(1) := $$(call pkg_config,--libs $(1)))$$(LIBS_$(1))
endef
BUILD_PKGS := $(sort $(COMMON_PKGS) $(foreach t,$(TOOLS),$(PKGS_$(t))))
ALL_PKGS := $(BUILD_PKGS) cmocka
$(foreach p,$(filter-out sybdb,$(ALL_PKGS)),$(eval $(call remember_pkg,$(p))))
pkg_cflags = $(foreach p,$(1),$(CFLAGS_$(p)))
pkg_libs = $(foreach p,$(1),$(LIBS_$(p)))

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
	-Wpointer-arith -Wwrite-strings -Wcast-qual -Wvla -Wformat=2 -Wundef -Wredundant-decls \
	-Wunused-result $(if $(WERROR),-Werror)
HARDEN := -fstack-protector-strong -fstack-clash-protection -fPIE
HARDEN_LINK := -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack
ifeq ($(SANITIZE),)
HARDEN += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
else
SANITIZER := -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
endif

PG2ANY_CPPFLAGS := -D_GNU_SOURCE -DPG2ANY_VERSION='"$(VERSION)"' -iquote . -iquote common
PG2ANY_CFLAGS := -std=c11 $(WARNINGS) $(HARDEN) $(SANITIZER)
PG2ANY_LDFLAGS := $(HARDEN_LINK) $(SANITIZER)
compile = $(CC) $(PG2ANY_CPPFLAGS) $(CPPFLAGS) $(PG2ANY_CFLAGS) $(CFLAGS)
link = $(CC) $(PG2ANY_CFLAGS) $(CFLAGS) $(PG2ANY_LDFLAGS) $(LDFLAGS)

# $(call say,WORD): name the step, then run the rest of the line, shown in full with V=1.
say = @$(if $(V),set -x,printf '  %-4s %s\n' $(1) $@);

objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

COMMON_SRC := $(wildcard common/*/*.c)
LIB := $(BUILD)/libpg2any.a
BINARIES := $(TOOLS:%=$(BUILD)/bin/%)
UNIT_SRC := $(wildcard tests/unit/test_*.c)
UNIT_SUPPORT_SRC := $(filter-out $(UNIT_SRC),$(wildcard tests/unit/*.c))
# A fuzz target is a unit test too: linked with replay.c it runs over its corpus.
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_REPLAYS := $(FUZZ_SRC:tests/fuzz/%.c=$(BUILD)/unit/%)
CHANGED_BYTES := $(BUILD)/unit/changed_bytes
UNIT_TESTS := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/unit/%) $(FUZZ_REPLAYS) $(CHANGED_BYTES)
# What of a tool can be tested without its main(): everything else in its folder.
TOOL_LIBS := $(foreach t,$(TOOLS),$(if $(filter-out $(t)/main.c,$(wildcard $(t)/*.c)),$(BUILD)/$(t).a))
C_SRC := $(COMMON_SRC) $(foreach t,$(TOOLS),$(wildcard $(t)/*.c)) $(UNIT_SRC) $(UNIT_SUPPORT_SRC) \
	$(wildcard tests/fuzz/*.c tests/apply-text/*.c tests/faults/*.c tests/hasty/*.c tests/instructions/*.c)
C_FILES := $(wildcard common/*/*.[ch] $(ALL_TOOLS:%=%/*.[ch]) tests/unit/*.[ch] tests/fuzz/*.[ch] \
	tests/apply-text/*.c tests/faults/*.c tests/hasty/*.c tests/instructions/*.c)

.PHONY: all
all: $(LIB) $(BINARIES) ## build the library and every tool into build/

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# The flags in force. Rewritten only when they change, and every object depends on it.
.PHONY: FORCE
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(compile) | $(link) | $(call pkg_cflags,$(BUILD_PKGS)))' >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC) $(compile) $(call pkg_cflags,$(COMMON_PKGS) $(OBJECT_PKGS)) -MMD -MP -c $< -o $@

# Archives are made afresh, so that a removed source leaves no member behind.
define archive
@mkdir -p $(@D)
$(call say,AR) rm -f $@; $(AR) rcs $@ $^
endef

$(LIB): $(call objects,$(COMMON_SRC))
	$(archive)

define tool_rules
$(call objects,$(wildcard $(1)/*.c)): OBJECT_PKGS := $(PKGS_$(1))
$(BUILD)/$(1).a: $(call objects,$(filter-out $(1)/main.c,$(wildcard $(1)/*.c)))
	$$(archive)
$(BUILD)/bin/$(1): $(BUILD)/obj/$(1)/main.o $(filter $(BUILD)/$(1).a,$(TOOL_LIBS)) $(LIB)
	@mkdir -p $$(@D)
	$$(call say,LD) $$(link) $$^ $$(call pkg_libs,$(PKGS_$(1)) $(COMMON_PKGS)) -o $$@
endef
$(foreach t,$(TOOLS),$(eval $(call tool_rules,$(t))))

# The files of the page are read by the assembler, which tells the compiler nothing of it.
$(BUILD)/obj/metrics-http/assets.o: $(wildcard metrics-http/page/*)

# A unit test is one program per tests/unit/test_*.c. It may use any tool's modules and any
# library: archives give only what is asked for.
UNIT_LIBS := $(call objects,$(UNIT_SUPPORT_SRC)) $(TOOL_LIBS) $(LIB)
$(call objects,$(UNIT_SRC) $(UNIT_SUPPORT_SRC) $(wildcard tests/fuzz/*.c)): OBJECT_PKGS := $(ALL_PKGS)
$(BUILD)/unit/%: $(BUILD)/obj/tests/unit/%.o $(UNIT_LIBS)
	@mkdir -p $(@D)
	$(call say,LD) $(link) $(LDFLAGS_$*) $^ $(call pkg_libs,$(ALL_PKGS)) -o $@
# Its clock stands still, but for what the test says.
LDFLAGS_test_apply_stream := -Wl,--wrap=monotonic_us
# They let memory run out.
LDFLAGS_test_hash := -Wl,--wrap=malloc,--wrap=calloc
LDFLAGS_test_target := -Wl,--wrap=realloc
# What a server says comes from the input.
LDFLAGS_fuzz_pgoutput := -Wl,--wrap=PQgetCopyData
LDFLAGS_fuzz_catalog := -Wl,--wrap=catalog_connect,--wrap=catalog_ask,--wrap=catalog_query
FUZZ_LIBS := $(BUILD)/obj/tests/fuzz/input.o $(BUILD)/obj/tests/fuzz/script.o $(UNIT_LIBS)
$(FUZZ_REPLAYS): $(BUILD)/unit/%: $(BUILD)/obj/tests/fuzz/%.o $(BUILD)/obj/tests/fuzz/replay.o $(FUZZ_LIBS)
	@mkdir -p $(@D)
	$(call say,LD) $(link) $(LDFLAGS_$*) $^ $(call pkg_libs,$(ALL_PKGS)) -o $@
$(CHANGED_BYTES): $(BUILD)/obj/tests/fuzz/changed_bytes.o $(UNIT_LIBS)
	@mkdir -p $(@D)
	$(call say,LD) $(link) $^ $(call pkg_libs,$(ALL_PKGS)) -o $@

# A driver for tests, whose target is a file of SQL text.
TEXT_APPLIER := $(BUILD)/unit/apply-text
$(call objects,tests/apply-text/main.c): OBJECT_PKGS := sqlite3
$(TEXT_APPLIER): $(call objects,tests/apply-text/main.c) $(LIB)
	@mkdir -p $(@D)
	$(call say,LD) $(link) $^ $(call pkg_libs,sqlite3 $(COMMON_PKGS)) -o $@

# Preloaded into a program under test, it lets a call fail. Nothing of libc may be inlined in it.
FAULTS := $(BUILD)/unit/faults.so
$(FAULTS): $(BUILD)/obj/tests/faults/preload.o
	@mkdir -p $(@D)
	$(call say,LD) $(CC) -shared $(CFLAGS) $(LDFLAGS) $^ -o $@
$(BUILD)/obj/tests/faults/preload.o: PG2ANY_CFLAGS := -std=c11 $(WARNINGS) -fPIC -U_FORTIFY_SOURCE

# Frames of a few workloads, always the same, to count instructions with.
WORKLOAD_FRAMES := $(BUILD)/unit/workload
$(WORKLOAD_FRAMES): $(call objects,tests/instructions/workload.c) $(BUILD)/pg-capture.a $(LIB)
	@mkdir -p $(@D)
	$(call say,LD) $(link) $^ $(call pkg_libs,libpq $(COMMON_PKGS)) -o $@

# One that takes its snapshots too early.
HASTY := $(BUILD)/unit/pg-capture-hasty
$(HASTY): $(call objects,tests/hasty/hasty.c) $(BUILD)/obj/pg-capture/main.o $(BUILD)/pg-capture.a $(LIB)
	@mkdir -p $(@D)
	$(call say,LD) $(link) -Wl,--wrap=snapshot_sees $^ $(call pkg_libs,libpq $(COMMON_PKGS)) -o $@

.PHONY: unit
unit: $(UNIT_TESTS) $(TEXT_APPLIER) $(FAULTS) $(HASTY) $(WORKLOAD_FRAMES) ## build the unit tests

# With libFuzzer, in a build folder of its own where everything is compiled for it.
FUZZERS := $(FUZZ_SRC:tests/fuzz/%.c=$(BUILD)/%)
$(FUZZERS): $(BUILD)/%: $(BUILD)/obj/tests/fuzz/%.o $(FUZZ_LIBS)
	$(call say,LD) $(link) -fsanitize=fuzzer $(LDFLAGS_$*) $^ $(call pkg_libs,$(ALL_PKGS)) -o $@

.PHONY: fuzzers
fuzzers: $(FUZZERS)

.SECONDARY:
-include $(patsubst %.o,%.d,$(call objects,$(C_SRC)))

.PHONY: deps
deps: ## install what is missing to build and test (Debian, as root or with sudo)
	@tests/deps.sh
	@tests/fetch-promtool $(BUILD)/promtool

# What needs `deps` first builds in a make of its own, which then finds what was installed.
build_now = $(MAKE) $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(JOBS)) --no-print-directory
test_env = PG2ANY_BIN=$(abspath $(BUILD))/bin
# The end-to-end tests of a list, into $$list: each declares what it needs, tests/select reads that.
select = list=$$(tests/select $(1));
# The same, where T=FILE... may name others.
select_or_T = list='$(T)'; [ -n "$$list" ] || $(call select,$(1))

.PHONY: demo
demo: deps ## install, build, replicate a live PostgreSQL, and compare (TARGET=sqlite, mysql or mssql)
	+@$(build_now) all
	@$(test_env) tests/demo/demo --target $(TARGET)

.PHONY: check
check: deps ## run all the tests, after installing what they need
	+@$(build_now) all unit
	@$(call select,all) $(test_env) tests/run --logs $(BUILD)/test-logs $(UNIT_TESTS) $$list

.PHONY: check-unit
check-unit: $(UNIT_TESTS) ## run the unit tests
	@$(test_env) tests/run --logs $(BUILD)/test-logs $(UNIT_TESTS)

CHANGES ?= 100000
.PHONY: check-bytes
check-bytes: $(CHANGED_BYTES) ## change a byte in kept streams, CHANGES times (100000): none gives other content unnoticed
	@PG2ANY_CHANGES=$(CHANGES) $<

.PHONY: check-e2e
check-e2e: all $(HASTY) $(WORKLOAD_FRAMES) ## run the end-to-end tests (T=tests/t/00_smoke.t for some of them)
	@$(call select_or_T,all) $(test_env) tests/run --logs $(BUILD)/test-logs $$list

.PHONY: check-mysql
check-mysql: all ## run the end-to-end tests with MariaDB as the target
	@$(call select,mysql) $(test_env) tests/run --logs $(BUILD)/test-logs $$list

.PHONY: check-mssql
check-mssql: all ## run the end-to-end tests with the peer that stands for SQL Server as the target
	@$(call select,mssql) $(test_env) tests/run --logs $(BUILD)/test-logs $$list

.PHONY: check-oracle-mysql
check-oracle-mysql: ## run those of check-mysql against Oracle's server and client library (root; in Debian unstable)
	@tests/deps.sh debootstrap
	+@$(build_now) all
	@$(call select_or_T,mysql) $(test_env) tests/oracle-mysql --store build/oracle-mysql --logs $(BUILD)/test-logs $$list

.PHONY: check-versions
check-versions: ## run what may depend on the version of PostgreSQL on the others
	@tests/deps.sh npm
	+@$(build_now) all $(HASTY)
	@$(call select_or_T,versions) $(test_env) tests/versions --store build/postgres --logs $(BUILD)/test-logs $$list

.PHONY: check-histories
check-histories: all ## run random histories of a table's schema (SEEDS=5000 of them, from SEED=1 on)
	@$(test_env) tests/histories --seeds $(SEEDS) --seed $(SEED) --jobs $(JOBS)

# Some moves need libfaketime, which no other target does.
.PHONY: check-chaos
check-chaos: ## let everything go wrong at random under load, for MINUTES (10), as SEED says (1); as root all of it
	@tests/deps.sh faketime
	+@$(build_now) all
	@$(test_env) tests/chaos --minutes $(MINUTES) --seed $(SEED)

ROWS  ?= 1000000
KILLS ?= 20
.PHONY: check-copy
check-copy: all ## copy ROWS (1000000) rows into two targets under load, with kill -9 of a stage, KILLS times (20)
	@PG2ANY_ROWS=$(ROWS) PG2ANY_KILLS=$(KILLS) $(test_env) tests/run --limit 14400 --logs $(BUILD)/test-logs tests/t/92_copy_many.t

.PHONY: instructions
instructions: all $(WORKLOAD_FRAMES) ## count each program's instructions for a row anew, into docs/BENCHMARKS.md
	@PG2ANY_INSTRUCTIONS=write $(test_env) tests/run --logs $(BUILD)/test-logs tests/t/69_instructions.t

# WORKLOAD=NAME,... of tests/bench/bench; RUNS of each, as far as they fit into BENCH_MINUTES, of SCALE times the size. The picture needs matplotlib, and
# Debezium a JDK and Maven, which no other target does. `tests/bench/plot --document build/bench.json` puts a run into docs.
WORKLOAD      ?=
RUNS          ?= 5
SCALE         ?= 1
BENCH_MINUTES ?= 26
.PHONY: bench
bench: deps ## how fast, beside PostgreSQL's own replication and Debezium: tables, and build/bench.json, .svg (WORKLOAD=mix RUNS=3)
	@tests/deps.sh matplotlib
	+@$(build_now) all
	@$(test_env) tests/bench/bench --json $(BUILD)/bench.json --runs $(RUNS) --scale $(SCALE) \
		--minutes $(BENCH_MINUTES) $(if $(WORKLOAD),--workload $(WORKLOAD))
	@tests/bench/plot $(BUILD)/bench.json $(BUILD)/bench.svg

MOST ?= 600
.PHONY: check-faults
check-faults: all $(FAULTS) ## let each call of each program fail, MOST (600) of a kind: it leaves in order, or goes on
	@$(test_env) tests/faults/run --most $(MOST) --jobs $(JOBS)

# What knows WCAG is Deque's axe-core, from npm.
AXE := $(BUILD)/axe/node_modules/axe-core/axe.min.js
.PHONY: check-page
check-page: ## look at the page of metrics-http in a headless Chromium; pictures are in build/page
	@tests/deps.sh npm chromium chromedriver=chromium-driver
	@[ -e $(AXE) ] || npm install --silent --no-audit --no-fund --prefix $(BUILD)/axe axe-core@4.14.1
	+@$(build_now) all
	@PG2ANY_AXE=$(abspath $(AXE)) PG2ANY_SHOTS=$(abspath $(BUILD))/page $(test_env) \
		tests/run --logs $(BUILD)/test-logs tests/page/page.t

.PHONY: asan
asan: ## run the unit tests under the address and undefined-behaviour sanitizers
	+@$(build_now) BUILD=build/asan SANITIZE=address,undefined check-unit

# What runs is a build of its own. COVERAGE_E2E is a list of tests/select, as `nothing` or `all`: a program
# that a test kills counts nothing.
COVERAGE_E2E ?=
.PHONY: coverage
coverage: ## say which lines the unit tests run (COVERAGE_E2E=all: the end-to-end tests, too)
	+@$(build_now) BUILD=build/coverage CFLAGS='-Og -g --coverage' all unit
	@find build/coverage/obj -name '*.gcda' -delete
	@list=; if [ -n '$(COVERAGE_E2E)' ]; then list=$$(tests/select $(COVERAGE_E2E)); fi; \
		PG2ANY_BIN=$(abspath build/coverage/bin) tests/run --logs build/coverage/test-logs \
		$(patsubst $(BUILD)/%,build/coverage/%,$(UNIT_TESTS)) $$list || failed=1; \
		tests/coverage build/coverage; exit $${failed:-0}

# It starts from the corpora; what it finds on its way is in a folder for each target, and what
# ends a target is left beside that. T=fuzz_NAME... runs only those.
.PHONY: fuzz
fuzz: ## look for faults with clang's libFuzzer, each target for FUZZ_SECONDS (60)
	@echo 'int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void) { return 0; }' | \
		$(CLANG) -fsanitize=fuzzer -x c - -o /dev/null 2>/dev/null || { \
		echo '$(CLANG) has no libFuzzer: install clang and its runtime (libclang-rt-14-dev)' >&2; exit 1; }
	+@$(build_now) BUILD=build/fuzz CC=$(CLANG) SANITIZE=fuzzer-no-link,address,undefined fuzzers
	@for target in $(or $(T),$(notdir $(FUZZERS))); do mkdir -p build/fuzz/$$target.inputs; \
		build/fuzz/$$target -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=build/fuzz/$$target- \
		build/fuzz/$$target.inputs tests/fuzz/corpus/$${target#fuzz_}; done

.PHONY: tidy
tidy: ## run clang-tidy over all C files
	@printf '%s\n' $(C_SRC) | xargs -P $(JOBS) -I FILE $(CLANG_TIDY) --quiet FILE -- \
		-std=c11 $(PG2ANY_CPPFLAGS) $(call pkg_cflags,$(ALL_PKGS)) 2>/dev/null

.PHONY: format
format: ## run clang-format over all C files
	$(CLANG_FORMAT) -i $(C_FILES)

.PHONY: format-check
format-check: ## say which C files clang-format would change
	$(CLANG_FORMAT) --dry-run --Werror $(C_FILES)

MAN_PAGES := $(wildcard man/*.[1-8])
# `pg2any init` looks for s6/stage below share/pg2any beside the programs.
SVC_SCRIPTS := start $(addprefix s6/stage/,run finish log/run) $(addprefix runit/,run finish log/run)
SVC_FILES := $(addprefix s6/stage/,notification-fd timeout-finish max-death-tally) \
	$(addprefix monitoring/,README.md prometheus.yml alerts.yml alerts_test.yml grafana-dashboard.json)
DOC_FILES := $(wildcard README.md LICENSE CHANGELOG.md CONTRIBUTING.md docs/*.md docs/*.svg)
man_section = $(patsubst .%,man%,$(suffix $(1)))

.PHONY: install
install: all install-docs ## install into $(DESTDIR)$(PREFIX)
	$(INSTALL) -d '$(DESTDIR)$(BINDIR)'
	$(INSTALL) -m 755 $(BINARIES) '$(DESTDIR)$(BINDIR)'
	$(foreach f,$(SVC_SCRIPTS),$(INSTALL) -D -m 755 svc/$(f) '$(DESTDIR)$(DATADIR)/$(f)';)
	$(foreach f,$(SVC_FILES),$(INSTALL) -D -m 644 svc/$(f) '$(DESTDIR)$(DATADIR)/$(f)';)
	$(INSTALL) -D -m 644 packaging/completion/_pg2any '$(DESTDIR)$(ZSHDIR)/_pg2any'
	$(INSTALL) -D -m 644 packaging/completion/pg2any.bash '$(DESTDIR)$(BASHDIR)/pg2any'
	$(foreach t,$(filter-out pg2any,$(TOOLS)),ln -sf pg2any '$(DESTDIR)$(BASHDIR)/$(t)';)
	$(INSTALL) -d '$(DESTDIR)$(UNITDIR)'
	sed 's|/usr/local/bin/|$(BINDIR)/|' svc/systemd/pg2any@.service >'$(DESTDIR)$(UNITDIR)/pg2any@.service'

.PHONY: install-docs
install-docs: ## install documents and manual pages, which need no build
	$(foreach f,$(DOC_FILES),$(INSTALL) -D -m 644 $(f) '$(DESTDIR)$(DOCDIR)/$(f)';)
	$(foreach m,$(MAN_PAGES),$(INSTALL) -D -m 644 $(m) \
		'$(DESTDIR)$(MANDIR)/$(call man_section,$(m))/$(notdir $(m))';)

# The one command of the README: with sudo only what needs root.
CONFIG ?= pg2any.env
DIR    ?= $(HOME)/pg2any
.PHONY: service
service: ## install, set up and start a pipeline under s6 (CONFIG=my.env DIR=/srv/shop)
	@tests/deps.sh --service
	+@$(build_now) all
	@if [ "$$(id -u)" -eq 0 ] || [ -w "$$(dirname "$(BINDIR)")" ]; then $(MAKE) --no-print-directory install; \
		else sudo $(MAKE) --no-print-directory install; fi
	@PATH='$(BINDIR)':$$PATH '$(DATADIR)/start' '$(CONFIG)' '$(DIR)'

.PHONY: uninstall
uninstall: ## remove what `make install` put there
	rm -f $(foreach t,$(ALL_TOOLS),'$(DESTDIR)$(BINDIR)/$(t)')
	rm -f $(foreach d,$(DOC_FILES),'$(DESTDIR)$(DOCDIR)/$(d)')
	rm -f $(foreach m,$(MAN_PAGES),'$(DESTDIR)$(MANDIR)/$(call man_section,$(m))/$(notdir $(m))')
	for d in '$(DESTDIR)$(DOCDIR)/docs' '$(DESTDIR)$(DOCDIR)'; do if [ -d "$$d" ]; then rmdir "$$d"; fi; done
	rm -f '$(DESTDIR)$(UNITDIR)/pg2any@.service' '$(DESTDIR)$(ZSHDIR)/_pg2any'
	rm -f $(foreach t,$(ALL_TOOLS),'$(DESTDIR)$(BASHDIR)/$(t)')
	rm -rf '$(DESTDIR)$(DATADIR)'

# The same bytes from the same commit: what git's configuration and gzip would put of this machine into it is said.
DIST := $(BUILD)/pg2any-$(VERSION)
.PHONY: dist
dist: ## pack the committed sources into build/pg2any-VERSION.tar.gz
	@mkdir -p $(BUILD)
	git -c core.autocrlf=false -c core.attributesFile=/dev/null -c tar.umask=0022 \
		archive --format=tar --prefix=pg2any-$(VERSION)/ -o $(DIST).tar HEAD
	gzip -9nf $(DIST).tar

.PHONY: check-dist
check-dist: dist ## unpack that outside of git, build it and run its unit tests
	@away=$$(mktemp -d); trap 'rm -rf "$$away"' EXIT; tar -xzf $(DIST).tar.gz -C "$$away"; \
		env -u MAKEFLAGS -u MAKELEVEL $(MAKE) --no-print-directory -j$(JOBS) -C "$$away"/pg2any-$(VERSION) WERROR=1 all check-unit

DEB_TOOLS := build-essential dpkg-buildpackage=dpkg-dev dh=debhelper fakeroot lintian
.PHONY: deb
deb: ## build Debian packages of what is committed, into build/deb
	@tests/deps.sh $(DEB_TOOLS)
	@packaging/deb $(VERSION) $(BUILD)/deb

.PHONY: check-deb
check-deb: deb ## install, upgrade, run and purge them in a bare Debian 12 in a folder (root)
	@tests/deps.sh debootstrap
	@tests/packages --store build/bookworm --debs $(BUILD)/deb --logs $(BUILD)/test-logs

# BARE=build/bookworm/bare: a Debian 12 in a folder (tests/bare-debian) for a base image that cannot be pulled.
BARE  ?=
IMAGE ?= pg2any:$(VERSION)
.PHONY: image
image: ## build the container image, without an engine, into build/image
	@tests/deps.sh buildah
	@packaging/image '$(IMAGE)' $(BUILD)/image $(BARE)

.PHONY: check-image
check-image: ## build the image on a bare Debian 12, run what is in it, and read the compose file (root)
	@tests/deps.sh debootstrap buildah jq docker-compose ip=iproute2
	@tests/bare-debian build/bookworm
	@packaging/image pg2any:test $(BUILD)/image build/bookworm/bare
	@tests/image --store $(BUILD)/image --name pg2any:test --logs $(BUILD)/test-logs

.PHONY: clean
clean: ## remove everything built; what was fetched stays (build/postgres, build/oracle-mysql, build/bookworm)
	if [ -d $(BUILD) ]; then find $(BUILD) -mindepth 1 -maxdepth 1 ! -name postgres \
		! -name oracle-mysql ! -name bookworm -exec rm -rf {} +; fi
