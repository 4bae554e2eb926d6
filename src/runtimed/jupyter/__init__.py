"""Kernels that no daemon of ours owns: those with a connection file in Jupyter's runtime folder."""
