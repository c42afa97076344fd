"""The manifests of `config`: what they build, and what a real API server makes of them."""
