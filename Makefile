# `make demo` shows Sluice at work; `make test` is what has to pass before a change goes in.

# rustup puts cargo where a shell that was open before does not look.
export PATH := $(PATH):$(HOME)/.cargo/bin

# The lock file decides: a build asks nothing of the network once its crates are here.
CARGO := cargo

.PHONY: help demo build test check format lint units bench count coverage deb audit mutants tools clean

help:
	@echo 'make demo     four servers and the gateway with its cache on 127.0.0.1:8080, until Ctrl-C'
	@echo 'make test     formatting, lints and all tests'
	@echo 'make check    formatting and lints alone'
	@echo 'make build    target/release/sluice and target/release/workouts'
	@echo 'make bench    the small steps one by one, then side by side with nginx, HAProxy and Varnish'
	@echo 'make count    instructions of the small steps one by one, by callgrind: the same in each run'
	@echo 'make coverage which lines the unit tests of the gateway reach, as a figure'
	@echo 'make deb      target/debian/sluice_VERSION_ARCHITECTURE.deb'
	@echo 'make audit    licences, sources and known faults of all crates that are linked'
	@echo 'make mutants  which changes of the rules of cache and guards no test notices; hours, or SHARD=0/16 for a part'
	@echo 'make clean    removes what was built and what the demo has left in run/'

demo: build
	@deploy/demo.sh

# The folder is named because the demo runs what is in it, wherever else this machine may build.
build: tools
	$(CARGO) build --locked --release --target-dir target -p gateway -p backend

# Separate, so that `make -k test` tells everything at once.
test: format lint units

check: format lint

format:
	$(CARGO) fmt --all --check

lint: tools
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

# redis-server: plays of limits that several gateways share. Its package is `redis` everywhere.
# pebble: plays of certificates that are ordered; an authority for tests, with a server of DNS in the same package.
# nginx: plays in which it stands beside Sluice, configured alike.
# chromium and chromedriver: the play that opens the dashboard. The packages have Debian's names.
# promtool: the tests of the alerts. It comes with Prometheus.
# h2load, openssl and Python: plays with the clients of others; what Python needs beside is in tests/clients.
# python3 also: the arithmetic of the comparison with nginx, HAProxy and Varnish.
units: tools
	@deploy/tools.sh redis-server=redis chromium chromedriver=chromium-driver promtool=prometheus pebble nginx \
		h2load=nghttp2-client openssl python3 python3:ensurepip=python3-venv
	@tests/clients/setup.sh
	cd benches/compare && python3 -B -m unittest --quiet
	$(CARGO) test --locked --workspace --no-fail-fast

bench: build
	$(CARGO) bench --locked -p benches --bench micro
	benches/compare/run.sh

# Of the version of the crate in Cargo.lock, or it refuses.
GUNGRAUN := 0.20.0
GUNGRAUN_AT := target/tools/gungraun-runner-$(GUNGRAUN)

count: tools
	@deploy/tools.sh valgrind
	test -x $(GUNGRAUN_AT)/bin/gungraun-runner || $(CARGO) install --locked --root $(GUNGRAUN_AT) gungraun-runner@$(GUNGRAUN)
	GUNGRAUN_RUNNER=$(CURDIR)/$(GUNGRAUN_AT)/bin/gungraun-runner $(CARGO) bench --locked -p benches --bench counted

# The version that was tried; it stays in target/tools. dpkg-shlibdeps tells which libraries the binary needs.
CARGO_DEB := 3.8.0
CARGO_DEB_AT := target/tools/cargo-deb-$(CARGO_DEB)

deb: tools
	@deploy/tools.sh dpkg-shlibdeps=dpkg-dev
	test -x $(CARGO_DEB_AT)/bin/cargo-deb || $(CARGO) install --locked --root $(CARGO_DEB_AT) cargo-deb@$(CARGO_DEB)
	$(CARGO) build --locked --release --target-dir target -p gateway
	CARGO_TARGET_DIR=target $(CARGO_DEB_AT)/bin/cargo-deb -p gateway --no-build

# By llvm's counters, read by the tool itself: the compiler's own tools for it need not be there.
CARGO_TARPAULIN := 0.37.5
CARGO_TARPAULIN_AT := target/tools/cargo-tarpaulin-$(CARGO_TARPAULIN)

coverage: tools
	test -x $(CARGO_TARPAULIN_AT)/bin/cargo-tarpaulin || \
		$(CARGO) install --locked --root $(CARGO_TARPAULIN_AT) cargo-tarpaulin@$(CARGO_TARPAULIN)
	$(CARGO_TARPAULIN_AT)/bin/cargo-tarpaulin tarpaulin --engine llvm --locked -p gateway --lib --skip-clean \
		--include-files 'gateway/src/*' --target-dir target/coverage

# The version that was tried. Known faults are asked for where there is a network; without one the rest can be had by
# `make audit AUDIT='bans licenses sources'`.
CARGO_DENY := 0.20.2
CARGO_DENY_AT := target/tools/cargo-deny-$(CARGO_DENY)
AUDIT := all

audit: tools
	test -x $(CARGO_DENY_AT)/bin/cargo-deny || $(CARGO) install --locked --root $(CARGO_DENY_AT) cargo-deny@$(CARGO_DENY)
	$(CARGO_DENY_AT)/bin/cargo-deny --locked check $(AUDIT)

# The version that was tried. One build for each change, so that all of them take hours: SHARD=0/16 is the first of sixteen
# parts. It fails where a change is noticed by no test; those that are known, and why, are in tests/MUTANTS.md. What failed
# for one change is not tried first for the next: that would make the tests look better than they are.
CARGO_MUTANTS := 27.1.0
CARGO_MUTANTS_AT := target/tools/cargo-mutants-$(CARGO_MUTANTS)
SHARD :=

mutants: tools
	test -x $(CARGO_MUTANTS_AT)/bin/cargo-mutants || \
		$(CARGO) install --locked --root $(CARGO_MUTANTS_AT) cargo-mutants@$(CARGO_MUTANTS)
	PROPTEST_DISABLE_FAILURE_PERSISTENCE=1 $(CARGO_MUTANTS_AT)/bin/cargo-mutants mutants -p gateway --output target \
		$(if $(SHARD),--shard $(SHARD))

# cmake: zlib-ng, which Pingora links, is built by it. curl: the demo asks with it.
tools:
	@deploy/tools.sh cmake curl

clean:
	$(CARGO) clean
	rm -rf run
