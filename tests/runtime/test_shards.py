"""Shards: complete ones are kept, the others are made again."""

import json
from pathlib import Path

import numpy as np
import pytest

from job.runtime.ranks import Ranks
from job.runtime.shards import Shard, Shards, array_files

ROWS = np.arange(44, dtype=np.float32).reshape(11, 4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "embeddings"


def shards(folder: Path, key: str = "key", rows: int = 11, size: int = 4) -> Shards:
    return Shards(folder, key, rows, size)


def fill(work: Shards) -> list[int]:
    """Make the missing shards, and return their numbers."""
    made = []
    for shard in work.to_make():
        work.write(shard, ROWS[shard.start : shard.stop])
        made.append(shard.number)
    return made


def missing(folder: Path, **settings: object) -> list[int]:
    return [shard.number for shard in shards(folder, **settings).to_make()]  # type: ignore[arg-type]


def test_rows_are_cut_into_ranges_the_last_one_short() -> None:
    assert shards(Path("nowhere")).all == [Shard(0, 0, 4), Shard(1, 4, 8), Shard(2, 8, 11)]
    assert [len(shard) for shard in shards(Path("nowhere")).all] == [4, 4, 3]


@pytest.mark.parametrize("size", [1, 4, 11, 100])
def test_all_shards_together_are_the_array(folder: Path, size: int) -> None:
    work = shards(folder, size=size)
    fill(work)
    np.testing.assert_array_equal(work.load(), ROWS)


def test_half_precision_is_kept(folder: Path) -> None:
    work = shards(folder, size=20)
    work.write(work.to_make()[0], ROWS.astype(np.float16))
    assert work.load().dtype == np.float16
    assert missing(folder, size=20) == []


def test_an_array_that_is_not_contiguous_is_saved_too(folder: Path) -> None:
    work = shards(folder, size=20)
    work.write(work.to_make()[0], np.asfortranarray(ROWS))
    np.testing.assert_array_equal(work.load(), ROWS)
    assert missing(folder, size=20) == []


def test_existing_shards_are_not_made_again(folder: Path) -> None:
    assert fill(shards(folder)) == [0, 1, 2]
    assert fill(shards(folder)) == []


def test_a_stopped_run_continues_at_the_next_shard(folder: Path) -> None:
    work = shards(folder)
    work.write(work.to_make()[0], ROWS[:4])
    assert fill(shards(folder)) == [1, 2]
    np.testing.assert_array_equal(shards(folder).load(), ROWS)


def test_shards_with_another_key_are_made_again(folder: Path) -> None:
    fill(shards(folder))
    assert missing(folder, key="other") == [0, 1, 2]


def test_a_shard_with_a_wrong_checksum_is_made_again(folder: Path) -> None:
    fill(shards(folder))
    file = folder / "00001.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert fill(shards(folder)) == [1]
    np.testing.assert_array_equal(shards(folder).load(), ROWS)


@pytest.mark.parametrize("damage", ["changed", "deleted"])
def test_a_damaged_shard_of_another_rank_is_missing(folder: Path, damage: str) -> None:
    fill(shards(folder))
    assert shards(folder).missing() == []
    file = folder / "00001.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.unlink() if damage == "deleted" else file.write_bytes(content)
    assert shards(folder).to_make(Ranks(0, 2)) == []
    assert [shard.number for shard in shards(folder).missing()] == [1]
    assert fill(shards(folder)) == [1]
    assert shards(folder).missing() == []


def test_arrays_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (100_000, 99_999, 100_001, 7):
        (tmp_path / f"{number:05d}.npy").touch()
    assert [path.stem for path in array_files(tmp_path)] == ["00007", "99999", "100000", "100001"]


@pytest.mark.parametrize("keep", [0, 10, 100, -4])
def test_a_cut_off_array_is_made_again(folder: Path, keep: int) -> None:
    fill(shards(folder))
    file = folder / "00002.npy"
    file.write_bytes(file.read_bytes()[:keep])
    assert missing(folder) == [2]


@pytest.mark.parametrize("name", ["00000.npy", "00000.json"])
def test_an_array_without_marker_and_a_marker_without_array_are_made_again(folder: Path, name: str) -> None:
    fill(shards(folder))
    (folder / name).unlink()
    assert missing(folder) == [0]


def test_a_shard_with_a_cut_off_marker_is_made_again(folder: Path) -> None:
    fill(shards(folder))
    marker = folder / "00000.json"
    marker.write_text(marker.read_text()[:10])
    assert missing(folder) == [0]


@pytest.mark.parametrize(
    "old, new", [('"rows": 4', '"rows": 5'), ('"crc32"', '"crc33"'), ('"key"', '"kex"'), ("{", "[")]
)
def test_a_shard_with_a_damaged_marker_is_made_again(folder: Path, old: str, new: str) -> None:
    fill(shards(folder))
    marker = folder / "00000.json"
    assert old in marker.read_text()
    marker.write_text(marker.read_text().replace(old, new))
    assert len(shards(folder).checksums()) == 2
    assert missing(folder) == [0]


def test_the_markers_of_an_older_version_are_read(folder: Path) -> None:
    fill(shards(folder))
    marker = folder / "00000.json"
    values = json.loads(marker.read_text())
    marker.write_text(json.dumps({name: value for name, value in values.items() if name != "xxh3"}))
    assert missing(folder) == []


def test_shards_of_another_size_are_made_again_and_superfluous_ones_removed(folder: Path) -> None:
    fill(shards(folder, size=3))
    assert len(list(folder.glob("0*"))) == 8
    assert fill(shards(folder, size=6)) == [0, 1]
    assert sorted(path.name for path in folder.glob("0*")) == ["00000.json", "00000.npy", "00001.json", "00001.npy"]
    np.testing.assert_array_equal(shards(folder, size=6).load(), ROWS)


def test_more_rows_make_only_the_last_and_the_new_shards(folder: Path) -> None:
    fill(shards(folder))
    assert missing(folder, rows=13) == [2, 3]


def test_shards_that_are_no_longer_wanted_are_removed_and_nothing_else(folder: Path) -> None:
    fill(shards(folder))
    for name in ("00003.npy", "00003.json", ".00001.npy.tmp.npy", "notes.txt", "2024.csv"):
        (folder / name).write_text("x")
    assert missing(folder) == []
    assert {path.name for path in folder.glob("[!.]*")} == {
        *(f"0000{number}.{kind}" for number in range(3) for kind in ("npy", "json")),
        *("plan.json", "notes.txt", "2024.csv"),
    }
    # another rank may be writing this file
    assert (folder / ".00001.npy.tmp.npy").exists()


def test_the_checksums_depend_on_the_content(folder: Path) -> None:
    fill(shards(folder))
    before = shards(folder).checksums()
    assert len(before) == 3
    work = shards(folder)
    work.write(work.all[1], ROWS[4:8] + 1)
    after = work.checksums()
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]


def test_a_marker_is_json_with_key_rows_and_checksum(folder: Path) -> None:
    fill(shards(folder))
    marker = json.loads((folder / "00002.json").read_text())
    assert (marker["key"], marker["rows"]) == ("key", 3)
    assert marker["crc32"] == shards(folder).checksums()[2]


def test_removed_shards_are_gone(folder: Path) -> None:
    work = shards(folder)
    fill(work)
    work.remove()
    assert not folder.exists()
    work.remove()
    fill(work)
    (folder / "notes.txt").write_text("mine")
    work.remove()
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
