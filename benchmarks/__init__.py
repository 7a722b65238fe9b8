"""Measures pybuild against other builders on the same machine: `python -m benchmarks`. See README.md."""
