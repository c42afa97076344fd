# Two stages from one base: the first installs the locked packages, the second has only the result, without pip.
# The digest is that of the multi-architecture index. To use another base: --build-arg BASE=…
ARG BASE=registry.access.redhat.com/ubi9/python-312-minimal:9.7@sha256:2ac60c655288a88ec55df5e2154b9654629491e3c58b5c54450fb3d27a575cb6

FROM ${BASE} AS build
# Only for the build; the last stage sets its own user.
# hadolint ignore=DL3002
USER 0
WORKDIR /build
COPY requirements.lock ./
# Only wheels with locked hashes.
RUN python3 -m venv --without-pip /opt/operator \
 && python3 -m pip --python /opt/operator/bin/python install --no-cache-dir --no-compile --only-binary :all: \
    --no-deps --require-hashes --requirement requirements.lock
COPY ecr_operator ./ecr_operator
# Compile the bytecode here, since the root filesystem is read-only at run time. Skip modules that are never imported.
RUN mv ecr_operator "$(/opt/operator/bin/python -c 'import site; print(site.getsitepackages()[0])')" \
 && /opt/operator/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
    -x 'kubernetes_asyncio/client/(api|models)/' /opt/operator/lib \
 && printf '#!/opt/operator/bin/python -s\nimport sys\nfrom ecr_operator.__main__ import main\nsys.exit(main())\n' >/opt/operator/manager \
 && chmod 0755 /opt/operator/manager

FROM ${BASE}
ARG VERSION=1.0.0
LABEL name="ecr-secret-operator" \
      vendor="Mobb" \
      version="${VERSION}" \
      summary="Keeps valid Amazon ECR credentials in Kubernetes Secrets" \
      description="Requests authorization tokens from Amazon ECR, writes them to Secrets and renews them before they expire" \
      io.k8s.display-name="ECR Secret Operator" \
      io.k8s.description="Keeps valid Amazon ECR credentials in Kubernetes Secrets" \
      io.openshift.tags="ecr,aws,registry,operator" \
      org.opencontainers.image.title="ecr-secret-operator" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/rh-mobb/ecr-secret-operator"
COPY LICENSE /licenses/LICENSE
COPY --from=build /opt/operator /opt/operator
# The command of v0.6.0's Deployment and CSV.
COPY --from=build /opt/operator/manager /manager
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /
# Numeric, for runAsNonRoot; any other UID works too.
USER 65532
ENTRYPOINT ["/manager"]
