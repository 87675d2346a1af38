"""Exact neighbors, and rows of the neighbor graph from the candidates that a search found.

distances    Euclidean distances of pairs of rows, and each row's neighbors in order
brute_force  exact nearest neighbors on the CPU, with numba
bf16_search  exact nearest neighbors on a CPU with AMX: bfloat16 products, an error bound, then the vectors
exact        `ExactSearch`: exact nearest neighbors on the CPU or on a CUDA device
rows         rows of the neighbor graph: the k nearest of the candidates
recall       the recall of a graph, measured on a sample of rows against exact search
audit        the labels of an approximate graph compared with those of the exact graph
vote         weighted majority vote of a headline's neighbors on its nearest cluster
"""
