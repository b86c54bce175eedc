# Everything a person runs, by name. README.md says what each does and leaves behind.
.PHONY: demo test check schema image

demo:
	integration/tools/install
	cargo run --locked --quiet --example demo

test: check
	integration/tools/install
	cargo test --locked --test integration

check:
	cargo fmt --check
	cargo clippy --locked --all-targets -- --deny warnings
	cargo test --locked --lib --bins --doc

schema:
	cargo run --locked --quiet -- schema > frontends/kso/schema/v1.json

image:
	docker buildx build -f frontends/kso/Dockerfile --platform linux/amd64,linux/arm64 $(IMAGE_FLAGS) .
