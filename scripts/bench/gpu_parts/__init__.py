"""What scripts/bench/gpu.py measures, and what its parts share: `measure`, `model` and `texts`."""
