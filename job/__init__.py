"""News headlines in; story clusters with names, and a map to look at, out. Read `pipeline.py` first."""

__version__ = "0.1.0"
