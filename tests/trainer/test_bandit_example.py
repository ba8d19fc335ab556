"""examples/bandit.py: the closed form is what sampling gives, its gradient is the losses', and AWPO learns faster."""

from __future__ import annotations

import bandit
import numpy as np
import pytest

START = np.random.default_rng(3).standard_normal((1, bandit.ACTIONS))


@pytest.mark.parametrize("samples", [1, 2, 5])
def test_the_closed_form_is_the_distribution_of_the_best_sample(samples: int) -> None:
    probabilities = bandit.policy(START)
    closed = bandit.best_of(probabilities, samples)[0]
    assert closed.sum() == pytest.approx(1, abs=1e-12)
    rounds = 40_000
    drawn = np.random.default_rng(0).choice(bandit.ACTIONS, p=probabilities[0], size=(rounds, samples)).max(1)
    share = np.bincount(drawn, minlength=bandit.ACTIONS) / rounds
    error = np.sqrt(closed * (1 - closed) / rounds)
    assert (np.abs(share - closed) <= 4.5 * error + 4 / rounds).all()
    # All in one number, of actions that are drawn often enough: its mean is 1.
    often = closed * rounds > 10
    assert rounds * ((share - closed) ** 2 / closed)[often].mean() == pytest.approx(1, abs=0.5)


def test_one_sample_is_the_policy_itself_and_many_are_the_best_action() -> None:
    probabilities = bandit.policy(START)
    assert np.allclose(bandit.best_of(probabilities, 1), probabilities, atol=1e-12)
    assert bandit.best_of(probabilities, 10_000)[0, -1] == pytest.approx(1, abs=1e-3)


def test_the_advantage_is_the_papers() -> None:
    assert np.allclose(bandit.advantage(), (np.arange(100) - 99 / 2) * np.sqrt(3 / 2525), rtol=1e-14)


@pytest.mark.parametrize("name", bandit.LOSSES)
def test_the_gradient_is_that_of_the_loss_with_its_weights_held(name: str) -> None:
    weighing = bandit.LOSSES[name]
    weights = weighing(bandit.best_of(bandit.policy(START)))

    def loss(logits: np.ndarray) -> float:
        return float(-(weights * np.log(bandit.policy(logits))).sum())

    found = bandit.gradient(START, weighing)
    for action in (0, 17, 98, 99):
        step = 1e-5 * np.eye(bandit.ACTIONS)[[action]]
        slope = (loss(START + step) - loss(START - step)) / 2e-5
        assert found[0, action] == pytest.approx(slope, abs=1e-8)


def needed(optimiser: bandit.Optimiser, *, updates: int) -> dict[str, float]:
    histories = {
        name: bandit.learned(weighing, optimiser, starts=5, updates=updates) for name, weighing in bandit.LOSSES.items()
    }
    return {name: bandit.updates_until_good(history) for name, history in histories.items()}


def test_by_gradient_descent_awpo_is_ahead_of_cloning_and_not_only_by_a_larger_step() -> None:
    found = needed(bandit.Optimiser(name="gradient descent", step_size=3.0), updates=800)
    assert found["AWPO"] < found["AWPO, weights scaled to mean 1"] < found["BC"]


def test_adam_which_scales_every_coordinate_leaves_little_of_the_lead() -> None:
    found = needed(bandit.Optimiser(name="Adam", step_size=0.1, adam=True), updates=100)
    assert max(found.values()) < 1.3 * min(found.values())


def test_it_prints_a_table_and_draws(capsys: pytest.CaptureFixture[str], tmp_path, monkeypatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("sys.argv", ["bandit.py", "--starts", "2", "--updates", "5", "--plot", str(tmp_path / "a.png")])
    bandit.main()
    assert len(capsys.readouterr().out.splitlines()) == 2 + len(bandit.OPTIMISERS)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
