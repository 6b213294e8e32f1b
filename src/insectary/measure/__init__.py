"""Statistics: rates with intervals, ranking, clustering, equivalence. Imports only core."""

from __future__ import annotations

from insectary.measure.agreement import (
    Agreement,
    agreement,
    label_permutation,
    rank_correlations,
)
from insectary.measure.bootstrap import auroc_clustered, cluster_bootstrap, paired_difference
from insectary.measure.calibration import (
    Logistic,
    brier_losses,
    fit_logistic,
    log_losses,
    within_floor,
)
from insectary.measure.equivalence import (
    Equivalence,
    macro_tost,
    non_inferior,
    tost,
    tost_rates,
)
from insectary.measure.halving import Halving, halving
from insectary.measure.multiplicity import holm
from insectary.measure.pairs import sign_test
from insectary.measure.pooling import Pooled, pooled
from insectary.measure.ranking import (
    auroc,
    average_precision,
    empirical_rank,
    ppv,
    ppv_measurement,
    roc_curve,
    threshold_at_fpr,
    tpr_at_fpr,
)
from insectary.measure.rates import (
    clustered_rate,
    exact_interval,
    rate,
    rule_of_three,
    wilson_interval,
)
from insectary.measure.recovered import difference
from insectary.measure.seeds import jonckheere, page, seed_mean, signed_rank
from insectary.measure.survival import log_rank

__all__ = [
    "Agreement",
    "Equivalence",
    "Halving",
    "Logistic",
    "Pooled",
    "agreement",
    "auroc",
    "auroc_clustered",
    "average_precision",
    "brier_losses",
    "cluster_bootstrap",
    "clustered_rate",
    "difference",
    "empirical_rank",
    "exact_interval",
    "fit_logistic",
    "halving",
    "holm",
    "jonckheere",
    "label_permutation",
    "log_losses",
    "log_rank",
    "macro_tost",
    "non_inferior",
    "page",
    "paired_difference",
    "pooled",
    "ppv",
    "ppv_measurement",
    "rank_correlations",
    "rate",
    "roc_curve",
    "rule_of_three",
    "seed_mean",
    "sign_test",
    "signed_rank",
    "threshold_at_fpr",
    "tost",
    "tost_rates",
    "tpr_at_fpr",
    "wilson_interval",
    "within_floor",
]
