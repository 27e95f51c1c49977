"""What a run is: frozen, validated settings whose hash is the run's identity.

Only what can change numbers stands here. Paths, worker counts and devices belong to the runner.
Fields named in the source description keep their names; `docs/model.md` describes the network.
"""

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

Position = Literal["early_encoder", "mid_encoder", "bottleneck", "mid_decoder", "late_decoder"]
POSITIONS: tuple[Position, ...] = (
    "early_encoder",
    "mid_encoder",
    "bottleneck",
    "mid_decoder",
    "late_decoder",
)
SAMPLE_RATE = 16_000
RT60_BANDS_S = ((0.0, 0.4), (0.4, 0.8), (0.8, float("inf")))  # from and below
LARGEST_SEED = 2**32 - 1  # what every generator in use takes
MOST_STEPS = 10_000_000
REVISION = 3  # part of every identity; raised when the code computes other numbers than before


class Settings(BaseModel):
    """Base of all settings: immutable, and a misspelt field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false where a number is wanted, which Python takes for 1 and 0."""
        fields, name = cls.model_fields, info.field_name
        each = value if isinstance(value, list | tuple) else [value]
        if name in fields and fields[name].annotation is not bool:
            for one in each:
                if isinstance(one, bool):
                    raise ValueError(f"{str(one).lower()} is no number; give a number")
        return value


class ModelConfig(Settings):
    """The network: complex U-Net, placement of the experts, routing.

    `smoe_layer_positions` empty gives the dense network; the routing fields then mean nothing.
    `level_channels` replaces the doubling rule and exists for cost-matched dense controls.
    `empty_class` gives the router one class more, undistorted speech, for which no expert works;
    the source has no such class.
    """

    init_channels: int = Field(default=45, ge=1, le=1024)
    n_layers: int = Field(default=5, ge=3, le=8)
    level_channels: tuple[Annotated[int, Field(ge=1, le=2**16)], ...] | None = None
    smoe_layer_positions: tuple[Position, ...] = POSITIONS
    n_experts: int = Field(default=2, ge=1, le=6)
    enable_multi_expert: bool = True
    expert_hidden_multiplier: float = Field(default=1.0, gt=0, le=64)
    routing: Literal["supervised", "implicit", "uniform"] = "supervised"
    router_scope: Literal["global", "per_layer"] = "global"
    both_mapping: Literal["paper", "normalized"] = "paper"
    empty_class: bool = False
    mask_bound: Literal["none", "tanh"] = "none"
    n_fft: int = Field(default=512, ge=32, le=8192)
    win_length: int = Field(default=512, ge=16, le=8192)
    hop_length: int = Field(default=256, ge=8, le=4096)

    @model_validator(mode="after")
    def _consistent(self) -> "ModelConfig":
        if len(set(self.smoe_layer_positions)) != len(self.smoe_layer_positions):
            raise ValueError("smoe_layer_positions names a position twice")
        if self.level_channels is not None and len(self.level_channels) != self.n_layers:
            raise ValueError(f"level_channels needs {self.n_layers} entries, one per encoder level")
        if self.win_length > self.n_fft:
            raise ValueError(
                f"win_length is {self.win_length}, longer than n_fft ({self.n_fft}); "
                "make it at most n_fft"
            )
        if self.hop_length > self.win_length // 2:
            raise ValueError(
                f"hop_length is {self.hop_length}, so windows of {self.win_length} leave gaps; "
                "make it at most half of win_length"
            )
        if self.n_fft // 2 + 1 < self.least_map:
            raise ValueError(
                f"n_fft is {self.n_fft}, too few frequencies for {self.n_layers} layers; make it "
                f"at least {2 * (self.least_map - 1)} or n_layers smaller"
            )
        return self

    @property
    def least_map(self) -> int:
        """Frequencies, and frames, of the smallest spectrogram that every level can halve."""
        return 2**self.n_layers

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each encoder level: doubling up to a factor of 8, then constant."""
        if self.level_channels is not None:
            return self.level_channels
        return tuple(self.init_channels * 2 ** min(level, 3) for level in range(self.n_layers))

    def canonical(self) -> "ModelConfig":
        """The same network with every field that has no effect on it at its default.

        Two configurations that describe one network become equal, so that it is trained once.
        """
        fields = self.model_dump()
        fields["smoe_layer_positions"] = tuple(
            p for p in POSITIONS if p in self.smoe_layer_positions
        )
        without_effect: list[str] = []
        if not self.smoe_layer_positions:
            without_effect = [
                "n_experts", "enable_multi_expert", "expert_hidden_multiplier",
                "routing", "router_scope", "both_mapping", "empty_class",
            ]  # fmt: skip
        elif self.routing == "uniform":
            without_effect = [
                "router_scope", "both_mapping", "empty_class", "enable_multi_expert",
            ]  # fmt: skip
        for name in without_effect:
            fields[name] = type(self).model_fields[name].default
        return ModelConfig(**fields)


class LossConfig(Settings):
    """Training objective; weights are relative to the first term."""

    kind: Literal["wsdr_stft", "wsdr", "si_sdr"] = "wsdr_stft"
    stft_weight: float = Field(default=3.0, ge=0, le=1e6)
    routing_loss_weight: float = Field(default=0.1, ge=0, le=1e6)


class MixConfig(Settings):
    """How training mixtures are drawn: crop length, SNR and level ranges.

    `clean_share` of the mixtures are undistorted; the labels of the others are uniform.
    """

    crop_s: float = Field(default=3.0, ge=0.5, le=60)
    snr_db_min: float = Field(default=-5.0, ge=-100, le=100)
    snr_db_max: float = Field(default=15.0, ge=-100, le=100)
    level_dbfs_min: float = Field(default=-35.0, ge=-120, le=0)
    level_dbfs_max: float = Field(default=-15.0, ge=-120, le=0)
    clean_share: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _ranges(self) -> "MixConfig":
        if self.snr_db_min > self.snr_db_max or self.level_dbfs_min > self.level_dbfs_max:
            raise ValueError("a range has its minimum above its maximum; exchange them")
        return self


class TrainConfig(Settings):
    """Optimisation: a fixed number of steps, the last weights are evaluated (no selection)."""

    steps: int = Field(default=2000, ge=1, le=MOST_STEPS)
    batch_size: int = Field(default=16, ge=1, le=4096)
    learning_rate: float = Field(default=1e-3, gt=0)
    warmup_steps: int = Field(default=50, ge=0, le=MOST_STEPS)
    final_lr_fraction: float = Field(default=0.05, ge=0, le=1)
    weight_decay: float = Field(default=0.0, ge=0, le=1e6)
    grad_clip_norm: float = Field(default=5.0, gt=0, le=1e9)
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    shuffle_labels: bool = False


class TestSetConfig(Settings):
    """The fixed test set and what is measured on it.

    `per_snr` utterances at each SNR for the conditions noise and both, `per_snr` times the number
    of SNRs for reverb, `clean` undistorted ones. `counterfactual_per_condition` of each distorted
    condition, spread evenly over SNRs and bands of RT60, are also scored under every counterfactual
    routing; all of them are under the learned probabilities with the other mapping.
    """

    seed: int = Field(default=0, ge=0, le=LARGEST_SEED)
    crop_s: float = Field(default=3.0, ge=1.0, le=20.0)  # PESQ takes no more
    snrs_db: tuple[Annotated[float, Field(ge=-100, le=100)], ...] = Field(
        default=(-5.0, 0.0, 5.0, 10.0, 15.0), min_length=1, max_length=100
    )
    per_snr: int = Field(default=20, ge=1, le=10_000)
    clean: int = Field(default=20, ge=0, le=100_000)
    counterfactual_per_condition: int = Field(default=100, ge=0, le=100_000)

    @model_validator(mode="after")
    def _distinct(self) -> "TestSetConfig":
        if len(set(self.snrs_db)) != len(self.snrs_db):
            raise ValueError("snrs_db names an SNR twice; remove one of them")
        return self


class RunConfig(Settings):
    """Everything that determines a run's numbers, except its seed.

    `model` is None for the unprocessed input, which is scored as a run of its own.
    """

    model: ModelConfig | None = ModelConfig()
    loss: LossConfig = LossConfig()
    mix: MixConfig = MixConfig()
    train: TrainConfig = TrainConfig()
    test: TestSetConfig = TestSetConfig()
    data_hash: str

    @model_validator(mode="after")
    def _long_enough(self) -> "RunConfig":
        if self.model is None:
            return self
        for name, crop_s in (("mix.crop_s", self.mix.crop_s), ("test.crop_s", self.test.crop_s)):
            frames = 1 + int(crop_s * SAMPLE_RATE) // self.model.hop_length
            if frames < self.model.least_map:
                raise ValueError(
                    f"{name} is {crop_s:g}, which is {frames} frames, and {self.model.n_layers} "
                    f"layers take {self.model.least_map}; make it longer, or n_layers or "
                    "hop_length smaller"
                )
        return self

    def identity(self) -> str:
        """Hex sha256 of the canonical, fully resolved configuration."""
        fields = {"revision": REVISION, **self.model_dump(mode="json")}
        if self.model is None:
            kept = ("revision", "model", "test", "data_hash")
            fields = {name: fields[name] for name in kept}
        else:
            model = self.model.canonical()
            fields["model"] = model.model_dump(mode="json")
            if model.routing != "supervised" or not model.smoe_layer_positions:
                fields["train"]["shuffle_labels"] = False
                fields["loss"]["routing_loss_weight"] = 0.0
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
