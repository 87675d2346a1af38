"""HDBSCAN on vectors and UMAP from the neighbor graph, for the CPU and for the GPU.

`cpu` uses hdbscan and umap-learn; `gpu` uses cuML. Both have `umap_from_graph` with the same parameters, and it starts
from the same positions (`start`). HDBSCAN on the CPU is `cpu.linkage_of_vectors`, whose tree graph_hdbscan cuts; on the
GPU it is `gpu.hdbscan_vectors`, tree and cut in one.
"""
