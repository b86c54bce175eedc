# Everything a person runs, by name. README.md says what each does and leaves behind.
BUILDX ?= docker buildx
.PHONY: demo test check bench schema image

demo:
	cargo run --locked --quiet --example demo

test: check
	cargo test --locked --test integration

check:
	cargo fmt --check
	cargo clippy --locked --all-targets -- --deny warnings
	cargo test --locked --lib --bins --test cases
	cargo test --locked --doc

bench:
	cargo build --locked --quiet --release --bin kso
	cargo run --locked --quiet --release --example bench
	cargo run --locked --quiet --release --example bench-kubespray

schema:
	cargo run --locked --quiet -- schema > frontends/kso/schema/v1.json
	cargo run --locked --quiet -- schema --lock > frontends/kso/schema/lock-v1.json

image:
	$(BUILDX) build -f frontends/kso/Dockerfile --platform linux/amd64,linux/arm64 $(FLAGS) .
