"""The schema of a run: what is accepted, what wins over what, and what an error says (and does not)."""

import json
import os
from pathlib import Path

import pytest
from conftest import ROOT

from job.config import RECIPES, Config, load
from job.runtime.errors import BadInput
from job.stages.store import check_index

SECRET = "hunter2-do-not-show"
MINIMAL = "run_dir: runs/x\ninput:\n  path: a.csv\n"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without `.env`, an environment without Milvus."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MILVUS_URI", raising=False)
    monkeypatch.delenv("MILVUS_TOKEN", raising=False)
    return tmp_path


def configured(*words: str, text: str = MINIMAL) -> Config:
    path = Path("run.yaml")
    path.write_text(text, encoding="utf-8")
    return load(path, list(words))


def error_of(*words: str, text: str = MINIMAL) -> str:
    with pytest.raises(BadInput) as caught:
        configured(*words, text=text)
    return str(caught.value)


# ---- what is accepted


def test_a_folder_and_a_file_are_enough_and_the_rest_has_defaults() -> None:
    config = configured()
    assert (config.run_dir, config.input.paths) == (Path("runs/x"), ["a.csv"])
    assert (config.device, config.seed) == ("auto", 42)
    assert (config.embed.model, config.neighbors.k, config.cluster.mode) == ("BAAI/bge-m3", 50, "canonical")
    assert (config.cluster.min_samples, config.cluster.min_cluster_size, config.project.dimensions) == (3, 10, 2)
    assert config.store.token is None
    assert config.store_uri == "runs/x/milvus.db"


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_configuration_in_the_repository_validates(path: Path) -> None:
    config = load(path, [])
    assert config.input.paths or config.store.scope == "collection"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["store.filter=id > 3"], "store.filter needs store.scope = collection"),
        (["store.extra_fields=[text]"], "the field 'text' stands twice"),
        (["store.id_field=my-id"], "store.id_field = 'my-id'"),
        (["store.index=GPU"], "store.index = 'GPU'"),
        (["neighbors.min_recall=95"], "neighbors.min_recall = 95"),
        (["store.nlist=0"], "store.nlist = 0"),
    ],
)
def test_what_milvus_could_not_do_is_refused(words: list[str], said: str) -> None:
    assert said in error_of(*words)


def test_an_index_that_cannot_be_there_is_refused_without_asking(tmp_path: Path) -> None:
    check_index(configured("store.index=HNSW"))
    for words, said in (
        (("store.index=GPU_IVF_FLAT",), "Milvus Lite builds"),
        (("store.index=GPU_CAGRA", "store.uri=http://h:1", "neighbors.k=1020"), "at most 1,024 rows"),
        (("store.index=GPU_IVF_FLAT", "store.uri=http://h:1", "store.metric=COSINE"), "store.metric=IP"),
    ):
        with pytest.raises(BadInput, match=said):
            check_index(configured(*words))


def test_words_override_the_file_and_are_read_as_yaml() -> None:
    config = configured(
        "seed=7",
        "input.path=[b.csv, 'c/*.csv']",
        "input.description=null",
        "cluster.min_samples=2",
        "project.min_dist=0",
    )
    assert (config.seed, config.input.paths, config.input.description) == (7, ["b.csv", "c/*.csv"], None)
    assert (config.cluster.min_samples, config.project.min_dist) == (2, 0.0)


def test_the_last_of_two_words_for_one_key_wins() -> None:
    assert configured("seed=7", "seed=8").seed == 8


def test_a_word_may_start_a_section_that_the_file_lacks() -> None:
    assert configured("neighbors.k=9").neighbors.k == 9


def test_an_empty_value_is_none() -> None:
    assert configured("input.description=").input.description is None


def test_a_value_that_is_no_yaml_is_taken_as_it_stands() -> None:
    assert configured("input.path=*.csv").input.paths == ["*.csv"]


def test_a_value_may_hold_an_equals_sign() -> None:
    assert configured("report.title=a=b").report.title == "a=b"


def test_a_number_serves_as_a_column_name() -> None:
    assert configured("input.title=7").input.title == "7"


def test_the_graph_has_as_many_neighbors_as_the_hungriest_stage() -> None:
    assert configured("neighbors.k=9", "project.n_neighbors=80").graph_k == 79
    assert configured("neighbors.k=90", "project.n_neighbors=80").graph_k == 90
    reduced = ("cluster.input=vectors", "cluster.reduce_to=5", "neighbors.k=3", "project.n_neighbors=4")
    assert configured(*reduced).graph_k == 14


def test_a_configuration_does_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        configured().seed = 1  # type: ignore[misc]


# ---- what an error says


def test_all_errors_come_at_once_each_with_path_and_value() -> None:
    lines = error_of(
        "seed=-1", "embed.max_length=5", "cluster.mode=best", "project.dimensions=4", "input.encoding=utf-9"
    ).splitlines()
    assert lines[0] == "run.yaml: 5 errors"
    for path, value in (
        ("seed", "-1"),
        ("embed.max_length", "5"),
        ("cluster.mode", "'best'"),
        ("project.dimensions", "4"),
        ("input.encoding", "'utf-9'"),
    ):
        assert any(line.startswith(f"  {path} = {value}: ") for line in lines[1:]), path


def test_one_error_is_one_error() -> None:
    assert error_of("seed=-1").splitlines()[0] == "run.yaml: 1 error"


def test_what_is_missing_is_named() -> None:
    text = error_of(text="{}")
    assert "run_dir: missing; give it in the file or as run_dir=VALUE" in text
    assert "input.path: missing; give it in the file" in error_of(text="run_dir: x\n")
    assert "input.path: missing" in error_of(text="run_dir: x\ninput: {}\n")


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("nieghbors.k=3", "did you mean neighbors?"),
        (
            "cluster.min_cluster_sise=3",
            "cluster.min_cluster_sise: unknown key; did you mean cluster.min_cluster_size?",
        ),
        ("embed.modell=x", "did you mean embed.model?"),
        ("store.zzz=1", "valid here: uri, token, db_name, tls_ca, collection, scope"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest_and_all_valid_ones(word: str, hint: str) -> None:
    text = error_of(word)
    assert hint in text
    assert "valid here: " in text


@pytest.mark.parametrize("key", ["cluster.min-samples", "cluster.str", "cluster.min[samples"])
def test_an_unknown_key_with_a_hyphen_is_named_whole(key: str) -> None:
    assert f"{key}: unknown key" in error_of(f"{key}=5")


@pytest.mark.parametrize("key", ["run-dir", "str"])
def test_an_unknown_key_at_the_top_with_a_hyphen_is_an_error_like_any_other(key: str) -> None:
    assert f"{key}: unknown key" in error_of(f"{key}=5")


def test_a_section_that_is_a_value_is_an_error() -> None:
    said = "embed = 'minilm': a section; give its keys, as in embed.model=VALUE; valid here: model, max_length,"
    assert said in error_of("embed=minilm")
    said = "describe = True: a section; give its keys, as in describe.llm.endpoint=VALUE; valid here: llm"
    assert said in error_of("describe=on")
    assert "'run_dir.x': run_dir is a value, not a section" in error_of("run_dir.x=1")


@pytest.mark.parametrize(
    "text", ["news #1.csv", "2026-01-01", "-", "a: b.csv", "1e5", "yes", "~", "'a.csv'", "*.csv", "!x", "[a].csv", " x"]
)
def test_a_word_for_a_text_is_taken_as_it_stands(text: str) -> None:
    assert configured(f"input.path={text}").input.path == text
    assert configured(f"input.title={text}").input.title == text
    assert str(configured(f"run_dir={text}").run_dir) == (str(Path.home()) if text == "~" else text)


def test_words_for_lists_numbers_and_nothing_are_read_as_yaml() -> None:
    assert configured("input.path=[a.csv, 'b #1.csv']").input.path == ["a.csv", "b #1.csv"]
    assert configured("store.extra_fields=[lang, source]").store.extra_fields == ("lang", "source")
    assert configured("input.description=null").input.description is None
    assert configured("input.source=").input.source is None
    assert configured("input.title=null").input.title == "null"
    assert configured("cluster.merge_above=auto").cluster.merge_above == "auto"
    assert configured("cluster.merge_above=0.3").cluster.merge_above == 0.3
    assert configured("embed.sparse=true").embed.sparse is True


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (f"seed={10**30}", "seed: an integer of more than 64 bits"),
        (f"cluster.min_cluster_size={10**30}", "an integer of more than 64 bits"),
        ("input.path=a\0b", "input.path: the value holds a NUL character"),
        ("store.uri=a\0.db", "store.uri: the value holds a NUL character"),
        ("store.extra_fields=" + "[" * 100_000, "store.extra_fields"),
        ("seed=" + "9" * 5_000, "seed = "),
    ],
    ids=range(6),
)
def test_a_value_that_no_setting_can_have_is_a_short_error(word: str, said: str) -> None:
    text = error_of(word)
    assert said in text
    assert len(text) < 1_000


LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "line 1: nested more than 20 deep"),
        (LAUGHS, "line 2: the alias '*a' is not supported: write the value out"),
        ("embed: &e {model: minilm}\nstore:\n  <<: {uri: a.db}\n", "line 3: the merge key '<<' is not supported"),
        ("a: !!python/object/apply:os.system [ls]\n", "line 1: could not determine a constructor"),
        ("? [a, b]\n: 1\n", "is not YAML"),
        ("seed: .nan\n", "seed = nan"),
        (f"seed: {'9' * 5_000}\n", "is not YAML: Exceeds the limit"),
        (f"seed: {10**30}\n", "seed: an integer of more than 64 bits"),
        ("# x\n" * 300_000, "bytes, more than 1,048,576"),
        ("a: \x01\n", "is not YAML: unacceptable character"),
    ],
    ids=range(10),
)
def test_a_file_that_is_no_configuration_is_a_short_error(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        load(path, ["run_dir=x", "input.path=a.csv"])
    assert said in str(caught.value)
    assert len(str(caught.value)) < 1_000


def test_a_configuration_that_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    for path, said in (
        (tmp_path / "pipe.yaml", "is no regular file"),
        (Path("/dev/zero"), "is no regular file"),
        (tmp_path, "is a folder"),
        (tmp_path / ("x" * 300), "File name too long"),
        (Path("a\0b"), "cannot be named"),
    ):
        with pytest.raises(BadInput, match=said):
            load(path, [])


@pytest.mark.parametrize("word", ["seed", "=3", " =3", ""])
def test_a_word_without_key_or_equals_sign_is_refused(word: str) -> None:
    assert "expected key=value" in error_of(word)


@pytest.mark.parametrize("uri", ["localhost:19530", "milvus", "tcp://localhost:19530"])
def test_a_uri_is_a_db_file_or_an_address(uri: str) -> None:
    assert "expected a file ending in .db (Milvus Lite), or an address" in error_of(f"store.uri={uri}")


def test_a_long_value_is_cut_in_the_message() -> None:
    text = error_of("cluster.mode=" + "x" * 5000)
    assert len(text) < 400
    assert "..." in text


# ---- what does not go together


def test_more_min_samples_than_neighbors_is_an_error_with_both_numbers() -> None:
    assert "cluster.min_samples = 60 needs neighbors.k of at least that, not 50" in error_of("cluster.min_samples=60")


def test_min_samples_are_not_bound_by_the_graph_where_vectors_are_clustered() -> None:
    assert configured("cluster.min_samples=60", "cluster.input=vectors").cluster.min_samples == 60


def test_a_graph_is_not_reduced() -> None:
    assert "cluster.reduce_to needs cluster.input = vectors" in error_of("cluster.reduce_to=5")


def test_the_tutorials_mode_is_a_graphs() -> None:
    text = error_of("cluster.mode=tutorial", "cluster.input=vectors")
    assert "cluster.mode = tutorial needs cluster.input = neighbors" in text


# ---- the file itself


def test_a_key_given_twice_is_refused_with_its_line() -> None:
    text = error_of(text=MINIMAL + "seed: 1\nembed: {model: a}\nseed: 2\n")
    assert "line 6" in text
    assert "the key 'seed' stands twice" in text


def test_a_key_given_twice_in_a_section_is_refused_too() -> None:
    assert "the key 'path' stands twice" in error_of(text=MINIMAL + "  path: b.csv\n")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a:\n\tb: 1\n", "line 2"),
        ("- a\n- b\n", "found a list"),
        ("just words", "found a str"),
        ("? [a]\n: b\n", "is not YAML"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(text: str, part: str) -> None:
    message = error_of(text=text)
    assert part in message
    assert "run.yaml" in message


def test_a_date_that_does_not_exist_is_a_clear_error() -> None:
    assert "run.yaml" in error_of(text=MINIMAL + "report:\n  title: 2024-13-45\n")


def test_a_word_like_a_date_that_does_not_exist_is_taken_as_it_stands() -> None:
    assert configured("report.title=2024-13-45").report.title == "2024-13-45"


def test_a_missing_file_and_one_that_is_no_text_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nowhere\.yaml.*No such file"):
        load(Path("nowhere.yaml"), [])
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="not UTF-8"):
        load(tmp_path / "binary.yaml", [])


# ---- the environment


def test_milvus_comes_from_yaml_then_dotenv_then_environment_then_words(monkeypatch: pytest.MonkeyPatch) -> None:
    text = MINIMAL + "store: {uri: http://yaml, token: yaml}\n"

    def milvus(*words: str) -> tuple[str | None, str]:
        store = configured(*words, text=text).store
        assert store.token is not None
        return store.uri, store.token.get_secret_value()

    assert milvus() == ("http://yaml", "yaml")
    Path(".env").write_text("MILVUS_URI=http://dotenv\nMILVUS_TOKEN=dotenv\n")
    assert milvus() == ("http://dotenv", "dotenv")
    monkeypatch.setenv("MILVUS_URI", "http://environment")
    assert milvus() == ("http://environment", "dotenv")
    monkeypatch.setenv("MILVUS_TOKEN", "environment")
    assert milvus() == ("http://environment", "environment")
    assert milvus("store.uri=http://word", "store.token=word") == ("http://word", "word")


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILVUS_URI", "")
    assert configured().store.uri is None


def test_a_bad_uri_from_the_environment_is_checked_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    # it may be a token in the wrong place
    monkeypatch.setenv("MILVUS_URI", SECRET)
    assert "store.uri = (not shown): expected a file ending in .db" in error_of()


# ---- secrets


def test_the_token_is_in_no_public_record_and_no_repr() -> None:
    config = configured(f"store.token={SECRET}", f"store.uri=http://user:{SECRET}@localhost:19530")
    assert config.store.token is not None
    assert config.store.token.get_secret_value() == SECRET
    public = config.public()
    assert "token" not in public["store"]
    assert public["store"]["uri"] == "http://localhost:19530"
    assert SECRET not in json.dumps(public)
    assert SECRET not in repr(config.store.token)


@pytest.mark.parametrize(
    "word",
    [
        f"store.auth={SECRET}",
        f"store.tls={SECRET}",
        f"store.token.x={SECRET}",
        f"run_dir.x={SECRET}",
        f"store.uri={SECRET}",
        f"store.uri=http://root:a/{SECRET}@localhost:19530",
        f"store.uri=http://localhost:19530/{SECRET}",
        f"store.uri=http://localhost:19530?token={SECRET}",
        f"store.uri=http://localhost:19530#{SECRET}",
        f"describe.llm.endpoint=http://localhost/v1?key={SECRET}",
        f"describe.llm.endpoint=http://user:{SECRET}@localhost/v1",
        f"store.tokn={SECRET}",
        f"store.Token={SECRET}",
        f"store.api_key={SECRET}",
        f"store.password={SECRET}",
        f"store.uri=ftp://user:{SECRET}@localhost:19530",
        f"store=http://user:{SECRET}@localhost:19530",
    ],
)
def test_a_secret_is_not_in_the_message_of_its_own_error(word: str) -> None:
    assert SECRET not in error_of(word)


def test_a_secret_is_not_in_the_message_of_another_error() -> None:
    assert SECRET not in error_of(f"store.token={SECRET}", "seed=-1", "store.index=none")


@pytest.mark.parametrize("key", ["token", "milvus_token", "embed.token", "store.toekn", "store.tkn"])
def test_a_token_in_the_wrong_place_or_badly_misspelt_is_not_shown(key: str) -> None:
    assert SECRET not in error_of(f"{key}={SECRET}")


def test_a_password_in_an_address_without_a_scheme_is_not_shown() -> None:
    assert SECRET not in error_of(f"store.uri=user:{SECRET}@localhost:19530")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ranks.rank=1"], "ranks.world = None: set both or neither"),
        (["ranks.rank=4", "ranks.world=4"], "ranks count from 0 to ranks.world - 1 = 3"),
    ],
)
def test_half_a_rank_and_a_rank_beyond_the_world_are_refused(words: list[str], said: str) -> None:
    with pytest.raises(BadInput) as caught:
        load(ROOT / "configs" / "demo.yaml", words)
    assert said in str(caught.value)


def test_ranks_are_no_setting_of_the_run() -> None:
    config = load(ROOT / "configs" / "demo.yaml", ["ranks.rank=1", "ranks.world=4"])
    assert "ranks" not in config.public()


# ---- recipes


def test_a_recipe_on_the_command_line_replaces_what_the_file_set_and_says_so() -> None:
    text = MINIMAL + "cluster: {min_samples: 1, min_cluster_size: 4}\n"
    config = configured("cluster.recipe=stories", text=text)
    assert config.cluster.model_dump(include=set(RECIPES["stories"])) == RECIPES["stories"]
    (note,) = config.notes
    assert "min_samples=5 (replaces the file's 1), min_cluster_size=10 (replaces the file's 4)" in note


def test_a_word_wins_over_a_recipe_in_either_order_and_the_file_wins_over_its_own_recipe() -> None:
    text = MINIMAL + "cluster: {min_samples: 1}\n"
    for words in (
        ["cluster.min_samples=3", "cluster.recipe=stories"],
        ["cluster.recipe=stories", "cluster.min_samples=3"],
    ):
        config = configured(*words, text=text)
        assert (config.cluster.min_samples, config.cluster.min_cluster_size) == (3, 10)
        assert "min_samples=3 was set by you and stays (the recipe: 5)" in config.notes[0]
    own = configured(text=MINIMAL + "cluster: {recipe: stories, min_samples: 1}\n")
    assert (own.cluster.min_samples, own.cluster.k) == (1, 15)


def test_a_recipe_on_the_command_line_takes_the_place_of_the_files_recipe() -> None:
    text = MINIMAL + "cluster: {recipe: stories, min_cluster_size: 4}\n"
    cluster = configured("cluster.recipe=topics", text=text).cluster
    assert (cluster.input, cluster.reduce_to, cluster.k, cluster.min_cluster_size) == ("vectors", 5, None, 30)


def test_a_recipe_takes_the_neighbors_there_are() -> None:
    config = configured("cluster.recipe=stories", "neighbors.k=10")
    assert config.cluster.k == 10
    assert "k=10 (the recipe's 15 does not fit the other settings)" in config.notes[0]


def test_more_neighbors_read_than_there_are_is_an_error_with_a_recipe_too() -> None:
    for words in ((), ("cluster.recipe=stories",)):
        assert "cluster.k = 40 needs neighbors.k of at least that, not 20" in error_of(
            "neighbors.k=20", "cluster.k=40", *words
        )


def test_a_recipe_does_not_set_what_contradicts_a_word() -> None:
    config = configured("cluster.recipe=topics", "cluster.input=neighbors")
    assert (config.cluster.input, config.cluster.reduce_to) == ("neighbors", None)
    text = error_of("cluster.recipe=topics", "cluster.mode=tutorial")
    assert "cluster.mode = tutorial needs cluster.input = neighbors, but cluster.recipe = topics sets vectors" in text


def test_without_a_recipe_there_is_nothing_to_say() -> None:
    assert configured("cluster.min_samples=2").notes == ()


def test_a_setting_that_only_sounds_like_a_token_is_shown() -> None:
    assert "embed.token_budget = 10: " in error_of("embed.token_budget=10")


# ---- what is part of a stage's key


def test_settings_without_effect_on_the_result_are_in_no_key() -> None:
    quick = configured("store.parallel=9", "store.patience=1", "neighbors.batch=7", "embed.token_budget=64")
    for section in ("input", "embed", "store", "neighbors", "cluster", "project", "report"):
        assert getattr(quick, section).key() == getattr(configured(), section).key()
    assert configured("neighbors.nprobe=7").neighbors.key() != configured().neighbors.key()
    assert SECRET not in json.dumps(configured(f"store.token={SECRET}").store.key())


def test_a_home_folder_in_run_dir_is_one_folder_for_all_parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    config = configured("run_dir=~/runs/x")
    assert config.run_dir == tmp_path / "runs" / "x"
    assert config.store_uri == str(tmp_path / "runs" / "x" / "milvus.db")
    assert configured("run_dir=~nobody-of-that-name/x").run_dir == Path("~nobody-of-that-name/x")
