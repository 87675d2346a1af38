"""HOW a run survives: devices, the run folder, stop signals, progress, logging."""
