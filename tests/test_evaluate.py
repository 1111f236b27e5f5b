"""What evaluate runs and says for models that offer less than others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import attacks
from attacks import ThreatModel, evaluate
from attacks.beyond.transformation import Transformation
from attacks.ensembles import ENSEMBLES
from attacks.errors import ModelError, ThreatError
from attacks.registry import UnknownAttackError
from attacks.suite import Progress
from networks import Linear, digits, trained


class Opaque(nn.Module):
    """A model whose gradient nobody may ask for."""

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            raise RuntimeError("no gradient here")
        return trained()(x)


@pytest.mark.parametrize("ensemble", sorted(set(ENSEMBLES) - {"randomized"}))
def test_a_model_without_gradients_is_attacked_by_square_alone_and_the_bound_is_weak(
    ensemble: str,
) -> None:
    _, _, x, y = digits()
    threat = ThreatModel("linf", 0.2)
    x, y = x[:12], y[:12]
    result = evaluate(Opaque(), x, y, threat, ensemble, gradients=False, signs=0)
    assert [attacker.attack for attacker in result.attackers] == ["square"]
    assert result.broken.any()
    assert (result.suite.rows["backwards"] == 0).all()
    assert result.weak
    assert "weak bound" in str(result)


def test_without_gradients_a_transformation_is_searched_on_its_grid() -> None:
    _, _, x, y = digits()
    result = evaluate(
        Opaque(), x[:20], y[:20], Transformation("rotation", 40.0), gradients=False, signs=0
    )
    assert [attacker.attack for attacker in result.attackers] == ["grid"]


def test_naming_an_attack_that_needs_gradients_is_an_error_where_there_are_none() -> None:
    _, _, x, y = digits()
    for ensemble in ("pgd", [{"attack": "square"}, {"attack": "pgd"}]):
        with pytest.raises(UnknownAttackError, match="pgd needs gradients"):
            evaluate(Opaque(), x, y, ThreatModel("linf", 0.1), ensemble, gradients=False)


def test_a_bound_with_gradients_is_not_called_weak() -> None:
    _, _, x, y = digits()
    result = evaluate(trained(), x[:10], y[:10], ThreatModel("linf", 0.1), "square", signs=0)
    assert not result.weak
    assert "weak" not in str(result)


@pytest.mark.parametrize(
    "labels", [torch.zeros(4, dtype=torch.int32), torch.zeros(4), torch.zeros(3, dtype=torch.int64)]
)
def test_labels_are_one_integer_class_for_each_image(labels: Tensor) -> None:
    model = Linear(3, (1, 4, 4))
    with pytest.raises(ModelError, match="labels must be one int64 class for each image"):
        evaluate(model, torch.rand(4, 1, 4, 4), labels, ThreatModel("linf", 0.1))


@pytest.mark.parametrize(("norm", "eps"), [("linf", 8.0), ("l2", 4.01), ("l1", 17.0)])
def test_a_budget_beyond_the_box_is_told(norm: str, eps: float) -> None:
    x, y = torch.rand(4, 1, 4, 4), torch.zeros(4, dtype=torch.int64)
    with pytest.raises(ThreatError, match="8/255"):
        evaluate(Linear(3, (1, 4, 4)), x, y, ThreatModel(norm, eps))
    evaluate(Linear(3, (1, 4, 4)), x, y, ThreatModel(norm, {"linf": 1, "l2": 4, "l1": 16}[norm]))


def test_no_images_are_told_whatever_else_is_asked() -> None:
    x, y = torch.zeros(0, 1, 4, 4), torch.zeros(0, dtype=torch.int64)
    for more in ({}, {"targets": y}, {"levels": 256}):
        with pytest.raises(ModelError, match="no images to attack"):
            evaluate(Linear(3, (1, 4, 4)), x, y, ThreatModel("linf", 0.1), **more)


def test_that_a_model_has_no_gradients_is_no_sign_where_it_was_said() -> None:
    _, _, x, y = digits()
    result = evaluate(Opaque(), x[:20], y[:20], ThreatModel("linf", 0.2), gradients=False)
    (flag,) = [flag for flag in result.signs if flag.question.startswith("Are gradients")]
    assert flag.status == "NOT RUN"


def test_no_module_of_attacks_takes_the_place_of_what_the_package_offers() -> None:
    """`import attacks.x` makes `attacks.x` the module, whatever else had that name."""
    folder = Path(attacks.__file__).parent
    modules = {path.stem for path in folder.iterdir()}
    assert "threat" in modules
    assert not modules & set(attacks.__all__)


def test_it_tells_after_each_attack_what_it_tried_and_broke() -> None:
    _, _, x, y = digits()
    told: list[Progress] = []
    suite = [{"attack": "fgsm"}, {"attack": "pgd"}]
    result = evaluate(
        trained(), x, y, ThreatModel("linf", 0.1), suite, signs=0, on_progress=told.append
    )
    right = int((trained()(x).argmax(1) == y).sum())
    assert [state.attack for state in told] == ["fgsm", "pgd"]
    assert [state.tried for state in told] == [right, right - told[0].broken]
    assert all(state.broken > 0 for state in told)
    assert len(result.witnesses.index) == sum(state.broken for state in told)
