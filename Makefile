# The same verbs here and in CI. Everything Python lives in .venv; system programs come from .ci/packages.
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check bench bench-short docs accept install picture clean

demo: $(READY)  ## build and run a real image of this machine's own programs; no network but for pip
	.ci/packages build
	PATH="$(CURDIR)/$(BIN):$$PATH" examples/hello/demo.sh

test: $(READY)  ## all tests
	.ci/packages build test
	$(BIN)/pytest -n 2 --dist loadfile

check: $(READY)  ## lint, format, types, import contract, architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/lint-imports
	.ci/packages build
	$(BIN)/pytest -q tests/arch

bench: $(READY)  ## builds and pulls against others, as ratios
	.ci/packages build bench
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.travel

bench-short: $(READY)  ## that the benchmarks work, with tiny inputs, and that no start loads anything heavy
	.ci/packages build short
	$(BIN)/python -m benchmarks --short --alone
	$(BIN)/python -m benchmarks --short --peer buildah --only P5 --only P8
	$(BIN)/python -m benchmarks.imports

docs: $(READY)  ## the documentation as a site, in build/site
	$(BIN)/python docs/site/build.py

picture: $(READY)  ## the picture of a build in the README, recorded anew
	.ci/packages build
	$(BIN)/python -m benchmarks.picture docs/images/build.svg

accept: $(READY)  ## rewrite golden files; read the diff
	$(BIN)/pytest -q tests/unit --accept

PREFIX := /usr/local
SHARE = $(DESTDIR)$(PREFIX)/share

install: $(READY)  ## manual pages and completions below PREFIX; the program itself is pip's to install
	$(BIN)/pybuild man $(SHARE)/man
	install -d $(SHARE)/bash-completion/completions $(SHARE)/zsh/site-functions $(SHARE)/fish/vendor_completions.d
	$(BIN)/pybuild completion bash >$(SHARE)/bash-completion/completions/pybuild
	$(BIN)/pybuild completion zsh >$(SHARE)/zsh/site-functions/_pybuild
	$(BIN)/pybuild completion fish >$(SHARE)/fish/vendor_completions.d/pybuild.fish

clean:
	rm -rf build $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(READY): pyproject.toml .ci/venv
	.ci/venv $(VENV)
	touch $@
