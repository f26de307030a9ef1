"""Names that good models carry in attributes which no answer depends on.

None of them is ever looked up: a name is listed so that a file that holds it is not refused.

They are what searches remember of their trials (scorers, splitters, distributions, masked arrays
of results) and the random generators that estimators were given.
"""

from __future__ import annotations

_SCORERS = """_BaseScorer _PassthroughScorer _PredictScorer _ProbaScorer _Scorer _ThresholdScorer
    _MultimetricScorer _passthrough_scorer negative_likelihood_ratio positive_likelihood_ratio"""
_CLASSIFICATION = """accuracy_score balanced_accuracy_score brier_score_loss cohen_kappa_score
    d2_brier_score d2_log_loss_score f1_score fbeta_score hamming_loss jaccard_score log_loss
    matthews_corrcoef precision_score recall_score zero_one_loss"""
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

_BY_MODULE: dict[str, str] = {
    **_GENERATORS,
    "numpy": "ndarray vectorize",
    "numpy.ma": "MaskedArray",
    "numpy.ma.core": "MaskedArray _mareconstruct",
    "sklearn.metrics._scorer": _SCORERS,
    "sklearn.metrics.scorer": _SCORERS,
    "sklearn.metrics._classification": _CLASSIFICATION,
    "sklearn.metrics.classification": _CLASSIFICATION,
    "sklearn.metrics._ranking": _RANKING,
    "sklearn.metrics.ranking": _RANKING,
    "sklearn.model_selection._split": _SPLITTERS,
    "sklearn.utils._metadata_requests": "MetadataRequest MethodMetadataRequest",
    "scipy.stats._continuous_distns": _CONTINUOUS,
    "scipy.stats._discrete_distns": _DISCRETE,
    "scipy.stats._distn_infrastructure": "rv_continuous_frozen rv_discrete_frozen rv_frozen",
}

NAMES = frozenset(
    {(module, name) for module, names in _BY_MODULE.items() for name in names.split()}
    # A discrete distribution holds one of its own methods, as getattr(distribution, "_entropy").
    | {("scipy.stats._discrete_distns", f"{name}._entropy") for name in _DISCRETE.split()}
)
