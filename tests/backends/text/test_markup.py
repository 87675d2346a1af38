"""Markup: what news feeds leave in titles and descriptions."""

import time

import pyarrow as pa
import pytest

from job.backends.text.markup import plain_texts, without_markup


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Shaquille O&#039;Neal leads tributes", "Shaquille O'Neal leads tributes"),
        ("Golf &amp; Pro-Am &#8211; Beyonc&#xe9;", "Golf & Pro-Am – Beyoncé"),
        ('Still Like <i>Mean Girls</i>, <A HREF="x">here</a><br/>', "Still Like Mean Girls, here"),
        ("<p>One.</p><p>Two&nbsp;&nbsp; three</p>", "One. Two three"),
        ("a<br>b<BR />c<td>d", "a b c d"),
        ('<img src="a.jpg" alt="5 > 4">Text', "Text"),
        ("<a title=\"it's\" href=x>y</a> <a href='x' title='a \"b\"'>z</a>", "y z"),
        ('<a href="x" title="a "quoted" b">z</a>', "z"),
        ("<div\nclass='x'\n>y</div>", "y"),
        ("x <script>if (a < b) alert('<p>')</script> y<STYLE>p {}</STYLE>", "x y"),
        ("<script async src='x'></script>After<script>cut off", "After"),
        ("<script src='x'>cut off", ""),
        ("a <!-- comment <b>c</b> --> b<!-- cut off", "a b"),
        ("<![CDATA[Title & more]]>", "Title & more"),
        ("<video controls>x</video><center>y</center>", "x y"),
        ('<p>Text… <a href="https://cut.off', "Text…"),
        # feeds that are escaped twice
        ("AT&amp;amp;T", "AT&amp;T"),
        ("Google (&lt;A HREF=&quot;x&quot;&gt;GOOG.O&lt;/A&gt;) up", "Google (GOOG.O) up"),
        ("&lt;i&gt;", ""),
    ],
)
def test_tags_are_removed_and_entities_decoded_once(text: str, shown: str) -> None:
    assert without_markup(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AT&T, R&B; R&D and Q&A; &foo; &notit; ?a=1&copy=2&section=3 &#8217",
        "I <3 NY, 3 < 4 > 2, a <b and c> d, if a<b or b>c, List<int>, Map<String, List<T>>",
        "<image> <Video> A dog is saved <Parasite> <기생충> <D.P.> <o:p>",
        "How <script> and <title> differ",
        "it ends in <b or </p or <",
        "two  spaces\tand a no-break\u00a0space",
    ],
)
def test_plain_text_stays(text: str) -> None:
    assert without_markup(text) == text


def test_a_column_is_as_its_texts_and_nulls_stay() -> None:
    texts = ["a & b", None, "<p>x</p>", "", "&amp;", "R&D"]
    column = pa.array(["y", *texts, "z"])
    assert plain_texts(column).to_pylist() == ["y", "a & b", None, "x", "", "&", "R&D", "z"]
    assert plain_texts(column.slice(2, 2)).to_pylist() == [None, "x"]
    for odd in (pa.nulls(2, pa.string()), pa.array([], pa.string()), pa.array(["", "a"])):
        assert plain_texts(odd).equals(odd)


@pytest.mark.parametrize(
    "part", ["<", "<a ", '<a "', "<a '\"'", '<a x="<', "<!--", "<script>", "<video>", "&lt;", "<b>"]
)
def test_the_time_grows_with_the_text_and_no_faster(part: str) -> None:
    def seconds(count: int) -> float:
        start = time.process_time()
        without_markup(part * count)
        return time.process_time() - start

    # a scan to the end from each place would take minutes
    assert seconds(100_000) < 5
