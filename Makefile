PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STUBS_VENV ?= .venv-stubs

.PHONY: demo test install stubs clean

# The demo and the tests start from nothing: a virtual environment with the pinned versions of constraints.txt.
demo: $(VENV)/.installed
	$(BIN)/heliograph demo

test: $(VENV)/.installed
	$(BIN)/python -m pytest

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[trainer,mpe,test]'
	touch $@

# Made with the oldest grpcio-tools that the package supports, so that every supported runtime can load them.
stubs:
	$(PYTHON) -m venv $(STUBS_VENV)
	$(STUBS_VENV)/bin/pip install --quiet grpcio-tools==1.74.0
	$(STUBS_VENV)/bin/python -m grpc_tools.protoc -Iheliograph/pb=proto/heliograph/v1 \
		--python_out=. --pyi_out=. --grpc_python_out=. proto/heliograph/v1/peer.proto proto/heliograph/v1/coordination.proto
	rm -rf $(STUBS_VENV)

clean:
	rm -rf $(VENV) build dist *.egg-info
