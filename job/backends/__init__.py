"""WITH WHAT it happens: the adapters, and the only files that import a heavy library."""
