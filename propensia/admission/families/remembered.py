"""Names that good models carry in attributes which no answer depends on.

None of them is ever looked up: a name is listed so that a file that holds it is not refused.

They are what searches remember of their trials (scorers, splitters, distributions, masked arrays
of results), the random generators that estimators were given, what a training used and left
behind (losses, optimisers), and what resampled its rows, with the searches for neighbours inside:
native objects of scikit-learn (``newObj``), which stay mere nodes like all others.
"""

from __future__ import annotations

_SCORERS = """_BaseScorer _CurveScorer _PassthroughScorer _PredictScorer _ProbaScorer _Scorer
    _ThresholdScorer _MultimetricScorer _passthrough_scorer negative_likelihood_ratio
    positive_likelihood_ratio"""
_CLASSIFICATION = """accuracy_score balanced_accuracy_score brier_score_loss cohen_kappa_score
    d2_brier_score d2_log_loss_score f1_score fbeta_score hamming_loss jaccard_score log_loss
    matthews_corrcoef precision_score recall_score zero_one_loss"""
_IMBALANCED = """geometric_mean_score macro_averaged_mean_absolute_error sensitivity_score
    sensitivity_specificity_support specificity_score"""
_REGRESSION = """d2_absolute_error_score d2_pinball_score d2_tweedie_score
    explained_variance_score max_error mean_absolute_error mean_absolute_percentage_error
    mean_gamma_deviance mean_pinball_loss mean_poisson_deviance mean_squared_error
    mean_squared_log_error mean_tweedie_deviance median_absolute_error r2_score
    root_mean_squared_error root_mean_squared_log_error"""
_CLUSTERING = """adjusted_mutual_info_score adjusted_rand_score completeness_score
    fowlkes_mallows_score homogeneity_score mutual_info_score normalized_mutual_info_score
    rand_score v_measure_score"""
_RANKING = "average_precision_score roc_auc_score top_k_accuracy_score"
_SPLITTERS = """GroupKFold GroupShuffleSplit KFold LeaveOneGroupOut LeaveOneOut LeavePGroupsOut
    LeavePOut PredefinedSplit RepeatedKFold RepeatedStratifiedKFold ShuffleSplit
    StratifiedGroupKFold StratifiedKFold StratifiedShuffleSplit TimeSeriesSplit
    _CVIterableWrapper"""
_CONTINUOUS = """beta_gen chi2_gen expon_gen exponweib_gen gamma_gen gumbel_r_gen halfnorm_gen
    invgamma_gen laplace_gen logistic_gen lognorm_gen loguniform_gen norm_gen pareto_gen
    powerlaw_gen reciprocal_gen t_gen triang_gen truncexpon_gen truncnorm_gen uniform_gen
    weibull_min_gen"""
_DISCRETE = "binom_gen geom_gen nbinom_gen poisson_gen randint_gen"
_GENERATORS = {
    "numpy.random._pickle": "__bit_generator_ctor __generator_ctor __randomstate_ctor",
    "numpy.random._mt19937": "MT19937",
    "numpy.random._pcg64": "PCG64 PCG64DXSM",
    "numpy.random._philox": "Philox",
    "numpy.random._sfc64": "SFC64",
    "numpy.random.bit_generator": "SeedSequence __pyx_unpickle_SeedSequence",
}

_NUMBER_TYPES = """bool_ float16 float32 float64 int8 int16 int32 int64 object_ str_ uint8 uint16
    uint32 uint64"""
_LOSSES = """CyHalfBinomialLoss CyHalfSquaredError CyHuberLoss"""
_OLD_LOSSES = """EpsilonInsensitive Hinge Huber Log ModifiedHuber SquaredEpsilonInsensitive
    SquaredHinge SquaredLoss"""
_DISTANCES = " ".join(
    f"{name}Distance{bits}"
    for name in ("Chebyshev", "Euclidean", "Hamming", "Manhattan", "Minkowski", "SEuclidean")
    for bits in ("", "32", "64")
)
_TRAINING = {
    # The same module: a class of Cython said its shorter name from 1.6 to 1.7.
    "_loss": _LOSSES,
    "sklearn._loss._loss": _LOSSES,
    "sklearn.linear_model._sgd_fast": _OLD_LOSSES,
    # How a linear discriminant analysis was told to measure spreads.
    "sklearn.covariance._elliptic_envelope": "EllipticEnvelope",
    "sklearn.covariance._empirical_covariance": "EmpiricalCovariance",
    "sklearn.covariance._graph_lasso": "GraphicalLasso GraphicalLassoCV",
    "sklearn.covariance._robust_covariance": "MinCovDet",
    "sklearn.covariance._shrunk_covariance": "LedoitWolf OAS ShrunkCovariance",
    "sklearn.neural_network._stochastic_optimizers": "AdamOptimizer SGDOptimizer",
}
_NEIGHBOURS = {
    "sklearn.metrics._dist_metrics": f"newObj {_DISTANCES}",
    "sklearn.neighbors._ball_tree": "BallTree BallTree32 BallTree64 newObj",
    "sklearn.neighbors._kd_tree": "KDTree KDTree32 KDTree64 newObj",
    "sklearn.neighbors._classification": "KNeighborsClassifier",
    "sklearn.neighbors._unsupervised": "NearestNeighbors",
    "sklearn.cluster._kmeans": "KMeans MiniBatchKMeans",
    "sklearn.svm._classes": "SVC",
}
# What resamples the training rows of an imbalanced-learn pipeline: nothing when it predicts.
_SELECTION = "imblearn.under_sampling._prototype_selection"
_RESAMPLING = {
    "imblearn.base": "FunctionSampler",
    "imblearn.combine._smote_enn": "SMOTEENN",
    "imblearn.combine._smote_tomek": "SMOTETomek",
    "imblearn.over_sampling._adasyn": "ADASYN",
    "imblearn.over_sampling._random_over_sampler": "RandomOverSampler",
    "imblearn.over_sampling._smote.base": "SMOTE SMOTEN SMOTENC",
    "imblearn.over_sampling._smote.cluster": "KMeansSMOTE",
    "imblearn.over_sampling._smote.filter": "BorderlineSMOTE SVMSMOTE",
    "imblearn.under_sampling._prototype_generation._cluster_centroids": "ClusterCentroids",
    f"{_SELECTION}._condensed_nearest_neighbour": "CondensedNearestNeighbour",
    f"{_SELECTION}._edited_nearest_neighbours": "AllKNN EditedNearestNeighbours "
    "RepeatedEditedNearestNeighbours",
    f"{_SELECTION}._instance_hardness_threshold": "InstanceHardnessThreshold",
    f"{_SELECTION}._nearmiss": "NearMiss",
    f"{_SELECTION}._neighbourhood_cleaning_rule": "NeighbourhoodCleaningRule",
    f"{_SELECTION}._one_sided_selection": "OneSidedSelection",
    f"{_SELECTION}._random_under_sampler": "RandomUnderSampler",
    f"{_SELECTION}._tomek_links": "TomekLinks",
}

_BY_MODULE: dict[str, str] = {
    **_GENERATORS,
    **_TRAINING,
    **_NEIGHBOURS,
    **_RESAMPLING,
    "functools": "partial",
    "numpy": f"ndarray vectorize {_NUMBER_TYPES}",
    "numpy.ma": "MaskedArray",
    "numpy.ma.core": "MaskedArray _mareconstruct",
    "sklearn.metrics._scorer": _SCORERS,
    "sklearn.metrics.scorer": _SCORERS,
    "sklearn.metrics._classification": _CLASSIFICATION,
    "sklearn.metrics.classification": _CLASSIFICATION,
    "imblearn.metrics._classification": _IMBALANCED,
    "sklearn.metrics._regression": _REGRESSION,
    "sklearn.metrics.cluster._supervised": _CLUSTERING,
    "sklearn.metrics._ranking": _RANKING,
    "sklearn.metrics.ranking": _RANKING,
    "sklearn.model_selection._classification_threshold": "_CurveScorer",
    "sklearn.model_selection._split": _SPLITTERS,
    "sklearn.utils": "Bunch",
    "sklearn.utils._bunch": "Bunch",
    "sklearn.utils._metadata_requests": "MetadataRequest MethodMetadataRequest",
    "scipy.stats._continuous_distns": _CONTINUOUS,
    "scipy.stats._discrete_distns": _DISCRETE,
    "scipy.stats._distn_infrastructure": "rv_continuous_frozen rv_discrete_frozen rv_frozen",
}

# Scorers may call a function of the analyst's own.
TRAINING_ONLY: dict[tuple[str, str], tuple[str, ...]] = {
    (module, name): ("_score_func",)
    for module in ("sklearn.metrics._scorer", "sklearn.model_selection._classification_threshold")
    for name in _SCORERS.split()
    if name.endswith("Scorer")
}
NAMES = frozenset(
    {(module, name) for module, names in _BY_MODULE.items() for name in names.split()}
    # A discrete distribution holds one of its own methods, as getattr(distribution, "_entropy").
    | {("scipy.stats._discrete_distns", f"{name}._entropy") for name in _DISCRETE.split()}
)
SAMPLERS = frozenset(
    (module, name) for module, names in _RESAMPLING.items() for name in names.split()
)
