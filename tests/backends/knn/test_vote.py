"""The weighted majority vote of a headline's neighbors."""

import numpy as np

from job.backends.knn.vote import nearest_cluster


def vote(labels: list[int], neighbors: list[list[tuple[int, float]]]) -> tuple[list[int], list[float]]:
    """Neighbors as (row, distance) pairs, padded with -1."""
    k = max(map(len, neighbors))
    padded = [row + [(-1, np.inf)] * (k - len(row)) for row in neighbors]
    indices = np.array([[row for row, _ in near] for near in padded], np.int32).reshape(len(labels), k)
    distances = np.array([[d for _, d in near] for near in padded], np.float32).reshape(len(labels), k)
    winner, distance = nearest_cluster(np.array(labels, np.int32), indices, distances)
    assert (winner.dtype, distance.dtype) == (np.int32, np.float32)
    return winner.tolist(), distance.tolist()


def test_a_cluster_member_keeps_its_label_and_its_distance_is_to_its_own_cluster() -> None:
    winner, distance = vote([0, 1, 1, 0], [[(1, 0.1), (2, 0.2), (3, 0.5)], [], [], []])
    assert winner == [0, 1, 1, 0]
    assert distance[0] == 0.5


def test_noise_gets_the_label_of_most_neighbors() -> None:
    winner, distance = vote([-1, 0, 1, 1], [[(1, 0.5), (2, 0.6), (3, 0.7)], [], [], []])
    assert winner[0] == 1
    assert distance[0] == np.float32(0.6)


def test_one_close_neighbor_outweighs_two_far_ones() -> None:
    winner, distance = vote([-1, 0, 1, 1], [[(1, 0.1), (2, 0.6), (3, 0.7)], [], [], []])
    assert winner[0] == 0
    assert distance[0] == np.float32(0.1)


def test_a_neighbor_at_distance_zero_decides_without_division_by_zero() -> None:
    winner, distance = vote([-1, 1, 0, 0, 0], [[(1, 0.0), (2, 0.001), (3, 0.001), (4, 0.001)], [], [], [], []])
    assert (winner[0], distance[0]) == (1, 0.0)


def test_a_tie_goes_to_the_lower_label() -> None:
    assert vote([-1, 2, 1, 3], [[(1, 0.5), (2, 0.5), (3, 0.5)], [], [], []])[0][0] == 1


def test_noise_with_only_noise_neighbors_stays_noise_without_a_distance() -> None:
    winner, distance = vote([-1, -1, 0], [[(1, 0.1)], [(0, 0.1)], []])
    assert winner == [-1, -1, 0]
    assert np.isnan(distance[:2]).all()


def test_labels_voted_to_other_noise_do_not_count() -> None:
    assert vote([-1, -1, 0], [[(1, 0.1)], [(2, 0.1)], []])[0] == [-1, 0, 0]


def test_a_member_without_neighbors_in_its_cluster_has_no_distance() -> None:
    winner, distance = vote([0, 1], [[(1, 0.1)], [(0, 0.1)]])
    assert winner == [0, 1]
    assert np.isnan(distance).all()


def test_missing_neighbors_do_not_vote() -> None:
    # -1 used as an index would be the last row, which is in cluster 1
    assert vote([-1, 0, 1], [[(1, 0.9)], [(0, 0.1), (2, 0.1)], []])[0][0] == 0
    assert vote([-1, 1], [[], [(0, 0.1)]])[0][0] == -1


def test_the_given_labels_are_not_changed() -> None:
    labels = np.array([-1, 0], np.int32)
    nearest_cluster(labels, np.array([[1], [0]], np.int32), np.ones((2, 1), np.float32))
    assert labels.tolist() == [-1, 0]
