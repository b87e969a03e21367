# Lá Chắn DNS. `make run` and `make test` do everything on a machine with Python 3.11 (or newer, with venv) and make.
# Python nào: 3.11 nếu có, nếu không thì bản mới hơn có venv / which Python: 3.11 where it is there, else a newer one that has venv
FITS := -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
FOUND = $(shell for each in python3.11 python3.12 python3.13 python3; do $$each $(FITS) && echo $$each && break; done)
PYTHON ?= $(or $(FOUND),python3.11)
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install run test lint types bench soak docs guide-pictures clean

help: ## các lệnh / this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(VENV)/.installed: pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Cần Python 3.11 hay mới hơn, có venv / Python 3.11 or newer is needed, with venv: sudo apt install $(notdir $(PYTHON)) $(notdir $(PYTHON))-venv, hay / or make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Cần Python 3.11 hay mới hơn / Python 3.11 or newer is needed, $(PYTHON) is older: say make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) không có venv / has no venv: sudo apt install $(notdir $(PYTHON))-venv"; exit 1; }
	@echo "Cài đặt lần đầu, khoảng một phút / first installation, about a minute ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test,postgresql,doq]'
	@touch $@

install: $(VENV)/.installed ## cài đặt / make the environment and install

run: $(VENV)/.installed ## chạy ở 127.0.0.1:5300; LAN=1: cổng 53 của mạng trong nhà / run on 127.0.0.1:5300; LAN=1: port 53 of the local network
	@$(BIN)/lachan run --first $(if $(LAN),--lan)

test: $(VENV)/.installed ## mọi kiểm thử / every test (LACHAN_FULL=1: a skip is a failure; PYTEST="-n 0" runs one after another)
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(PYTEST)

lint: $(VENV)/.installed ## ruff và hướng nhập / ruff and the direction of imports
	$(BIN)/ruff check gateway blocklists admin lachan tests
	$(BIN)/lint-imports --no-cache

types: $(VENV)/.installed ## mypy strict
	$(BIN)/mypy
	$(BIN)/mypy -p tests.support

bench: $(VENV)/.installed ## đo bên cạnh các máy chủ khác / measure beside the peers that are installed
	$(BIN)/python -m tests.bench $(BENCH)

soak: $(VENV)/.installed ## chạy lâu với gói tin hỏng và tải / long runs with broken packets and load
	LACHAN_SOAK=1 $(BIN)/pytest -m soak $(PYTEST)

docs: $(VENV)/.installed ## viết lại deploy/configuration.md / write deploy/configuration.md again
	$(BIN)/python -m lachan.reference deploy/configuration.md

guide-pictures: $(VENV)/.installed ## chụp lại hình cho các hướng dẫn, cần Chromium / take the pictures of the guides again, needs Chromium
	$(BIN)/python -m tests.browser.guidepictures

clean: ## bỏ môi trường và tệp tạm, giữ var/ / remove the environment and caches, keep var/
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
