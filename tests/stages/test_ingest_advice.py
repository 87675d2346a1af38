"""What is said of files that cannot be read as they are: what to do about it."""

from ingested import Ingested, Write, refused, write_fixture  # noqa: F401


def test_a_header_that_does_not_decode_is_answered_with_an_encoding(write: Write) -> None:
    path = write("Überschrift;Text\nGröße;x\n".encode("cp1252"))
    said = refused(path, title="Überschrift")
    assert "it has: '\ufffdberschrift, Text'; its header is in another encoding: set input.encoding=cp1252" in said
    assert Ingested(path, title="Überschrift", encoding="cp1252").titles() == {"Größe"}
