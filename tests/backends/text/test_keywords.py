"""Keywords by class-based TF-IDF over titles, in the scripts that news comes in."""

import math
import random
from collections import Counter

import numpy as np
import pytest

from job.backends.text import keywords
from job.backends.text.terms import repeated_runs, runs
from job.backends.text.title_terms import title_terms

# three stories each, invented; of each a word that stands in most of its titles
LANGUAGES = {
    "Chinese": (
        [
            "神舟二十号载人飞船成功发射",
            "神舟二十号航天员状态良好",
            "神舟二十号将于四月返回地球",
            "祝贺神舟二十号顺利升空",
        ],
        ["央行宣布下调存款准备金率", "下调存款准备金率释放资金", "专家解读下调存款准备金率", "存款准备金率再次下调"],
        ["台风海燕登陆广东沿海", "台风海燕致多地停课", "广东防御台风海燕", "台风海燕减弱为热带风暴"],
        ("神舟二十号", "存款准备金率", "台风海燕"),
    ),
    "Japanese": (
        [
            "日銀が政策金利を据え置き",
            "政策金利の据え置きで円安進む",
            "日銀総裁、政策金利の引き上げを否定",
            "政策金利に市場が注目",
        ],
        ["大谷翔平が今季20号本塁打", "大谷翔平、二刀流で勝利投手", "監督「大谷翔平は特別」", "大谷翔平が月間MVP"],
        [
            "北海道で震度5強の地震",
            "地震で北海道の新幹線が停止",
            "北海道の地震、けが人なし",
            "気象庁が北海道の地震で会見",
        ],
        ("政策金利", "大谷翔平", "北海道"),
    ),
    "Thai": (
        ["นายกรัฐมนตรีแถลงนโยบายเศรษฐกิจ", "ฝ่ายค้านวิจารณ์นโยบายเศรษฐกิจ", "นโยบายเศรษฐกิจใหม่เริ่มปีหน้า"],
        ["น้ำท่วมเชียงใหม่หนักสุดในรอบสิบปี", "เชียงใหม่ประกาศภัยพิบัติน้ำท่วม", "อพยพชาวเชียงใหม่หนีน้ำท่วม"],
        ["ทีมชาติไทยชนะเวียดนาม", "แฟนบอลฉลองทีมชาติไทย", "โค้ชทีมชาติไทยพอใจผลงาน"],
        ("นโยบายเศรษฐกิจ", "น้ำท่วม", "ทีมชาติไทย"),
    ),
    "Russian": (
        ["Забастовка паромщиков началась", "Паромщики продолжают забастовку", "Конец забастовки паромщиков"],
        ["Вулкан на Камчатке извергается", "Извержение вулкана закрыло аэропорт", "Учёные следят за вулканом"],
        ["Выборы в парламент назначены", "Итоги выборов в парламент", "Наблюдатели на выборах"],
        ("забастов", "вулкан", "выбор"),
    ),
    "Arabic": (
        ["إضراب عمال العبارات يبدأ اليوم", "نهاية إضراب عمال العبارات", "الحكومة تناقش إضراب العبارات"],
        ["زلزال يضرب الساحل", "ضحايا الزلزال يرتفعون", "مساعدات بعد الزلزال"],
        ["الانتخابات تبدأ الأحد", "نتائج الانتخابات والمعارضة", "مراقبون: الانتخابات نزيهة"],
        ("إضراب", "زلزال", "انتخابات"),
    ),
    "Hindi": (
        ["दिल्ली में मेट्रो की नई लाइन", "मेट्रो लाइन का उद्घाटन दिल्ली में", "दिल्ली मेट्रो में भीड़"],
        ["मुंबई में भारी बारिश", "बारिश से मुंबई की ट्रेनें बंद", "मुंबई: बारिश का रेड अलर्ट"],
        ["चुनाव आयोग की बैठक", "चुनाव की तारीखें घोषित", "चुनाव प्रचार शुरू"],
        ("मेट्रो", "बारिश", "चुनाव"),
    ),
}


def cluster_keywords(clusters: list[list[str]], count: int, *coverage: float) -> list[list[str]]:
    """The keywords of clusters that are given as their titles."""
    titles = [title for cluster in clusters for title in cluster]
    labels = np.repeat(np.arange(len(clusters)), [len(cluster) for cluster in clusters]).astype(np.int32)
    return keywords.cluster_keywords(title_terms(titles), labels, len(clusters), count, *coverage)


@pytest.mark.parametrize(
    ("titles", "word"),
    [
        (["はま寿司が値上げ", "「はま寿司」で食中毒", "人気のはま寿司、全店で"], "はま寿司"),
        (["もののけ姫を4Kで上映", "映画「もののけ姫」公開", "もののけ姫が話題"], "もののけ姫"),
        (["ほっともっとが値上げ", "弁当のほっともっと、新作", "ほっともっとは全店で"], "ほっともっと"),
        (["はやぶさ2が帰還", "探査機はやぶさ2、地球へ", "はやぶさ2のカプセル"], "はやぶさ"),
        (["的士司機罷工", "香港的士加價", "的士業界回應"], "的士"),
        (["東京で地震", "大阪の首相が東京で会見", "関東と東京で雨"], "東京"),
        (["岸田首相は辞任へ", "次の首相は石破氏", "新しい首相に"], "首相"),
    ],
)
def test_a_word_keeps_characters_that_elsewhere_are_particles(titles: list[str], word: str) -> None:
    assert word in repeated_runs([runs(title) for title in titles])


@pytest.mark.parametrize("language", LANGUAGES)
def test_in_each_language_a_keyword_names_the_story_and_stands_in_most_of_its_titles(language: str) -> None:
    *stories, expected = LANGUAGES[language]
    for titles, words, wanted in zip(stories, cluster_keywords(stories, 3), expected, strict=True):
        found = [word for word in words if wanted in word.casefold() or word.casefold() in wanted]
        assert found, words
        assert sum(wanted[:4] in title.casefold() for title in titles) >= len(titles) / 2


def test_forms_of_a_word_are_one_keyword_in_its_most_frequent_spelling() -> None:
    titles = ["Путин подписал указ", "Указ Путина", "Встреча с Путиным", "Путин ответил"]
    assert cluster_keywords([titles], 1) == [["Путин"]]
    assert cluster_keywords([["Ferry strike", "The strikes go on", "Selmouth's strike", "Selmouth strikes"]], 2) == [
        ["strike", "Selmouth"]
    ]


def test_a_drawn_out_letter_is_no_other_word_and_alone_none() -> None:
    titles = ["وزارة الصحة تـعـلن لـ المرضى", "وزارة الصحة تعلن لـ الأطباء", "وزارة الصحة تعلن لـ الناس"]
    assert set(cluster_keywords([titles], 3)[0]) == {"وزارة", "الصحة", "تعلن"}


def test_words_of_only_one_cluster_come_before_words_of_all() -> None:
    found = cluster_keywords([["volcano iceland news"], ["bank rates news"], ["football final news"]], 3)
    assert all(words[-1] == "news" for words in found)


def test_a_word_of_most_titles_comes_before_a_rare_one() -> None:
    titles = ["ferry strike", "ferry strike", "ferry strike", "ferry xylophone"]
    assert cluster_keywords([titles, ["bank", "rates strike"]], 3)[0] == ["ferry", "strike", "xylophone"]


def test_weights_are_the_share_of_titles_times_log_of_one_plus_mean_over_frequency() -> None:
    rng = random.Random(0)
    words = [f"{first}{second}bola" for first in "dfghk" for second in "aeiou"]
    clusters = [[" ".join(rng.choices(words, range(1, 26), k=6)) for _ in range(size)] for size in (4, 12, 90)]
    counts = [Counter(word for title in titles for word in set(title.split())) for titles in clusters]
    total = sum(counts, Counter())
    mean = sum(total.values()) / len(clusters)
    for power in (1.0, 2.0):
        for titles, own, found in zip(clusters, counts, cluster_keywords(clusters, 25, power), strict=True):
            weights = {w: (n / len(titles)) ** power * math.log(1 + mean / total[w]) for w, n in own.items()}
            assert found == sorted(weights, key=lambda word: (-weights[word], word))


def test_equal_weights_come_in_alphabetical_order() -> None:
    assert cluster_keywords([["zebra yacht xylophone"]], 3) == [["xylophone", "yacht", "zebra"]]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_at_most_the_requested_number_of_keywords(count: int) -> None:
    assert [len(words) for words in cluster_keywords([["storm coast rain"], ["bank"]], count)] == [count, min(count, 1)]


def test_stop_words_of_several_languages_numbers_and_single_letters_are_not_keywords() -> None:
    assert cluster_keywords([["the and der und les des el 2024 12 x volcano и в на من في"]], 9) == [["volcano"]]


@pytest.mark.parametrize(
    ("title", "word"),
    [
        ("Grenfell fire", "fire"),
        ("Sudan war", "war"),
        ("State bill on car tax", "car"),
        ("Chinas AI chips", "AI"),
        ("Strike in the UK", "UK"),
        ("EU and US on trade", "EU"),
        ("EU and US on trade", "US"),
        ("UN aid", "UN"),
        ("WHO warns of flu", "WHO"),
        ("Iran warns U.S. again", "U.S."),
        ("Men at sea", "sea"),
        ("Война и мир в России", "война"),
        ("76ers beat 49ers", "76ers"),
        ("Telcos sell 5G", "5G"),
    ],
)
def test_what_a_headline_is_about_is_no_stop_word(title: str, word: str) -> None:
    assert word.casefold() in [found.casefold() for found in cluster_keywords([[title]], 9)[0]]


def test_a_function_word_of_one_language_is_a_stop_word_in_its_own_titles_alone() -> None:
    german = ["Der Streik der Fähren war lang", "Wie lang war der Streik", "Der Streik war lang"]
    english = ["The war in Sudan", "Sudan war", "War in the north of Sudan"]
    french = ["Le ferry et son capitaine", "Son ferry coule et le capitaine part"]
    found = cluster_keywords([german, english, french], 9)
    assert "war" not in found[0] and "war" in [word.casefold() for word in found[1]]
    assert not any(word.casefold() == "son" for word in found[2])


def test_dots_and_apostrophes_make_no_other_word() -> None:
    assert cluster_keywords([["U.S. tariffs", "US tariffs", "US tariffs"]], 9) == [["tariffs", "US"]]
    assert cluster_keywords([["O’Neal wins", "O'Neal wins", "O'Neal wins"]], 9) == [["O'Neal", "wins"]]
    titles = ["I’m sure they don’t strike", "I'm sure we don't strike", "They’re sure you’ll strike"]
    assert cluster_keywords([titles], 9) == [["strike", "sure"]]


def test_ordinals_times_and_amounts_are_no_keywords() -> None:
    assert cluster_keywords([["1st 2nd 3rd 4th 1980s 10am 5pm 20m 3bn volcano"]], 9) == [["volcano"]]
    assert cluster_keywords([["9" * 50_000 + " volcano"]], 9) == [["volcano"]]


def test_a_word_within_the_letters_of_another_is_a_word_of_its_own() -> None:
    titles = ["Rain hits Ukraine", "Rain in Ukraine", "Ukraine: more rain"]
    assert {"Ukraine", "Rain"} <= set(cluster_keywords([titles], 3)[0])
    assert cluster_keywords([["Covid-19 spreads", "Covid-19 here", "Covid kills"]], 1) == [["Covid-19"]]


def test_upper_and_lower_case_are_one_word_and_compounds_stay_whole() -> None:
    assert cluster_keywords([["Volcano VOLCANO volcano"]], 9) == [["volcano"]]
    assert cluster_keywords([["Volcano erupts", "Volcano", "volcano"]], 1) == [["Volcano"]]
    assert cluster_keywords([["covid-19 zürich"]], 9) == [["covid-19", "zürich"]]


def test_a_cluster_without_words_has_no_keywords_and_does_not_affect_others() -> None:
    assert cluster_keywords([[""], ["volcano"], ["the and 12"], []], 5) == [[], ["volcano"], [], []]


@pytest.mark.parametrize("clusters", [[], [["the"]], [[""], [""]], [[]]])
def test_clusters_without_words_are_not_an_error(clusters: list[list[str]]) -> None:
    assert cluster_keywords(clusters, 5) == [[] for _ in clusters]


def test_no_keyword_is_a_part_of_another() -> None:
    titles = ["習近平在北京", "習近平訪問", "習近平主席", "習近平講話"]
    assert cluster_keywords([titles], 3)[0][0] == "習近平"
    for words in cluster_keywords([titles], 6):
        assert not any(a != b and a in b for a in words for b in words)


def test_a_long_title_takes_no_long_time() -> None:
    assert cluster_keywords([["字" * 5_000, "字" * 5_000, "a" * 5_000]], 3)
