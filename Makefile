# Two commands for everyone: `make demo` and `make test`. Both install what the system lacks first.

FEATURES := --all-features

.PHONY: demo test lint setup

demo: setup
	cargo run --features faiss -- demo

test:
	scripts/setup.sh test
	cargo test --workspace $(FEATURES)

lint:
	scripts/setup.sh
	cargo fmt --all --check
	cargo clippy --workspace --all-targets $(FEATURES) -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps $(FEATURES)

setup:
	scripts/setup.sh
