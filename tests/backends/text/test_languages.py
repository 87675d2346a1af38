"""Which texts are in another language than English."""

import pytest

from job.backends.text.languages import share_not_english


@pytest.mark.parametrize(
    ("texts", "share"),
    [
        ([], 0),
        (["Größe zählt", "Café Nîmes", "Zürich"], 0),
        (
            [
                "Corte de luz en la costa del norte",
                "Les viticulteurs du nord",
                "Strike ends",
                "Der Streik ist vorbei",
                "The strike is over",
                "US and EU agree",
            ],
            0.5,
        ),
        # foreign names and single words in an English title
        (["Macron wants von der Leyen replaced by the end of the summer", "La Niña is back in the Pacific"], 0),
        (["В Госдуме предложили", "台风接近", "الملك يبحث", "दिल्ली में", "뉴스"], 1),
        (["OPEC meets", "В ОПЕК+ одобрили"], 0.5),
        # the larger part of the letters counts; numbers and signs have no script
        (["Twitter: письмо от Маска", "Маск buys Twitter", "2024 — 100%!"], 0.5),
        (["42", "%"], 0),
    ],
)
def test_the_share_of_texts_in_other_languages(texts: list[str], share: float) -> None:
    assert share_not_english(texts) == share
