"""Scripts: which texts are not in Latin letters."""

import pytest

from job.backends.text.scripts import share_not_latin


@pytest.mark.parametrize(
    ("texts", "share"),
    [
        ([], 0),
        (["Größe zählt", "L'été à Nîmes", "Ho Chi Minh Thành phố"], 0),
        (["В Госдуме предложили", "台风接近", "الملك يبحث", "दिल्ली में", "뉴스"], 1),
        (["OPEC meets", "В ОПЕК+ одобрили"], 0.5),
        # the larger part of the letters counts; numbers and signs have no script
        (["Twitter: письмо от Маска", "Маск buys Twitter", "2024 — 100%!"], 0.5),
        (["42", "%"], 0),
    ],
)
def test_the_share_of_texts_in_other_scripts(texts: list[str], share: float) -> None:
    assert share_not_latin(texts) == share
