"""Our attacks against those of foolbox, torchattacks and ART, at equal budgets, where installed.

make peers
.venv-peers/bin/python -m pytest tests/test_peers.py
"""

from __future__ import annotations

import functools

import pytest
import torch
from scipy.stats import binomtest
from torch import Tensor, nn

from attacks.oracle import Oracle
from attacks.registry import resolve
from attacks.suite import run_suite
from attacks.threat import ThreatModel, column
from attacks.verdict import BROKEN, judge
from benchmarks.peers import LIBRARIES, PEERS, Peer
from networks import SmallNetwork, digits, trained
from pipeline.training.perturb import perturb

# At this chance the images alone explain that a peer broke more of them.
SAMPLING = 0.01
# Budgets at which some images fall and some do not.
EPS = {
    "plain": {"linf": 0.06, "l2": 0.4, "l1": 1.0},
    "adversarial": {"linf": 0.15, "l2": 0.8, "l1": 1.5},
}


@functools.cache
def network(name: str) -> nn.Module:
    if name == "plain":
        return trained()
    x, y, _, _ = digits()
    torch.manual_seed(0)
    model = SmallNetwork()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    threat, starts = ThreatModel("linf", 0.1), torch.Generator().manual_seed(0)
    for _ in range(8):
        for batch in torch.randperm(len(x)).split(64):
            x_adv = perturb(model, x[batch], y[batch], threat, 4, starts)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x_adv), y[batch]).backward()
            optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return model.eval()


@pytest.mark.parametrize("name", ["plain", "adversarial"])
@pytest.mark.parametrize("peer", PEERS, ids=str)
def test_a_peer_of_equal_budget_breaks_no_more(peer: Peer, name: str) -> None:
    pytest.importorskip(LIBRARIES[peer.library], reason=f"{peer.library} is not here: make peers")
    model, eps = network(name), EPS[name][peer.norm]
    _, _, x, y = digits()
    right = model(x).argmax(1) == y
    x, y = x[right], y[right]
    theirs = broken(model, x, peer(model, x, y, eps), y, peer.norm, eps)
    attackers = resolve([peer.counterpart()], peer.norm)
    rows = run_suite(model, x, y, peer.norm, [eps], attackers).rows
    ours = rows["outcome"] == BROKEN
    assert 0 < ours.sum() < len(x), "a budget at which attacks cannot differ shows nothing"
    missed, gained = int((theirs & ~ours).sum()), int((ours & ~theirs).sum())
    told = f"{peer}: broke {int(theirs.sum())}, ours {int(ours.sum())} of {len(x)}"
    if missed > gained:
        # Were both as strong, each image that one alone broke would be either's with chance 1/2.
        chance = binomtest(missed, missed + gained, 0.5, alternative="greater").pvalue
        assert chance > SAMPLING, told
    print(f"{told}; missed {missed}, gained {gained}")


def broken(model: nn.Module, x: Tensor, x_adv: Tensor, y: Tensor, norm: str, eps: float) -> Tensor:
    """What of a peer's images our verdict calls broken; rounding out of the ball is forgiven."""
    threat = ThreatModel(norm, eps)
    rounded = column(threat.distance(x_adv, x) <= eps * (1 + 1e-4), x)
    x_adv = torch.where(rounded, threat.project(x_adv, x), x_adv)
    return judge(Oracle(model), x, x_adv, y, torch.arange(len(x)), norm, eps).outcome == BROKEN
