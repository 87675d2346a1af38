"""Shared by all file formats: unique column names, and a description of undecodable text."""

from job.backends.tables.source import undecodable, unique


def test_names_are_always_unique() -> None:
    names = unique(["a", "a_2", "a", "a", "", "column_5", " ", "A"])
    assert len(set(names)) == len(names)
    assert names[:2] == ["a", "a_2"]


def test_an_undecodable_byte_or_half_of_a_surrogate_pair_is_named() -> None:
    assert undecodable("plain") is None
    assert undecodable("naïve 日本 😀") is None
    assert "byte 0xE9" in str(undecodable("caf\udce9"))
    assert "half of a surrogate pair" in str(undecodable("\ud83d"))
