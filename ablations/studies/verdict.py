"""When a difference between two cells counts: declared in a study's file, before it is run."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

MetricName = Literal["pesq_wb", "stoi", "estoi", "si_sdr_db"]
FIRST_LOOK = 3  # seeds; with fewer no verdict is given


def _increasing(looks: tuple[int, ...]) -> tuple[int, ...]:
    if looks and (looks[0] != FIRST_LOOK or list(looks) != sorted(set(looks))):
        raise ValueError(f"looks are increasing numbers of seeds, the first is {FIRST_LOOK}")
    return looks


Looks = Annotated[tuple[PositiveInt, ...], AfterValidator(_increasing)]


class Verdict(BaseModel):
    """The `[verdict]` section of a study; changes no number, only what is said of them.

    Attributes:
        primary: The metric whose verdicts answer the study's question.
        margins: Two cells are equivalent when their difference is surely smaller than this, in
            the metric's unit; a metric without a margin gets no such verdict.
        reason: Why these margins; printed in the captions.
        family: What Holm corrects over, for each metric: the rows of one "group" of a table, or of
            the whole "table".
        alpha: Level of each family, over all looks.
        looks: Numbers of seeds at which a study that runs until it is decided is looked at; empty
            for a study whose number of seeds is fixed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    primary: MetricName = "pesq_wb"
    margins: dict[MetricName, PositiveFloat] = {
        "pesq_wb": 0.02, "stoi": 0.01, "estoi": 0.015, "si_sdr_db": 0.5,
    }  # fmt: skip
    reason: str = Field(
        default=(
            "PESQ-WB: four times the spread that rounding alone gives one run (SD 0.005) and a "
            "quarter of what the dense network gained in the first core study (0.083). STOI: at "
            "most 4.4 points of words understood (slope of the logistic mapping of Taal et al. "
            "2011); ESTOI in proportion. SI-SDR: a sixth of the smallest SNR difference that "
            "listeners notice (3 dB, McShefferty et al. 2015)."
        ),
        min_length=1,
    )
    family: Literal["group", "table"] = "group"
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    looks: Looks = ()

    def described(self) -> dict[str, Any]:
        """Return the section as bundles store it; a study without looks does not speak of them."""
        return self.model_dump(mode="json", exclude=None if self.looks else {"looks"})
