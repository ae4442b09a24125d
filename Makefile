# Two commands for everyone: `make demo` and `make test`. Both install what the system lacks first.

FEATURES := --all-features

.PHONY: demo test lint setup sim

demo: setup
	cargo run --features faiss -- demo

test:
	scripts/setup.sh test
	cargo test --workspace $(FEATURES)

# The campaign: every single fault, 20,000 seeds, 300 on real fjall, and planted bugs, each of which must die
# within 200 seeds of a scenario. Minutes, and a build of its own.
SIM := cargo run --quiet --profile sim -p soloist --features mutants -- sim

sim:
	scripts/setup.sh test
	$(SIM) exhaust --scenario all
	$(SIM) sweep --scenario all --seeds 2500
	$(SIM) sweep --scenario all --seeds 38 --real-disk
	$(SIM) mutants --scenario all --seeds 200

lint:
	scripts/setup.sh
	cargo fmt --all --check
	cargo clippy --workspace --all-targets $(FEATURES) -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps $(FEATURES)

setup:
	scripts/setup.sh
