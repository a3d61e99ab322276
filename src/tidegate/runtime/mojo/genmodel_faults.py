"""Models for which H2O's own Java scorer (genmodel) is known to be wrong or to fail.

Tidegate gives the answers of H2O's cluster for them. Measured with H2O 3.46.0.11.
"""

from __future__ import annotations

from tidegate.runtime.mojo.coxph import CoxPh
from tidegate.runtime.mojo.coxph_kernel import LEVEL_AND_NUMBER, LEVELS
from tidegate.runtime.mojo.gam_smoothers import CUBIC, DENSITY, THIN_PLATE
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.info import Keys
from tidegate.runtime.mojo.load import MojoModel
from tidegate.runtime.mojo.nested_encodings import Translator
from tidegate.runtime.mojo.stacked_ensemble import StackedEnsemble
from tidegate.runtime.mojo.text import number_of

_COUNTED = "it counts the offset or weights column among the inputs of an encoding that takes several columns"
_SMOOTHERS = "it misplaces the columns of I-splines and M-splines, or fails where there are others beside them"
_PLATES = "it has no answer for thin plates on standardised inputs"
_LOST = "it takes the columns that the training made of categories for missing values"
_WITHIN = "it hands levels to the models within as they are numbered outside"
_RULES = "it cannot load rules over a level called null, or over a column whose name reads as a number or a truth value"
_STRATA = "it forgets that columns of strata come first, and takes coefficients of other columns for interactions"
_UNNAMED = "it cannot load networks that were trained with enum_limited"

_OFFSET_IGNORED = "it leaves out the offset of a network"
_OFFSET_REFUSED = "it refuses rows of an additive model with an offset"


def fault_of(model: MojoModel) -> str | None:
    """Return what genmodel does wrong with a model, a sentence without its end; None where its answers are right."""
    header = model.header
    if any(field.marks_absence for field in model.fields):
        return _LOST
    if header.algorithm == "gam":
        return _OFFSET_REFUSED if model.offset_column is not None else _of_smoothers(header)
    if header.algorithm == "rulefit" and _has_rules_over_other_than_texts(header.keys):
        return _RULES
    encoding = header.keys.find("_genmodel_encoding")
    if header.algorithm == "deep_learning" and encoding is None and "_n_orig_names" in header.keys:
        return _UNNAMED
    if header.algorithm == "deep_learning" and model.offset_column is not None:
        return _OFFSET_IGNORED
    # The column that says who was treated is none that it miscounts.
    others = len(header.info.columns) - header.n_features - bool(header.supervised) - (header.algorithm == "uplift")
    if encoding in ("OneHotExplicit", "Binary") and others > 0:
        return _COUNTED
    scorer = model.scorer
    if isinstance(scorer, CoxPh) and _has_misplaced_interactions(scorer):
        return _STRATA
    if isinstance(scorer, StackedEnsemble) and any(isinstance(one.picks, Translator) for one in scorer.base_models):
        return _WITHIN
    return None


def _of_smoothers(header: Header) -> str | None:
    kinds = set(header.keys.integers("bs_sorted").tolist())
    if kinds == {DENSITY} and set(header.keys.integers("spline_orders_sorted").tolist()) == {2}:
        return None  # it takes them to be as wide as these are
    if not kinds <= {CUBIC, THIN_PLATE}:
        return _SMOOTHERS
    return _PLATES if THIN_PLATE in kinds and header.keys.flag("standardize", default=False) else None


def _has_misplaced_interactions(model: CoxPh) -> bool:
    """Say whether there are strata, and interactions of levels whose coefficients are found by the column's place."""
    kinds = set(model.interactions.parts[:, 0].tolist())
    return model.strata.size > 0 and (LEVEL_AND_NUMBER in kinds or (LEVELS in kinds and model.first_level == 1))


def _has_rules_over_other_than_texts(keys: Keys) -> bool:
    """Say whether a rule names a level or a column with what genmodel takes for no text."""
    for key, value in keys.items():
        if key.startswith("language_cat_treshold_") and value == "null":
            return True
        if key.startswith("feature_name_") and value != "null" and not _is_text(value):
            return True
    return False


def _is_text(value: str) -> bool:
    is_list = value.startswith("[") and value.endswith("]")
    return not is_list and value not in ("true", "false") and number_of(value) is None
