"""What scripts/bench/gpu.py measures, a part a file."""
