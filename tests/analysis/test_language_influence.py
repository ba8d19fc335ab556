"""Which categoricals change what receivers do, against scripted bundles that act on known ones.

A scripted agent adds (slot + 1)(k + 1) times id k of every message that it hears to its score, and acts on the score
mod 5: so of 6 categoricals the fifth changes nothing that anybody does, and each other one nearly everything.
"""

import numpy as np
import pytest
from scripted_bundle import scripted_team

from analysis.bandwidth.language import read_language
from analysis.bandwidth.language.influence import Influence
from analysis.bandwidth.language.plot import draw_language, wrong_parts
from coordinator.plan.plan import make_plan
from coordinator.recording.reader import read_trace
from coordinator.running.local import evaluate
from heliograph.environments import registry
from heliograph.errors import BundleMismatch
from heliograph.estimates import Estimate

pytestmark = pytest.mark.drawn

IGNORED = 4


def recorded(path, **parameters):
    spec = registry.make("relay", count=1, parameters={"agents": 3, "size": 3, "length": 6, **parameters}).spec
    bundles = scripted_team(
        team_size=3,
        categoricals=6,
        observation_size=spec.observation_size,
        actions=spec.actions,
        environment="relay",
        environment_parameters=spec.parameters,
    )
    plan = make_plan(bundles, episodes=15, record=path)
    evaluate(plan)
    return bundles, read_trace(path)


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    return recorded(tmp_path_factory.mktemp("played") / "trace.jsonl")


@pytest.mark.slow
@pytest.mark.arrays
def test_what_receivers_act_on_is_found_by_intervention(played):
    bundles, trace = played
    language = read_language(trace, bundles)
    found = language.influence
    shares = np.array([estimate.mean for estimate in found.categorical])
    assert shares[IGNORED] == 0
    assert np.delete(shares, IGNORED).min() > 0.4, "less only where actions are illegal, or the class drawn the same"
    assert found.message.mean > 0.5
    assert found.differing == 0
    assert found.decisions >= found.asked > 150
    numbers, together = zip(*found.together, strict=True)
    assert numbers == (1, 2, 4, 6)
    assert min(each.mean for each in together[1:]) > 0.5
    assert [row.changed_actions for row in language.document().categoricals] == shares.tolist()
    assert read_language(trace, bundles).document() == language.document(), "a fixed seed"


@pytest.mark.slow
def test_the_page_compares_with_another_message_instead(played, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    bundles, trace = played
    language = read_language(trace, bundles)
    draw_language(language, tmp_path / "page.png")
    (at,) = [text.xy for axes in drawn[0].axes for text in axes.texts if text.get_text() == "another message instead"]
    assert at == (1, language.influence.message.mean)


def test_other_bundles_are_not_asked(played):
    bundles, trace = played
    with pytest.raises(BundleMismatch, match="other bundles"):
        read_language(trace, bundles[::-1])


@pytest.mark.parametrize(
    ("together", "message", "title"),
    [
        ({1: 0.02, 2: 0.09, 4: 0.21, 8: 0.4}, 0.44, "4 of 8 wrong parts change 21%"),
        ({1: 0.3, 2: 0.4}, 0.41, "1 of 2 wrong parts changes 30%"),
        ({1: 0.001, 2: 0.002}, 0.004, "1 of 2 wrong parts changes 0%"),
    ],
)
def test_the_title_of_wrong_parts_says_the_share_that_is_drawn(together, message, title):
    def share(mean):
        return Estimate(mean=mean, low=0.0, high=1.0)

    asked = Influence(
        asked=400,
        categorical=(share(0.0),),
        together=tuple((number, share(mean)) for number, mean in together.items()),
        message=share(message),
        decisions=400,
        differing=0,
    )
    assert wrong_parts(asked) == (title, f"of the actions; another message instead changes {message:.0%}")
