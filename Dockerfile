# One image per role: `docker build --target node|coordinator|trainer .`
#
# Works with BuildKit and with the classic builder.  Where the package index is a mirror, pip's own variables say so:
# build on a base image that sets them (PYTHON_IMAGE), or point TORCH_INDEX elsewhere.
ARG PYTHON_IMAGE=python:3.12-slim


# What every role needs, in a virtual environment without pip.  The dependencies come first, with a package that holds
# nothing but its version, so that a change of the sources does not install them again.  Of the extra `observe` every
# role can serve metrics; only the coordinator has a page.
FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
COPY pyproject.toml setup.py constraints.txt deploy/image-constraints.txt ./
COPY heliograph/__init__.py heliograph/
RUN python -m venv --without-pip /opt/heliograph \
    && touch README.md \
    && pip --python /opt/heliograph/bin/python install --constraint constraints.txt --constraint image-constraints.txt \
        . prometheus_client


# What all three run on: nobody's files but /runs can be written, and nothing else need be (/tmp may be a tmpfs).  Volumes
# for certificates and keys are mounted below /keys and are then of this user, too.
FROM ${PYTHON_IMAGE} AS runtime
ENV PATH=/opt/heliograph/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
RUN groupadd --gid 10001 heliograph \
    && useradd --uid 10001 --gid 10001 --home-dir /tmp --no-create-home heliograph \
    && install --directory --owner heliograph --group heliograph \
        /runs /keys /keys/authority /keys/signing /keys/coordinator /keys/nodes
WORKDIR /runs
USER heliograph
STOPSIGNAL SIGTERM
ENTRYPOINT ["heliograph"]
CMD ["--help"]


FROM build AS node-build
COPY heliograph heliograph
COPY agent_node agent_node
# A node has no world of its own, looks for no simulator, fetches no team and issues no certificate: it can run and be
# asked after.
RUN rm -r heliograph/environments heliograph/packing heliograph/hub heliograph/doctor heliograph/certificates/command.py \
    && pip --python /opt/heliograph/bin/python install --no-deps --force-reinstall . \
    && find /opt/heliograph -type d \( -name test -o -name tests \) -prune -exec rm -r {} +


FROM runtime AS node
COPY --from=node-build /opt/heliograph /opt/heliograph
EXPOSE 7200
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s CMD ["heliograph", "health", "127.0.0.1:7200"]


# EXTRAS: optional packages of pyproject.toml for other worlds than the built-in ones, such as smax or mpe,bandwidth.
FROM build AS coordinator-build
ARG EXTRAS=
RUN pip --python /opt/heliograph/bin/python install --constraint constraints.txt --constraint image-constraints.txt \
    ".[observe${EXTRAS:+,$EXTRAS}]"
COPY heliograph heliograph
COPY agent_node agent_node
COPY coordinator coordinator
COPY analysis analysis
RUN pip --python /opt/heliograph/bin/python install --no-deps --force-reinstall . \
    && find /opt/heliograph -type d \( -name test -o -name tests \) -prune -exec rm -r {} +


FROM runtime AS coordinator
COPY --from=coordinator-build /opt/heliograph /opt/heliograph
EXPOSE 7100
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s CMD ["heliograph", "health", "127.0.0.1:7100"]


# TORCH_INDEX: where torch comes from besides the package index; empty for the index's own build, which has CUDA.
FROM build AS trainer-build
ARG EXTRAS=
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip --python /opt/heliograph/bin/python install --constraint constraints.txt --constraint image-constraints.txt \
    ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} ".[trainer${EXTRAS:+,$EXTRAS}]"
COPY heliograph heliograph
COPY trainer trainer
# `heliograph compare`: it reads what runs have written, and needs nothing of the coordinator.
COPY analysis/__init__.py analysis/
COPY analysis/comparison analysis/comparison
RUN pip --python /opt/heliograph/bin/python install --no-deps --force-reinstall . \
    && find /opt/heliograph -type d \( -name test -o -name tests \) -prune -exec rm -r {} +


# It serves nobody, so there is nothing to ask after: it ends, and its exit code tells.
FROM runtime AS trainer
COPY --from=trainer-build /opt/heliograph /opt/heliograph
HEALTHCHECK NONE


# A run of a campaign is trained, and then played as processes: it needs all packages.
FROM trainer-build AS campaign-build
COPY agent_node agent_node
COPY coordinator coordinator
COPY analysis analysis
RUN pip --python /opt/heliograph/bin/python install --no-deps --force-reinstall . \
    && find /opt/heliograph -type d \( -name test -o -name tests \) -prune -exec rm -r {} +


FROM runtime AS campaign
COPY --from=campaign-build /opt/heliograph /opt/heliograph
HEALTHCHECK NONE
