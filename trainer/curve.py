"""The learning curve of a run as a PNG: what the team achieves, and what the model still gets wrong."""

from __future__ import annotations

from trainer.run_folder import RunFolder


def draw_curve(folder: RunFolder) -> None:
    """Draw `learning_curve.png` from `metrics.jsonl`; nothing if nothing was learned yet."""
    records = [record for record in folder.history() if "model/reconstruction" in record]
    if not records:
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True)
    training = [record for record in records if "collect/outcome" in record]
    above.plot(
        [record["env_steps"] for record in training],
        [record["collect/outcome"] for record in training],
        color="0.75",
        linewidth=1,
        label="while collecting, sampled",
    )
    for kind, colour in (("greedy", "tab:blue"), ("sampled", "tab:orange")):
        name = f"evaluate/{kind}_outcome"
        points = [(record["env_steps"], record[name]) for record in records if name in record]
        if points:
            above.plot(*zip(*points, strict=True), color=colour, marker="o", markersize=3, label=f"evaluation, {kind}")
    above.set_ylabel("outcome")
    above.legend(frameon=False)
    for name in ("reconstruction", "reward", "kl", "continue", "information", "available"):
        key = f"model/{name}"
        points = [(record["env_steps"], record[key]) for record in records if record.get(key, 0) > 0]
        if points:
            below.plot(*zip(*points, strict=True), linewidth=1, label=name)
    below.set_yscale("log")
    below.set_ylabel("world-model loss terms")
    below.set_xlabel("environment steps")
    below.legend(frameon=False, ncols=3)
    settings = folder.settings()
    figure.suptitle(f"{settings.algorithm} on {settings.environment.id}, seed {settings.seed}")
    figure.savefig(folder.curve, dpi=110)
