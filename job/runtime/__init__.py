"""How a run survives: run folder, markers, shards, ranks, threads, signals, devices, progress, log, record."""
