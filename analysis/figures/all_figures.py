"""The figures of a report, in order."""

from collections.abc import Callable
from pathlib import Path

from analysis.bundle.contents import Bundle
from analysis.figures import heatmap, levels, quality, routing, systems, training
from analysis.figures.plots import Figure
from analysis.figures.style import NothingToDrawError, house_style, save


def all_figures() -> dict[str, tuple[str, Callable[[Bundle], Figure]]]:
    """Return file name to title and drawing function, in the order of the report."""
    return {
        "placement_heatmap": ("Gain by placement", heatmap.placement_heatmap),
        "effects_shapley": ("Effects and Shapley values", quality.effects),
        "quality_macs": ("Quality against cost", quality.quality_against_macs),
        "paired_differences": ("Differences by utterance", quality.paired_differences),
        "expert_usage": ("Expert usage by condition", routing.expert_usage),
        "weights_dose": ("Weights against SNR and RT60", routing.weights_dose),
        "router_confusion": ("Router confusion", routing.router_confusion),
        "learning_curves": ("Learning curves", training.learning_curves),
        "spectrograms": ("Spectrograms", training.spectrograms),
        "levels": ("Differences by level", levels.differences_by_level),
        "systems": ("Outside systems by condition", systems.outside_systems),
    }


def draw_all(bundle: Bundle, folder: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Write every figure as PNG and PDF.

    Returns:
        Name to the PNG's path for the figures drawn, and name to reason for those that were not;
        of a study without outside systems nobody expects their figure.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn, skipped = {}, {}
    for name, (_, draw) in all_figures().items():
        files = [folder / f"{name}.{suffix}" for suffix in ("png", "pdf")]
        try:
            with house_style():
                save(draw(bundle), *files, bundle=bundle)
        except NothingToDrawError as reason:
            if name != "systems":
                skipped[name] = str(reason)
            for file in files:
                file.unlink(missing_ok=True)
        else:
            drawn[name] = files[0]
    return drawn, skipped
