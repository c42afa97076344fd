"""The manifests of `config`, built by kustomize and applied to a real API server."""
