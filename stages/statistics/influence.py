"""What leaving out rows and clusters changes, summed over batches of clusters: see leave_out for the letters."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from stages.statistics.arrays import Floats, Ints
from stages.statistics.leave_out import SINGULAR, ClusterBatch

MOST_INFLUENTIAL = 1000  # clusters of which `Influence` tells


@dataclass(frozen=True)
class Influence:
    """The M clusters that move the estimates most, at most MOST_INFLUENTIAL, in the order of `distance`."""

    cluster: Ints  # (M,) labels
    rows: Ints  # (M,)
    leverage: Floats  # (M,) tr H_g
    distance: Floats  # (M,) Cook's: w_g'w_g over K s²
    moved: Floats  # (M, K) beta - beta_(-g)

    def merged(self, other: Influence) -> Influence:
        """The most influential of both."""
        order = np.argsort(-np.concatenate([self.distance, other.distance]), kind="stable")[
            :MOST_INFLUENTIAL
        ]
        return Influence(
            *(
                np.concatenate([getattr(self, name), getattr(other, name)])[order]
                for name in vars(self)
            )
        )


@dataclass(frozen=True)
class LeaveOut:
    """What changes where one row, or one cluster, is left out; clusters are named by their labels."""

    predicted_r2: float  # leave-one-out predicted R²: 1 - PRESS / total (Allen 1974)
    press: float
    out_of_cluster_r2: float  # the same, each row predicted by the fit without its cluster
    leverage_one: (
        int  # rows of leverage 1, which alone identify a coefficient: no other row predicts them
    )
    cook: float  # greatest Cook's distance of a row, and the row's cluster
    cook_cluster: int
    singular: int  # clusters without which X has no full rank
    lowest: Floats  # (K,) least estimate over the fits without one cluster, and the cluster
    lowest_cluster: Ints
    highest: Floats
    highest_cluster: Ints
    sizes: tuple[int, float, int]  # rows per cluster: least, mean, greatest
    leverage_max: float  # of a cluster, tr H_g; their mean is K / G
    leverage_cluster: int
    leverage_cv: float  # their standard deviation over their mean
    partial_max: Floats  # (K,) greatest partial leverage of a cluster; their mean is 1 / G
    partial_cluster: Ints
    effective_clusters: (
        Floats  # (K,) G* at correlation 0 within clusters (Carter, Schnepel & Steigerwald 2017)
    )
    effective_clusters_equal: (
        Floats  # (K,) G* at correlation 1; NaN where the regressor's weights cancel in clusters
    )
    influence: Influence


class Greatest:
    """The greatest of each of K numbers over the clusters, and the label of its cluster."""

    def __init__(self, K: int) -> None:
        self.value = np.full(K, -np.inf)
        self.cluster = np.zeros(K, np.int64)

    def add(self, label: Ints, values: Floats) -> None:
        """label (g,) and values (g, K)."""
        most = values.argmax(axis=0)
        greatest = values[most, np.arange(len(most))]
        self.cluster = np.where(greatest > self.value, label[most], self.cluster)
        self.value = np.maximum(greatest, self.value)


class Jackknife:
    """The sum over the clusters of w_g w_g', and how many clusters are singular."""

    def __init__(self, root: Floats) -> None:
        K = len(root)
        self.root = root
        self.ww = np.zeros((K, K))
        self.singular = 0

    def add(self, w: Floats, singular: Ints) -> None:
        """w (g, K)."""
        self.ww += w.T @ w
        self.singular += len(singular)

    def covariance(self, G: int) -> Floats:
        """CV3 = (G-1)/G sum of (beta_(-g) - beta)(beta_(-g) - beta)', (K, K)."""
        return np.asarray((G - 1) / G * self.root @ self.ww @ self.root.T)


class RowsLeftOut:
    """PRESS and Cook's distances, of rows left out one by one: e / (1 - h) is a row's error without it."""

    def __init__(self) -> None:
        self.press = 0.0
        self.leverage_one = 0
        self.cook = Greatest(1)  # e² h / (1 - h)², Cook's distance times K s²

    def add(self, batch: ClusterBatch) -> None:
        h = batch.row_leverage
        predictable = 1 - h > SINGULAR
        error = np.divide(batch.e, 1 - h, out=np.zeros_like(h), where=predictable)
        self.press += float(np.square(error).sum())
        self.leverage_one += int((~predictable).sum())
        self.cook.add(batch.label, (np.square(error) * h).max(axis=1, keepdims=True))


class ClustersLeftOut:
    """What leaving out each cluster changes. A row of X (X'X)^-1 is the weight of a row in each coefficient."""

    def __init__(self, root: Floats) -> None:
        K = len(root)
        self.root = root
        self.weight_squares = np.square(root).sum(
            axis=1
        )  # (K,) over all rows: the diagonal of (X'X)^-1
        self.error_squares = 0.0  # of rows predicted without their cluster
        self.smallest = 0
        self.largest = 0
        self.leverage = Greatest(1)
        self.leverage_squares = 0.0
        self.partial = Greatest(K)  # partial leverage: a cluster's share in weight_squares
        self.partial_squares = np.zeros(K)
        self.joint = np.zeros(K)  # of squares of the clusters' sums of weights
        self.joint_squares = np.zeros(K)
        self.fall = Greatest(K)  # beta - beta_(-g)
        self.rise = Greatest(K)  # beta_(-g) - beta
        self.influence = Influence(
            np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty((0, K))
        )

    def add(self, batch: ClusterBatch, w: Floats) -> None:
        """w (g, K)."""
        g, m, _ = batch.Z.shape
        moved = w @ self.root.T
        self.fall.add(batch.label, moved)
        self.rise.add(batch.label, -moved)
        self.error_squares += float(np.square(batch.e + (batch.Z @ w[:, :, None])[:, :, 0]).sum())
        self.smallest = min(self.smallest or m, m)
        self.largest = max(self.largest, m)
        self.leverage.add(batch.label, batch.leverage[:, None])
        self.leverage_squares += float(batch.leverage @ batch.leverage)
        self._add_weights(batch)
        self.influence = self.influence.merged(
            Influence(batch.label, np.full(g, m), batch.leverage, np.square(w).sum(axis=1), moved)
        )

    def _add_weights(self, batch: ClusterBatch) -> None:
        rows = batch.Z.reshape(-1, len(self.root)) @ self.root.T  # of X (X'X)^-1
        weights = rows.reshape(batch.Z.shape)
        partial = np.einsum("gmk,gmk->gk", weights, weights) / self.weight_squares
        joint = np.square(weights.sum(axis=1))
        self.partial.add(batch.label, partial)
        self.partial_squares += np.square(partial).sum(axis=0)
        self.joint += joint.sum(axis=0)
        self.joint_squares += np.square(joint).sum(axis=0)

    def leverage_cv(self, G: int) -> float:
        mean = len(self.root) / G
        return float(np.sqrt(max(0.0, self.leverage_squares / G - mean**2)) / mean)

    def effective_clusters_equal(self, G: int) -> Floats:
        """NaN where weights cancel within every cluster: what is left is rounding."""
        measured = self.joint > 1e-9 * G * self.weight_squares
        unknown = np.full(len(self.joint), np.nan)
        return np.asarray(
            np.divide(np.square(self.joint), self.joint_squares, out=unknown, where=measured)
        )


class LeaveOutSums:
    """All that leaving out rows and clusters changes; `add` takes batches in any order."""

    def __init__(self, root: Floats) -> None:
        self.rows = RowsLeftOut()
        self.clusters = ClustersLeftOut(root)

    def add(self, batch: ClusterBatch, w: Floats) -> None:
        self.rows.add(batch)
        self.clusters.add(batch, w)

    def result(
        self, beta: Floats, jackknife: Jackknife, *, total: float, N: int, G: int, variance: float
    ) -> LeaveOut:
        """total is the sum of squares of y about its mean; variance is s², 0 of a fit without residuals."""
        rows = self.rows
        clusters = self.clusters
        scale = len(beta) * variance if variance > 0 else 1.0
        return LeaveOut(
            predicted_r2=1 - rows.press / total,
            press=rows.press,
            out_of_cluster_r2=1 - clusters.error_squares / total,
            leverage_one=rows.leverage_one,
            cook=float(rows.cook.value[0]) / scale,
            cook_cluster=int(rows.cook.cluster[0]),
            singular=jackknife.singular,
            lowest=beta - clusters.fall.value,
            lowest_cluster=clusters.fall.cluster,
            highest=beta + clusters.rise.value,
            highest_cluster=clusters.rise.cluster,
            sizes=(clusters.smallest, N / G, clusters.largest),
            leverage_max=float(clusters.leverage.value[0]),
            leverage_cluster=int(clusters.leverage.cluster[0]),
            leverage_cv=clusters.leverage_cv(G),
            partial_max=clusters.partial.value,
            partial_cluster=clusters.partial.cluster,
            effective_clusters=1 / clusters.partial_squares,
            effective_clusters_equal=clusters.effective_clusters_equal(G),
            influence=replace(clusters.influence, distance=clusters.influence.distance / scale),
        )
