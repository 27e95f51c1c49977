"""What is measured: how a measure is written, and whether higher or lower values are better.

`METRICS` are computed for every run. `FURTHER` are computed on request, some of them only where the
extra `metrics` is installed; a bundle holds those that somebody has asked for.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A quality measure: how it is written, its unit and the decimals that carry meaning."""

    label: str
    unit: str
    decimals: int
    higher_is_better: bool = True

    @property
    def axis_label(self) -> str:
        """Label with unit, for the axis of a figure."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def unit_label(self) -> str:
        """What stands behind a value in a sentence: `PESQ-WB`, `dB SI-SDR`."""
        return f"dB {self.label}" if self.unit == "dB" else self.label

    @property
    def sign(self) -> int:
        """1 where higher values are better, else -1."""
        return 1 if self.higher_is_better else -1


METRICS = {
    "pesq_wb": Metric("PESQ-WB", "MOS-LQO", 3),
    "stoi": Metric("STOI", "", 3),
    "estoi": Metric("ESTOI", "", 3),
    "si_sdr_db": Metric("SI-SDR", "dB", 2),
}
FURTHER = {
    "csig": Metric("CSIG", "MOS", 2),
    "cbak": Metric("CBAK", "MOS", 2),
    "covl": Metric("COVL", "MOS", 2),
    "lsd": Metric("LSD", "ln of power", 2, higher_is_better=False),
    "fwsegsnr_db": Metric("fwSegSNR", "dB", 2),
    "srmr": Metric("SRMR", "", 2),
    "dnsmos_sig": Metric("DNSMOS SIG", "MOS", 2),
    "dnsmos_bak": Metric("DNSMOS BAK", "MOS", 2),
    "dnsmos_ovrl": Metric("DNSMOS OVRL", "MOS", 2),
    "visqol": Metric("ViSQOL", "MOS-LQO", 2),
}
