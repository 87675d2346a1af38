"""A package, so that its `conftest.py` does not hide the one of all tests."""
