"""Markup: what news feeds leave in titles."""

import pytest

from job.backends.text.markup import without_markup


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Shaquille O&#039;Neal leads tributes", "Shaquille O'Neal leads tributes"),
        ("Golf &amp; Pro-Am &#8211; Beyonc&#xe9;", "Golf & Pro-Am – Beyoncé"),
        ('Still Like <i>Mean Girls</i>, <A HREF="x">here</a><br/>', "Still Like Mean Girls, here"),
        ("AT&T, R&B; 3 < 4 > 2 <3 <script>alert(1)</script> <image>", None),
        ("&lt;i&gt;", "<i>"),
        ("", ""),
    ],
)
def test_entities_and_tags_of_words_are_resolved_and_nothing_else(text: str, shown: str | None) -> None:
    assert without_markup(text) == (text if shown is None else shown)
