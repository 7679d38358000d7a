"""Mini-batch k-means: spherical (cosine) and Euclidean, on sparse or dense rows."""

from __future__ import annotations

from latom.cluster.minibatch_estimator import MiniBatchEstimator


class MiniBatchKMeans(MiniBatchEstimator):
    """k-means by Euclidean distance that learns from batches of rows.

    Each batch is a draw of rows. They are assigned exactly to the centers as these stand; each center then
    becomes the weighted mean of all rows that were ever assigned to it. :class:`latom.KMeans` reaches a lower
    objective; this class is for rows that are too many to pass over often, or that arrive over time, by
    :meth:`partial_fit`.

    Parameters
    ----------
    n_clusters : int, default 8
        Clusters, m.
    init : {"k-means++", "random"}, array or CSR of shape (m, d), or callable, default "k-means++"
        Starting centers, as in :class:`latom.KMeans`, drawn from ``init_size`` rows.
    max_iter : int, default 100
        Most passes: a fit makes at most ``max_iter * n // batch_size`` steps.
    batch_size : int, default 1024
        Rows of a batch, drawn with replacement with probability proportional to their weights.
    verbose : int, default 0
        1 shows a progress bar on a terminal, elsewhere a line per step and a line on why the fit ended.
    compute_labels : bool, default True
        Whether a fit ends with a pass over X for ``labels_`` and the exact ``inertia_``.
    random_state : int, Generator, RandomState or None
        Seed of starts, batches and replacements.
    tol : float, default 0.0
        A fit stops when a step moves the centers together by a squared distance of at most tol times the mean
        variance of the columns. 0 makes no such stop.
    max_no_improvement : int or None, default 10
        A fit stops after so many steps in a row that did not lower the smoothed objective. None makes no such
        stop.
    init_size : int, optional
        Rows that starts are drawn from; None takes 3 * batch_size, or 3 * n_clusters where that is
        too few.
    n_init : int or "auto", default "auto"
        Starts, of which the best on ``init_size`` rows is taken; the fit runs once. "auto" is 3 where starts
        are random rows or from a callable, otherwise 1.
    reassignment_ratio : float, default 0.01
        A center whose rows weigh less than this share of the heaviest center's is replaced by a row of the
        batch, from time to time. 0 replaces none.
    sparse_centers : bool, optional
        Whether CSR rows give ``cluster_centers_`` in CSR; None means False, as in scikit-learn.
    n_threads : int, optional
        None takes ``LATOM_NUM_THREADS``, ``OMP_NUM_THREADS`` or the CPUs of this process.
    device : {None, "cpu"}
        Where to compute; this build has the CPU.
    callback : callable, optional
        Called with a :class:`latom.MiniBatchState` after each step; a true result stops the fit.

    Attributes
    ----------
    cluster_centers_ : array of shape (m, d)
        Centers, of the dtype of X.
    labels_ : int32 array of shape (n,)
        Nearest center of each row, equal to ``predict(X)``; after :meth:`partial_fit` those of the batch.
    inertia_ : float
        Sum over rows of weight times squared distance; without ``compute_labels`` estimated from the batches.
    n_iter_ : int
        Passes begun.
    n_steps_ : int
        Batches processed.
    history_ : structured array of shape (n_steps_,)
        Fields of :class:`latom.MiniBatchState`.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    Constants and rules to stop are those of scikit-learn's class, so that this one can be put in its place;
    the numbers drawn are others. The result is the same bits for every number of threads.
    A step costs at most batch_size * m dot products, and m * d operations.

    References
    ----------
    Sculley, "Web-scale k-means clustering", 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import MiniBatchKMeans
    >>> X = np.array([[1.0, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
    >>> model = MiniBatchKMeans(2, batch_size=3, random_state=0).fit(X)
    >>> bool(model.labels_[0] != model.labels_[3]), len(set(model.labels_))
    (True, 2)
    """

    _metric = "euclidean"
    _sparse_by_default = False


class MiniBatchSphericalKMeans(MiniBatchEstimator):
    """k-means by cosine that learns from batches of rows. Centers have length 1.

    Parameters
    ----------
    n_clusters, init, init_size, n_init, max_iter, batch_size, max_no_improvement, reassignment_ratio
        As in :class:`MiniBatchKMeans`.
    random_state, compute_labels, verbose, n_threads, device, callback
        As in :class:`MiniBatchKMeans`.
    tol : float, default 0.0
        A fit stops when a step moves the centers by at most tol on the mean, in squared distance. 0 makes no
        such stop.
    sparse_centers : bool, optional
        Whether CSR rows give ``cluster_centers_`` in CSR; None means True.

    Attributes
    ----------
    inertia_ : float
        Sum over rows of weight times (1 - cosine); without ``compute_labels`` estimated from the batches.
    cluster_centers_, labels_, n_iter_, n_steps_, history_, n_features_in_, feature_names_in_
        As in :class:`MiniBatchKMeans`; centers are CSR where X is.

    Notes
    -----
    A center stands for the rows that it was given so far with its present direction: it moves to the
    direction of (weight so far) * center + sum of w * x / ||x||. Zero rows add nothing.

    References
    ----------
    Sculley, "Web-scale k-means clustering", 2010.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> from latom import MiniBatchSphericalKMeans
    >>> X = sp.csr_array(np.array([[3.0, 0, 1], [2, 0, 0], [0, 5, 0], [0, 2, 1]]))
    >>> model = MiniBatchSphericalKMeans(2, batch_size=4, random_state=0).fit(X)
    >>> bool(model.labels_[0] == model.labels_[1]), bool(model.labels_[0] != model.labels_[2])
    (True, True)
    """

    _metric = "cosine"
    _sparse_by_default = True
