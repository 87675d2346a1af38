"""A package, so that its files may be called as those that test the same on a CPU."""
