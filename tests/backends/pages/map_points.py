"""Points for the tests of the map."""

from typing import Any

import numpy as np

from job.backends.pages.points import MapPoints, MapStory, MapTheme

# what a headline can do to a page that is not careful
HOSTILE = [
    "<script>document.title='owned'</script>",
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "<svg onload=alert(1)><style>*{display:none}</style>",
    "<!--<script>",
    '"}]);alert(1);//',
    "%{x} {title} {{}} %s ${title} `x`",
    "&lt;b&gt; & &amp; &#60;img&#62;",
    'it\'s "quoted" \\ back\u2028slash\\u003c',
    "\u202egnp.exe \u2066isolated\u2069 \u200f\u061cright",
    "مرحبا بالعالم في الأخبار اليوم",
    "שלום עולם \u202e abc",
    "日本の首相が経済対策を発表しました。市場は歓迎",
    "👩‍👩‍👧‍👦 🏴󠁧󠁢󠁥󠁮󠁧󠁿 family 🇺🇦 emoji ❤️",
    "zero\u200bwidth\ufeff and\u00adsoft",
    "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319\u0324\u031e\u0349\u035aalgo",
    "control \x00\x07\x1b[31m\x7f\x9b end\r\n\tnext",
    "lone \ud800 surrogate",
    "<b>&lt;script&gt;document.title='owned'&lt;/script&gt;</b>",
    "&lt;img src=x onerror=&quot;document.title='owned'&quot;&gt;",
    "javascript:alert(1) https://example.com/a.png url(http://example.com/b)",
    "A" * 5_000,
    "word " * 1_000,
    "",
    " \t ",
]


def points(n: int = 240, dimensions: int = 2, groups: int = 12, **changes: Any) -> MapPoints:
    """Stories that lie apart, a tenth of noise, times over three days, four sources, three themes."""
    rng = np.random.default_rng(0)
    labels = (np.arange(n) % max(groups, 1)).astype(np.int32) if groups else np.full(n, -1, np.int32)
    labels[:: 10 if groups else 1] = -1
    centers = rng.random((max(groups, 1), dimensions)) * 20
    layout = centers[labels] + rng.normal(size=(n, dimensions)) * 0.4
    settings: dict[str, Any] = {
        "layout": layout.astype(np.float32),
        "labels": labels,
        "stories": [
            MapStory(s, f"The name of story {s}", keywords=["word", f"key{s}"], theme=s % 3, topic=s % 6)
            for s in range(groups)
        ],
        "titles": [f"Headline {row} about subject {labels[row]}" for row in range(n)],
        "descriptions": [f"description {row}" if row % 2 else None for row in range(n)],
        "copies": np.where(np.arange(n) == 5, 7, 1).astype(np.int32),
        "times": 1_714_000_000 + (np.arange(n) * 1_009 % max(n, 1)) * (3 * 86_400 / max(n, 1)),
        "sources": (np.arange(n) % 5 - 1).astype(np.int32),
        "source_names": ["Daily A", "The B", "C News", "D"],
        "themes": [MapTheme("theme", t, f"theme {t} · more") for t in range(min(3, groups))]
        + [MapTheme("topic", t, f"topic {t}", t % 3) for t in range(min(6, groups))],
    }
    return MapPoints(**(settings | changes))


def hostile(n: int = 240, dimensions: int = 2) -> MapPoints:
    """The same, but all texts are hostile."""
    text = [HOSTILE[row % len(HOSTILE)] for row in range(n)]
    names = [MapStory(s, text[s], short_name=text[s], keywords=[text[s], "b"], theme=s % 3) for s in range(23)]
    themes = [MapTheme("theme", t, text[t]) for t in range(3)]
    changes = {"titles": text, "descriptions": text[::-1], "stories": names, "themes": themes}
    return points(n, dimensions, 23, **changes, source_names=text[:4])
