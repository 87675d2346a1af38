"""WITH WHAT the work is done: the adapters, and the only files that import a heavy library."""
