"""Where UMAP starts: its own start takes more and more of the time, and on many rows gives no better map."""

import numpy as np

from job.data import Floats

# up to so many rows UMAP's own start, from eigenvectors of the graph, takes little; umap-learn makes fewer rounds above
OWN_START = 10_000
_SAMPLE = 20_000
# as umap-learn's own
_EXTENT, _NOISE = 10.0, 1e-4


def start_of(vectors: Floats, dimensions: int, seed: int) -> Floats | str:
    """What UMAP takes as `init`: "spectral", or above `OWN_START` rows the vectors' first principal components.

    These float32 [n, dimensions] are scaled to within 10 of 0, with a little noise, since equal points would move as
    one. Kobak, Linderman (2021), "Initialization is critical for preserving global data structure in both t-SNE and
    UMAP": what the start orders at large is what the map keeps. The components are those of a sample of 20,000 rows.
    """
    if len(vectors) <= OWN_START or dimensions > vectors.shape[1]:
        return "spectral"
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(seed)
    sample = vectors[np.sort(rng.choice(len(vectors), min(_SAMPLE, len(vectors)), replace=False))].astype(np.float64)
    axes = PCA(dimensions, svd_solver="covariance_eigh").fit(sample).components_.astype(np.float32)
    start: Floats = vectors @ axes.T
    start -= start.mean(axis=0)
    start *= _EXTENT / max(float(np.abs(start).max()), 1e-30)
    start += rng.normal(scale=_NOISE, size=start.shape)
    return start
