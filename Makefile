# All commands for people. CONTRIBUTING.md describes what each does and leaves behind.
BUILDX ?= docker buildx
SECONDS ?= 120
.PHONY: demo test test-long check bench schema image fuzz findings plays

demo:
	cargo run --locked --quiet --example demo

test: check
	cargo test --locked --package buildkit --no-default-features
	cargo test --locked --test integration
	fuzz/run --check

test-long:
	cargo test --locked --test integration -- --ignored

check:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --all-features -- --deny warnings
	$$(integration/tools/install cargo-deny) --locked check licenses bans sources
	cargo test --locked --workspace --lib --bins --test cases --test releases --test hostile --all-features
	cargo test --locked --workspace --doc --all-features

bench:
	cargo run --locked --quiet --profile measure --example bench
	cargo run --locked --quiet --profile measure --example bench-kubespray

fuzz:
	fuzz/run $(if $(RUNS),--runs $(RUNS),--seconds $(SECONDS)) $(TARGETS)

findings:
	findings/run $(FINDINGS)

plays:
	plays/run $(RELEASES)

schema:
	cargo run --locked --quiet -- schema > frontends/kso/schema/v1.json
	cargo run --locked --quiet -- schema --lock > frontends/kso/schema/lock-v1.json
	cargo run --locked --quiet -- schema --markdown > docs/reference.md

image:
	$(BUILDX) build -f frontends/kso/Dockerfile --platform linux/amd64,linux/arm64 $(FLAGS) .
