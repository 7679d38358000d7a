"""k-means estimators: spherical (cosine) and Euclidean, on sparse or dense rows."""

from __future__ import annotations

from latom.cluster.lloyd_estimator import LloydEstimator


class SphericalKMeans(LloydEstimator):
    """k-means by cosine: each row goes to the center with the highest cosine.

    Minimizes the sum over rows of weight times (1 - cosine with its center). Centers have length 1.
    Rows are scaled to length 1 on the fly; X is never copied for it. Labels are those of float64
    arithmetic on X as given, and labels, centers and objective are the same bits for every number
    of threads, every processor and both index widths.

    Parameters
    ----------
    n_clusters : int, default 8
        Clusters, m.
    init : {"k-means++", "random"}, array or CSR of shape (m, d), or callable, default "k-means++"
        Starting centers; "k-means++" draws rows by squared distance, the best of several where that is
        cheap (``n_local_trials="auto"`` of :func:`latom.kmeans_plusplus`). Runs on many dense rows start from
        the best centers of three short runs on a :func:`latom.coreset`, or among the rows of
        :func:`latom.kmeans_parallel`, whichever costs less; those on streams start from the latter. "random"
        takes m random rows; a callable is called as
        ``init(X, n_clusters, random_state=RandomState)``, where X may be the stream.
    n_init : int or "auto", default "auto"
        Runs from different starts; the one with the lowest objective is kept. "auto" is 10 where starts are
        random rows or from a callable, otherwise 1; on streams it is 1.
    max_iter : int, default 300
        Most iterations of a run.
    tol : float, default 1e-4
        A run stops when the mean over centers of the squared distance moved is at most tol.
        0 stops only when no label changes.
    random_state : int, Generator, RandomState or None
        Seed of the starts.
    copy_x : bool, default True
        Taken for the sake of scikit-learn's users; X is never written.
    algorithm : {"lloyd", "elkan"}, default "lloyd"
        Taken for the sake of scikit-learn's users. The answer is exact and the same for both; which bounds
        save work is chosen by the data.
    sparse_centers : bool, optional
        Whether CSR rows give ``cluster_centers_`` in CSR; None means True. Dense rows give dense centers.
        Dense centers of CSR rows beyond 1 GiB are warned of.
    fixed_centers : array or CSR of shape (f, d), optional
        Known centers that stay where they are: the first f of the n_clusters centers. The others are drawn
        beside them, or are what init gives, of shape (m - f, d), and move. Iterations then take longer: no
        bounds are carried from one to the next. If some rows have known labels, pass the means of their
        classes; ``fixed_labels`` of :func:`latom.kmeans_batch` also keeps the rows themselves where they are.
    n_threads : int, optional
        None takes ``LATOM_NUM_THREADS``, ``OMP_NUM_THREADS`` or the CPUs of this process.
    device : {None, "cpu", "cuda", "cuda:0", ...}
        Where ``fit`` and ``predict`` search: None, where X lives; "cuda" sends arrays and CSR of the CPU to
        a GPU, in a build with CUDA. Labels, centers and objective have the same bits there; rows that take
        more than half of what is free are streamed in each pass. Attributes are numpy's. Of CSR the GPU
        finds labels and scores; bounds, sums and centers are the CPU's work. The seeds' draws and
        mini-batches stay on the CPU; rows on a GPU are copied to it for the draws.
    verbose : int, default 0
        1 shows a progress bar on a terminal, a line per iteration elsewhere.
    callback : callable, optional
        Called with an :class:`IterationState` after each iteration; a true result stops the run.

    Attributes
    ----------
    cluster_centers_ : array of shape (m, d), CSR where X is sparse and ``sparse_centers`` is not False
        Centers, of the dtype of X.
    labels_ : int32 array of shape (n,)
        Nearest center of each row; equal to ``predict(X)``.
    inertia_ : float
        Sum over rows of weight times (1 - cosine).
    n_iter_ : int
        Iterations of the best run.
    history_ : structured array of shape (n_iter_,)
        Fields of :class:`IterationState`.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    A zero row has cosine 0 with every center, so label 0, and adds nothing to a center; one warning
    counts such rows. An empty cluster takes the worst-fitting row of a cluster with more than one;
    a cluster whose sum cancels to zero keeps its center.

    An iteration costs at most nnz * m multiply-adds; bounds avoid most of them (``history_["avoided"]``).
    Extra memory is some 40 bytes per row, one byte per entry of the denser part of the centers, and
    20 bytes per column and thread. Dense rows of at most 64 columns stand there once more, as
    float32; of longer ones some 8 or 16 bits per number, where that is at most 512 MB, and a third
    as float32 where the processor multiplies no 8 bits and few directions hold most of them.

    References
    ----------
    Dhillon & Modha, "Concept decompositions for large sparse text data using clustering", 2001.
    Knittel, Koch & Ertl, "Efficient sparse spherical k-means for document clustering", 2021.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> from latom import SphericalKMeans
    >>> X = sp.csr_array(np.array([[3.0, 0, 1], [2, 0, 0], [0, 5, 0], [0, 2, 1]]))
    >>> SphericalKMeans(2, random_state=0).fit(X).labels_.tolist()
    [1, 1, 0, 0]
    """

    _metric = "cosine"
    _sparse_by_default = True


class KMeans(LloydEstimator):
    """k-means by Euclidean distance (Lloyd's algorithm), exact, on sparse or dense rows.

    Minimizes the sum over rows of weight times squared distance to its center. Arguments are those of
    scikit-learn's class, and some more. The promises are those of :class:`SphericalKMeans`.

    Parameters
    ----------
    n_clusters, init, n_init, max_iter, fixed_centers, random_state
        As in :class:`SphericalKMeans`.
    verbose, copy_x, algorithm, n_threads, device, callback
        As in :class:`SphericalKMeans`.
    tol : float, default 1e-4
        A run stops when the centers' summed squared shift is at most tol times the mean variance of
        the columns (scikit-learn's rule). 0 stops only when no label changes.
    sparse_centers : bool, optional
        Whether CSR rows give ``cluster_centers_`` in CSR; None means False, as in scikit-learn.

    Attributes
    ----------
    inertia_ : float
        Sum over rows of weight times squared distance.
    cluster_centers_ : array of shape (m, d)
        Centers, of the dtype of X; CSR where X is sparse and ``sparse_centers=True``.
    labels_, n_iter_, history_, n_features_in_, feature_names_in_
        As in :class:`SphericalKMeans`.

    Notes
    -----
    Scores are ``<x, c> - |c|^2 / 2`` in float64. On data far from the origin (offsets of 1e7 times the
    spread and more, such as time stamps) such differences lose digits: subtract the mean first.

    References
    ----------
    Lloyd, "Least squares quantization in PCM", 1982.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import KMeans
    >>> X = np.array([[1.0, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
    >>> KMeans(2, random_state=0).fit(X).cluster_centers_[:, 1].tolist()
    [2.0, 2.0]
    >>> KMeans(2, fixed_centers=[[0.0, 2]], random_state=0).fit(X).cluster_centers_.tolist()
    [[0.0, 2.0], [10.0, 2.0]]
    """

    _metric = "euclidean"
    _sparse_by_default = False
