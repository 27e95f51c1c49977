"""The columns of a bundle's tables: what each holds, and between which bounds."""

from dataclasses import dataclass
from typing import Literal

from smoe.schema.measures import FURTHER

POSITIONS = ("early_encoder", "mid_encoder", "bottleneck", "mid_decoder", "late_decoder")
LETTERS = "EMBDL"
CONDITIONS = ("noise", "reverb", "both", "clean")
AXES = {
    "expert_mode": ("multi", "single"),
    "routing": ("supervised", "implicit", "uniform"),
    "router_scope": ("global", "per_layer"),
}
COUNTERFACTUALS = (
    "learned", "learned-paper", "learned-normalized", "oracle", "oracle-paper",
    "uniform", "random", "swapped",
)  # fmt: skip
_MOST_EXPERTS = 6
_LAST_CLASS = 2**_MOST_EXPERTS - 1  # every subset of the distortion kinds, the empty one included


@dataclass(frozen=True)
class Column:
    """What a column holds.

    Attributes:
        kind: Text, a number, a whole number, or yes and no.
        low: Least number that can be.
        high: Largest number that can be.
        empty: Whether values may be missing.
        required: Whether every bundle has the column; others are from a later version.
        words: The texts that can be; empty if any can.
    """

    kind: Literal["text", "number", "whole", "flag"] = "number"
    low: float = -1e12
    high: float = 1e12
    empty: bool = False
    required: bool = True
    words: tuple[str, ...] = ()


_TEXT = Column("text")
_MAYBE_TEXT = Column("text", empty=True)
_LATER_TEXT = Column("text", empty=True, required=False)
_COST = Column(low=1, high=1e18, empty=True)
_LOSS = Column(low=-1e3, high=1e6)
_LATER_LOSS = Column(low=-1e3, high=1e6, empty=True, required=False)
_SHARE = Column(low=0, high=1)
_MAYBE_SHARE = Column(low=0, high=1, empty=True)
# PESQ-WB: the asymptotes of the mapping of ITU-T P.862.2. STOI, ESTOI: means of correlations.
# SI-SDR: a ratio above 140 dB counts as infinite and is not stored.
_SCORES = {
    "pesq_wb": Column(low=0.999, high=4.999, empty=True),
    "stoi": Column(low=-1, high=1, empty=True),
    "estoi": Column(low=-1, high=1, empty=True),
    "si_sdr_db": Column(low=-300, high=140, empty=True),
}
METRICS = tuple(_SCORES)
_MOS = Column(low=0, high=6, empty=True, required=False)
_RATIO = Column(low=-300, high=300, empty=True, required=False)
_FURTHER_SCORES = {
    **dict.fromkeys(FURTHER, _MOS), "lsd": _RATIO, "fwsegsnr_db": _RATIO,
    "srmr": Column(low=0, high=1e6, empty=True, required=False),
}  # fmt: skip
_AXES = {name: Column("text", empty=True, words=each) for name, each in AXES.items()}

TABLES: dict[str, dict[str, Column]] = {
    "runs.parquet": {
        "run_id": _TEXT, "cell": _TEXT, "placement": _MAYBE_TEXT,
        **dict.fromkeys(POSITIONS, Column("flag")), **_AXES,
        "seed": Column("whole", low=0, high=2**63 - 1), "status": _TEXT,
        "params": _COST, "macs": _COST, "train_steps": Column("whole", low=1, empty=True),
        "train_s": Column(low=0, high=1e9, empty=True),
        "batch_parts": Column("whole", low=1, high=2, empty=True, required=False),
        "inference_rtf": Column(low=0, high=1e6, empty=True), "device": _TEXT,
        "config_hash": _TEXT, "data_hash": _TEXT, "git_commit": _TEXT,
        "system_version": _LATER_TEXT,  # what `score --version` said of an outside system
    },
    "utterances.parquet": {
        "run_id": _TEXT, "utterance": _TEXT, "condition": _TEXT,
        "snr_db": Column(low=-200, high=200, empty=True),
        "rt60_s": Column(low=0, high=100, empty=True), "speaker": _LATER_TEXT,
        "noise": _LATER_TEXT, "noise_type": _LATER_TEXT, "room": _LATER_TEXT,
        "counterfactual": _TEXT, **_SCORES, **_FURTHER_SCORES, "error": _MAYBE_TEXT,
        "estimate_sha256": _LATER_TEXT,  # of the file, where an outside system made it
    },
    "routing.parquet": {
        "run_id": _TEXT, "utterance": _TEXT, "layer": Column("text", words=("global", *POSITIONS)),
        "expert": Column("text", required=False), "weight": Column(low=0, high=1, required=False),
        "weight_noise": Column(low=0, high=1, required=False),
        "weight_reverb": Column(low=0, high=1, required=False), "confidence": _SHARE,
        "predicted_class": Column("whole", low=0, high=_LAST_CLASS),
        "true_class": Column("whole", low=0, high=_LAST_CLASS, empty=True),
    },
    "history.parquet": {
        "run_id": _TEXT, "step": Column("whole", low=1), "loss": _LOSS,
        "enhancement_loss": _LOSS, "routing_loss": Column(low=0, empty=True),
        "routing_accuracy": _MAYBE_SHARE, "grad_norm": Column(low=0, empty=True),
        "learning_rate": Column(low=0, high=1e6, empty=True),
        "loss_labelled": _LATER_LOSS, "loss_routed": _LATER_LOSS,
    },
}  # fmt: skip
# A weight per row, or one column for each expert of the first bundles.
ROUTING_FORMS = (("expert", "weight"), ("weight_noise", "weight_reverb"))
# Texts that stand in many rows.
REPEATED = (
    "run_id", "utterance", "condition", "counterfactual", "layer", "error", "expert", "speaker",
    "noise", "noise_type", "room",
)  # fmt: skip
ROUNDING = 1e-5  # of numbers that were stored as float32
