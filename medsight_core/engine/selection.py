"""Which case teaches most: doubt and distance as numbers.

Entropy in bits, jumps between neighbouring planes, and the greedy steps of k-centre and k-medoids. Pure arithmetic on
arrays: it knows neither images nor models nor annotators.
"""

from __future__ import annotations

import numpy as np


def entropy(probability: np.ndarray) -> np.ndarray:
    """Entropy in bits (0..1) of yes-or-no probabilities of any shape: 0 for 0 and 1, 1 for 0.5."""
    p = np.asarray(probability, dtype=np.float64)
    inner = np.clip(p, np.finfo(np.float64).tiny, 1.0)
    outer = np.clip(1.0 - p, np.finfo(np.float64).tiny, 1.0)
    return -(p * np.log2(inner) + (1.0 - p) * np.log2(outer))


def outline_entropy(probability: np.ndarray, weight: np.ndarray) -> float:
    """How vague outlines are, in bits a pixel (0..1).

    probability: (n, ...) of n masks, each pixel's belonging. weight: (n,) how much each mask counts.
    Each pixel counts as much as it belongs to the thing, or the sure background would drown every doubt.
    """
    masks = np.asarray(probability, dtype=np.float64).reshape(len(probability), -1)
    share = masks * np.asarray(weight, dtype=np.float64)[:, None]
    total = share.sum()
    return float((share * entropy(masks)).sum() / total) if total > 0 else 0.0


def neighbour_jump(scores: np.ndarray) -> float:
    """How much neighbouring planes disagree, 0..1: the largest change of any score (P, n), averaged over neighbours."""
    if len(scores) < 2 or scores.shape[1] == 0:
        return 0.0
    return float(np.abs(np.diff(scores, axis=0)).max(axis=1).mean())


def unit(vector: np.ndarray) -> np.ndarray:
    """A vector (D,) as float32 of length 1; zeros stay zeros."""
    length = float(np.linalg.norm(vector))
    return np.asarray(vector / length if length > 0 else vector, dtype=np.float32)


def distance_to_nearest(vectors: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Distance (n,) of each vector (n, D) to the nearest centre (m, D), m >= 1.

    The vector that is farthest from all centres is the greedy k-centre's next one.
    """
    return _distances(vectors, centres).min(axis=1)


def coverage(vectors: np.ndarray, nearest: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """How much of the distance of all vectors (n, D) to a centre each of them would save as another centre, (n,), 0..1.

    nearest: distance (n,) of each to the nearest centre so far. weights: (n,) how much each counts, 0 or more.
    The greedy step of weighted k-medoids: unlike that of k-centre it passes over what stands alone.
    """
    total = weights @ nearest
    saved = _distances(vectors, vectors)  # (n, n), written over: a second one would take as long to fill
    np.subtract(nearest[:, None], saved, out=saved)
    np.maximum(saved, 0.0, out=saved)
    return weights @ saved / total if total > 0 else np.zeros(len(vectors))


def _distances(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distances (n, m) of vectors (n, D) and (m, D)."""
    squares = (ones**2).sum(1)[:, None] + (others**2).sum(1)[None] - 2.0 * ones @ others.T
    return np.sqrt(np.maximum(squares, 0.0))


def distance_to_mean(vectors: np.ndarray) -> np.ndarray:
    """Distance (n,) of each vector (n, D) to their mean: the least one is the most typical."""
    return np.linalg.norm(vectors - vectors.mean(axis=0), axis=1)
