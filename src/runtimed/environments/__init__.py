"""Environments that kernels run on: building them with uv, keeping some ready in a pool."""
